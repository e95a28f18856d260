package redistest

import (
	"errors"
	"os"
	"testing"

	"github.com/socketeer-io/socketeer/internal/process"
)

// Pause stops the process in its tracks: connections stay, nothing answers.
func (s *Server) Pause() {
	s.tb.Helper()
	s.with(process.Freeze)
}

// Resume has a paused server go on.
func (s *Server) Resume() {
	s.tb.Helper()
	s.with(process.Thaw)
}

func (s *Server) with(do func(*os.Process) error) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.tb.Fatal("the redis-server does not run")
	}
	done(s.tb, do(s.cmd.Process))
}

// Pause stops the process in its tracks: its connections stay, and it does not
// answer.
func (p *Peer) Pause() {
	p.tb.Helper()
	done(p.tb, process.Freeze(p.cmd.Process))
}

// Resume undoes [Peer.Pause].
func (p *Peer) Resume() {
	p.tb.Helper()
	done(p.tb, process.Thaw(p.cmd.Process))
}

// done fails the test, or skips it where processes cannot be stopped.
func done(tb testing.TB, err error) {
	tb.Helper()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		tb.Skip("processes cannot be stopped here")
	case err != nil:
		tb.Errorf("redistest: %v", err)
	}
}
