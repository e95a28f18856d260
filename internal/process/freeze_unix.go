//go:build unix

package process

import (
	"errors"
	"os"
	"syscall"
)

// Thaw has a frozen child go on. It is no error if it has ended.
func Thaw(p *os.Process) error { return ignoreDone(p.Signal(syscall.SIGCONT)) }

func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
