package process

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Freeze stops a child in its tracks, and returns when all of its threads stand
// still: connections stay, nothing answers. It is no error if it is frozen
// already, or has ended.
func Freeze(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return ignoreDone(err)
	}
	for { // the signal is only on its way
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD):
			return nil
		default:
			return err
		}
	}
}
