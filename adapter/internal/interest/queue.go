package interest

import (
	"context"
	"sync"
	"time"
)

// steps is how many times in a delay the queue is looked at at most; rooms left
// close together are dealt with together.
const steps = 50

// Queue is the rooms to be left, of all namespaces of a node. The delay is the
// same for all, so it is in order of time.
type Queue struct {
	delay time.Duration
	wake  chan struct{} // capacity 1

	mu   sync.Mutex
	list []leave
}

type leave struct {
	set  *Set
	name string
	room *room
	at   time.Time
}

// NewQueue returns a queue that gives rooms up after the delay.
func NewQueue(delay time.Duration) *Queue {
	return &Queue{delay: delay, wake: make(chan struct{}, 1)}
}

func (q *Queue) push(l leave) {
	q.mu.Lock()
	q.list = append(q.list, l)
	first := len(q.list) == 1
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// pop removes what is due and returns when the next one is.
func (q *Queue) pop(now time.Time) (due []leave, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := 0
	for i < len(q.list) && !q.list[i].at.After(now) {
		i++
	}
	due = append(due, q.list[:i]...)
	rest := copy(q.list, q.list[i:])
	clear(q.list[rest:])
	q.list = q.list[:rest]
	if rest > 0 {
		next = q.list[0].at
	}
	return due, next
}

// Run gives rooms up when their time has come, until ctx ends.
func (q *Queue) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		due, next := q.pop(now)
		for _, l := range due {
			if again := l.set.expire(&l, now); !again.IsZero() {
				l.at = again
				q.push(l)
			}
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(time.Until(next), q.delay/steps)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-q.wake:
		case <-ctx.Done():
			return
		}
	}
}
