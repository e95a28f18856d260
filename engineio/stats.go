package engineio

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Stats are a server's counters since it was made.
type Stats struct {
	Opened          uint64            // sessions
	Closed          map[Reason]uint64 // sessions, by reason
	Refused         uint64            // requests
	VolatileDropped uint64            // messages whose receiver was not writable
}

type stats struct {
	opened, refused, volatileDropped atomic.Uint64

	mu      sync.Mutex
	reasons map[Reason]uint64
}

func (s *stats) closed(r Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reasons == nil {
		s.reasons = make(map[Reason]uint64)
	}
	s.reasons[r]++
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	return Stats{
		Opened:          s.stats.opened.Load(),
		Closed:          maps.Clone(s.stats.reasons),
		Refused:         s.stats.refused.Load(),
		VolatileDropped: s.stats.volatileDropped.Load(),
	}
}
