//go:build !linux

package loadgen

import (
	"context"
	"errors"
)

// Run needs Linux: its clients live on epoll and it reads /proc.
func Run(context.Context, Config) (*Report, error) {
	return nil, errors.New("socketeer: the load generator needs Linux")
}
