package loadgen

import (
	"sync"
	"time"
)

// servers are the processes whose CPU time and memory a run reads: some that
// stay, and those there are at each moment. Several goroutines may ask at once.
type servers struct {
	stay processes
	now  func() (pids []int, ended time.Duration) // nil: there are no others

	mu   sync.Mutex
	last map[int]time.Duration // guarded by mu: what each of the others had used when last seen
}

func newServers(c *Config) *servers {
	return &servers{stay: c.PIDs, now: c.Servers, last: make(map[int]time.Duration)}
}

// known reports whether there is anything to read.
func (s *servers) known() bool { return s.now != nil || len(s.stay) > 0 }

// running are the processes there are.
func (s *servers) running() processes {
	if s.now == nil {
		return s.stay
	}
	pids, _ := s.now()
	return append(pids, s.stay...)
}

// cpu returns the CPU time of the servers since they started, that of servers
// which have ended and were replaced included. It never goes back: a process
// that has ended, and is not known to have, counts what it had when last seen.
func (s *servers) cpu() (time.Duration, error) {
	sum, err := s.stay.cpu()
	if err != nil || s.now == nil {
		return sum, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pids, ended := s.now()
	sum += ended
	seen := make(map[int]time.Duration, len(pids))
	for _, pid := range pids {
		used, err := processes{pid}.cpu()
		if err != nil {
			used = s.last[pid]
		}
		seen[pid] = used
		sum += used
	}
	s.last = seen
	return sum, nil
}

// rss returns the memory of the servers there are, in KiB.
func (s *servers) rss() (int64, error) {
	sum, err := s.stay.rss()
	if err != nil || s.now == nil {
		return sum, err
	}
	pids, _ := s.now()
	for _, pid := range pids {
		if kib, err := rss(pid); err == nil { // else it is ending
			sum += kib
		}
	}
	return sum, nil
}

// roughRSS is rss as cheaply as can be.
func (s *servers) roughRSS() int64 { return s.running().roughRSS() }
