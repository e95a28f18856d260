// Package process starts child processes that do not outlive their parent,
// and ends them.
package process

import (
	"os/exec"
	"runtime"
)

// Spawner starts processes from one operating system thread that lives until
// [Spawner.Close]: Linux sends the parent-death signal when the thread that
// started the child ends, and Go ends threads as it likes. All methods but
// Close may be called by several goroutines.
type Spawner struct {
	requests chan spawn
	done     chan struct{}
}

type spawn struct {
	cmd *exec.Cmd
	err chan error
}

// NewSpawner returns a spawner whose thread runs.
func NewSpawner() *Spawner {
	s := &Spawner{requests: make(chan spawn), done: make(chan struct{})}
	go s.run()
	return s
}

// run serves requests until Close. The thread is not unlocked, so that it
// ends with the goroutine, and takes the children along. The main thread is
// the one that Go never ends: given that, run keeps it, and has another
// goroutine serve, which is then on another thread.
func (s *Spawner) run() {
	runtime.LockOSThread()
	if onMainThread() {
		defer runtime.UnlockOSThread()
		go s.run()
		<-s.done
		return
	}
	defer close(s.done)
	for r := range s.requests {
		r.err <- r.cmd.Start()
	}
}

// Start starts cmd in a process group of its own; where the system can, the
// child dies with this process. It replaces cmd.SysProcAttr.
func (s *Spawner) Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = attributes()
	r := spawn{cmd: cmd, err: make(chan error, 1)}
	s.requests <- r
	return <-r.err
}

// Close ends the thread, and with it the children that still run, on Linux.
// No Start may be under way or follow.
func (s *Spawner) Close() {
	close(s.requests)
	<-s.done
}
