package supervisor

import (
	"os"
	"os/exec"
	"runtime"
)

// spawner starts processes from one operating system thread that lives as
// long as the supervisor does. Linux sends the parent-death signal when the
// thread that started the child ends, and Go ends threads as it likes.
type spawner struct {
	requests chan spawn
	done     chan struct{}
}

type spawn struct {
	cmd *exec.Cmd
	err chan error
}

func newSpawner() *spawner {
	return &spawner{requests: make(chan spawn), done: make(chan struct{})}
}

// run serves requests until close. The thread is not unlocked, so that it
// ends with the goroutine: the children are gone by then.
func (s *spawner) run() {
	runtime.LockOSThread()
	defer close(s.done)
	for r := range s.requests {
		r.err <- r.cmd.Start()
	}
}

func (s *spawner) start(cmd *exec.Cmd) error {
	r := spawn{cmd: cmd, err: make(chan error, 1)}
	s.requests <- r
	return <-r.err
}

// close ends run. No start may be under way or follow.
func (s *spawner) close() {
	close(s.requests)
	<-s.done
}

// exitState tells how a process ended.
type exitState struct{ *os.ProcessState }

// String returns for instance "exit status 1" or "signal: killed".
func (e exitState) String() string {
	if e.ProcessState == nil {
		return "unknown end"
	}
	return e.ProcessState.String()
}
