// Package lane hands items to a function, in order, on goroutines of its own,
// with a bound on the bytes that wait.
package lane

import (
	"context"
	"sync"
	"sync/atomic"
)

// keepItems is the largest batch whose memory is kept for the next one.
const keepItems = 4096

// Set is a number of lanes. Items of one lane are handled one at a time, in the
// order of their pushes.
type Set[T any] struct {
	handle  func(T)
	limit   int
	lanes   []*lane[T]
	dropped atomic.Uint64
}

type lane[T any] struct {
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	items []item[T]
	bytes int  // of items and of those being handled
	busy  bool // somebody handles items, or is about to look whether there are any
	full  bool
}

type item[T any] struct {
	v    T
	size int
}

// New returns count lanes that give items to handle. In each of them at most
// limit bytes wait, or a single item that is larger.
func New[T any](count, limit int, handle func(T)) *Set[T] {
	s := &Set[T]{handle: handle, limit: limit}
	for range count {
		s.lanes = append(s.lanes, &lane[T]{wake: make(chan struct{}, 1)})
	}
	return s
}

// Run handles what is pushed until ctx ends; it returns when all lanes have
// come to rest.
func (s *Set[T]) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, l := range s.lanes {
		wg.Go(func() { s.run(ctx, l) })
	}
	wg.Wait()
}

// Push appends v, of the given size in bytes, to the lane that key selects. It
// never waits: when too much is waiting, v is dropped and counted, unless it has
// no size. First tells of the first drop since the lane was last empty.
func (s *Set[T]) Push(key uint32, v T, size int) (ok, first bool) {
	l := s.lanes[key%uint32(len(s.lanes))]
	l.mu.Lock()
	if size > 0 && l.bytes > 0 && l.bytes+size > s.limit {
		first = !l.full
		l.full = true
		l.mu.Unlock()
		s.dropped.Add(1)
		return false, first
	}
	l.bytes += size
	l.append(item[T]{v, size})
	return true, false
}

// Do is Push for an item that the caller may handle itself: it does so if the
// lane is at rest, and returns when v has been handled. Handling it must not
// wait for what the caller would do next.
func (s *Set[T]) Do(key uint32, v T, size int) (ok, first bool) {
	l := s.lanes[key%uint32(len(s.lanes))]
	l.mu.Lock()
	if l.busy {
		l.mu.Unlock()
		return s.Push(key, v, size)
	}
	l.busy = true
	l.bytes += size
	l.mu.Unlock()
	s.finish(l, item[T]{v, size})
	l.mu.Lock()
	l.busy = len(l.items) > 0
	wake := l.busy
	l.mu.Unlock()
	if wake {
		l.signal()
	}
	return true, false
}

// Dropped returns how many items were dropped.
func (s *Set[T]) Dropped() uint64 { return s.dropped.Load() }

// append is called with mu held, and unlocks it.
func (l *lane[T]) append(it item[T]) {
	l.items = append(l.items, it)
	wake := !l.busy
	l.busy = true
	l.mu.Unlock()
	if wake {
		l.signal()
	}
}

// signal makes run look. It is called by the one who has set busy, or has left
// it set, so that there is always room.
func (l *lane[T]) signal() { l.wake <- struct{}{} }

func (s *Set[T]) run(ctx context.Context, l *lane[T]) {
	for {
		select {
		case <-l.wake:
			s.drain(ctx, l)
		case <-ctx.Done():
			return
		}
	}
}

// drain handles items until there are none.
func (s *Set[T]) drain(ctx context.Context, l *lane[T]) {
	var batch []item[T]
	for {
		l.mu.Lock()
		batch, l.items = l.items, batch[:0]
		if len(batch) == 0 {
			l.full, l.busy = false, false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		for i := range batch {
			if ctx.Err() != nil {
				return
			}
			s.finish(l, batch[i])
			batch[i] = item[T]{}
		}
		if cap(batch) > keepItems {
			batch = nil
		}
	}
}

func (s *Set[T]) finish(l *lane[T], it item[T]) {
	s.handle(it.v)
	l.mu.Lock()
	l.bytes -= it.size
	l.mu.Unlock()
}

// Key returns the key of a name: what is called the same gets the same lane.
func Key(name []byte) uint32 {
	hash := uint32(2166136261) // FNV-1a
	for _, c := range name {
		hash = (hash ^ uint32(c)) * 16777619
	}
	return hash
}
