// Package askonce asks a question once for all who want to know at the same
// time.
package askonce

import (
	"context"
	"sync"
)

// Question is one whose answer changes: who asks gets an answer from some time
// since the call. At most one is on its way. Make it with [New]; it may be used
// concurrently.
type Question[T any] struct {
	ask    func(context.Context) (T, error)
	asking chan struct{} // capacity 1: held by who asks

	mu   sync.Mutex
	next *answer[T] // that has not been asked for yet
}

type answer[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// New returns a question that is asked by a function. Its answer is for others
// than the one whose context it is given, too: it should not end with that.
func New[T any](ask func(context.Context) (T, error)) *Question[T] {
	return &Question[T]{ask: ask, asking: make(chan struct{}, 1)}
}

// Ask returns an answer, or ctx's cause when it ends before.
func (q *Question[T]) Ask(ctx context.Context) (T, error) {
	q.mu.Lock()
	a := q.next
	if a == nil {
		a = &answer[T]{done: make(chan struct{})}
		q.next = a
	}
	q.mu.Unlock()
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	case q.asking <- struct{}{}:
	}
	defer func() { <-q.asking }()
	q.mu.Lock()
	mine := q.next == a
	if mine {
		q.next = nil
	}
	q.mu.Unlock()
	if mine {
		a.value, a.err = q.ask(ctx)
		close(a.done)
	}
	<-a.done // has been asked for before asking was free
	return a.value, a.err
}
