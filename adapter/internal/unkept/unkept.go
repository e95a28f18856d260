// Package unkept holds what was given to a log to be kept and has not come back
// from it.
package unkept

import (
	"context"
	"sync"
)

// Queue is what has not come back, in the order in which it was written. Make it
// with [New]. All methods may be called concurrently. But who removes (Pop,
// Remove, All), or acts on Front, holds a lock of the caller's meanwhile, so that
// what is not there any more has been dealt with.
type Queue[T any] struct {
	wake chan struct{} // capacity 1

	mu    sync.Mutex // guards the rest
	list  []waiting[T]
	bytes int           // of what follows
	empty chan struct{} // closed when nothing is left, if somebody waits for it
}

type waiting[T any] struct {
	value T
	size  int // of what follows, else 0
}

// New returns an empty queue.
func New[T any]() *Queue[T] { return &Queue[T]{wake: make(chan struct{}, 1)} }

// Wake is sent to when the queue is not empty any more.
func (q *Queue[T]) Wake() <-chan struct{} { return q.wake }

// Add appends what is being written. Call it in the order of writing. What
// bounds the writer bounds this, too.
func (q *Queue[T]) Add(value T) {
	q.mu.Lock()
	q.list = append(q.list, waiting[T]{value: value})
	first := len(q.list) == 1
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// Follow appends what is not written, but has its turn behind what is. If the
// queue is empty (waits is false), or what follows would have more than limit
// bytes (fits is false), it is not appended.
func (q *Queue[T]) Follow(value T, size, limit int) (waits, fits bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return false, true
	}
	if q.bytes+size > limit {
		return true, false
	}
	q.bytes += size
	q.list = append(q.list, waiting[T]{value, size})
	return true, true
}

// Front returns the first one; ok is false if there is none.
func (q *Queue[T]) Front() (value T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return value, false
	}
	return q.list[0].value, true
}

// Pop removes the first one, which has been dealt with.
func (q *Queue[T]) Pop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= q.list[0].size
	q.list[0] = waiting[T]{}
	q.list = q.list[1:]
	q.emptied()
}

// Remove removes those for which is returns true, and returns them.
func (q *Queue[T]) Remove(is func(T) bool) (out []T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	rest := make([]waiting[T], 0, len(q.list))
	for _, w := range q.list {
		if is(w.value) {
			out = append(out, w.value)
			q.bytes -= w.size
		} else {
			rest = append(rest, w)
		}
	}
	q.list = rest
	q.emptied()
	return out
}

// All removes everything.
func (q *Queue[T]) All() []T { return q.Remove(func(T) bool { return true }) }

// Drained waits until nothing is left, or ctx ends.
func (q *Queue[T]) Drained(ctx context.Context) {
	q.mu.Lock()
	if len(q.list) == 0 {
		q.mu.Unlock()
		return
	}
	if q.empty == nil {
		q.empty = make(chan struct{})
	}
	empty := q.empty
	q.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// emptied tells who waits that nothing is left, if that is so. With mu held.
func (q *Queue[T]) emptied() {
	if len(q.list) > 0 {
		return
	}
	q.list = nil
	if q.empty != nil {
		close(q.empty)
		q.empty = nil
	}
}
