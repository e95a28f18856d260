package peerlog

import (
	"context"
	"sync"
)

// maxFlight bounds what is done at once for those who wait.
const maxFlight = 1024

// flight does something for many callers at a time: while it is under way,
// those who come wait together for the next one.
type flight[T any] struct {
	mu      sync.Mutex
	running bool
	waiting []*passenger[T]
}

// passenger is one who waits. Result and err are set before done is closed.
type passenger[T any] struct {
	key    string // what is asked for
	result T
	err    error
	done   chan struct{}
}

// join waits for a flight that begins after the call. Fly is run on a goroutine
// of spawn for all passengers of a flight.
func (f *flight[T]) join(ctx context.Context, key string, spawn func(func()) bool, fly func([]*passenger[T])) (T, error) {
	p := &passenger[T]{key: key, done: make(chan struct{})}
	f.mu.Lock()
	f.waiting = append(f.waiting, p)
	first := !f.running
	f.running = true
	f.mu.Unlock()
	if first && !spawn(func() { f.run(fly) }) {
		f.mu.Lock()
		for _, p := range f.waiting {
			p.err = errClosed
			close(p.done)
		}
		f.running, f.waiting = false, nil
		f.mu.Unlock()
	}
	select {
	case <-p.done:
		return p.result, p.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (f *flight[T]) run(fly func([]*passenger[T])) {
	for {
		f.mu.Lock()
		n := min(maxFlight, len(f.waiting))
		all := f.waiting[:n:n]
		f.waiting = f.waiting[n:]
		if n == 0 {
			f.running, f.waiting = false, nil
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		fly(all)
		for _, p := range all {
			close(p.done)
		}
	}
}
