package jslog

import (
	"sync"
	"time"
)

// lapse is a time in which nothing succeeds. The zero value is one that has not
// begun. Its methods may be called concurrently.
type lapse struct {
	mu    sync.Mutex
	since time.Time
	why   error
}

// note says what came of an attempt: an error begins the lapse, or goes on with
// it, and success ends it.
func (p *lapse) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.why = err; {
	case err == nil:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = time.Now()
	}
}

// longer returns the last error if the lapse has lasted for that long, or nil.
func (p *lapse) longer(than time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why == nil || time.Since(p.since) < than {
		return nil
	}
	return p.why
}
