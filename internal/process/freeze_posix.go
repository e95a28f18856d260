//go:build unix && !linux

package process

import (
	"os"
	"syscall"
)

// Freeze stops a child in its tracks: connections stay, nothing answers. It may
// run for a moment yet. It is no error if it has ended.
func Freeze(p *os.Process) error { return ignoreDone(p.Signal(syscall.SIGSTOP)) }
