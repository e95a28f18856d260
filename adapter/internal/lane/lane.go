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
	bytes int // of items and of those being handled
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
	l.items = append(l.items, item[T]{v, size})
	wake := len(l.items) == 1
	l.mu.Unlock()
	if wake {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return true, false
}

// Dropped returns how many items were dropped.
func (s *Set[T]) Dropped() uint64 { return s.dropped.Load() }

func (s *Set[T]) run(ctx context.Context, l *lane[T]) {
	var batch []item[T]
	for {
		l.mu.Lock()
		batch, l.items = l.items, batch[:0]
		if len(batch) == 0 {
			l.full = false
		}
		l.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-l.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		for i := range batch {
			if ctx.Err() != nil {
				return
			}
			s.handle(batch[i].v)
			l.mu.Lock()
			l.bytes -= batch[i].size
			l.mu.Unlock()
			batch[i] = item[T]{}
		}
		if cap(batch) > keepItems {
			batch = nil
		}
	}
}

// Key returns the key of a name: what is called the same gets the same lane.
func Key(name []byte) uint32 {
	hash := uint32(2166136261) // FNV-1a
	for _, c := range name {
		hash = (hash ^ uint32(c)) * 16777619
	}
	return hash
}
