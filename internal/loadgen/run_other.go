//go:build !linux

package loadgen

import (
	"context"
	"errors"
	"io"
)

// errLinux is why nothing works here.
var errLinux = errors.New("socketeer: the load generator needs Linux")

// Work needs Linux, as Run does.
func Work(context.Context, io.Reader, io.Writer) error { return errLinux }

// Run needs Linux: its clients live on epoll and it reads /proc.
func Run(context.Context, Config) (*Report, error) {
	return nil, errLinux
}

// ReplacedFit needs Linux, as Run does.
func ReplacedFit([]int, int) error { return errLinux }

// FileLimit needs Linux, as Run does.
func FileLimit() (uint64, error) { return 0, errLinux }
