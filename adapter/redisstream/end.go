package redisstream

import (
	"context"
	"fmt"
	"sync"
)

// ends are questions where the stream ends, shared by all who ask before one is
// on its way.
type ends struct {
	asking chan struct{} // capacity 1: held by who asks

	mu   sync.Mutex
	next *question // that has not been asked yet
}

type question struct {
	done chan struct{}
	last offset
	err  error
}

// end returns the id of the stream's newest entry, as of some time since the
// call.
func (s *stream) end(ctx context.Context) (offset, error) {
	s.ends.mu.Lock()
	q := s.ends.next
	if q == nil {
		q = &question{done: make(chan struct{})}
		s.ends.next = q
	}
	s.ends.mu.Unlock()
	select {
	case <-q.done:
		return q.last, q.err
	case <-ctx.Done():
		return offset{}, context.Cause(ctx)
	case s.ends.asking <- struct{}{}:
	}
	defer func() { <-s.ends.asking }()
	s.ends.mu.Lock()
	mine := s.ends.next == q
	if mine {
		s.ends.next = nil
	}
	s.ends.mu.Unlock()
	if mine {
		q.last, q.err = s.newest(ctx)
		close(q.done)
	}
	<-q.done // has been asked before asking was free
	return q.last, q.err
}

// newest asks Redis. The answer is for others, too: only the stream's end ends
// it early.
func (s *stream) newest(ctx context.Context) (last offset, err error) {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	s.count.ends.Add(1)
	list, err := s.redis.Do(ask, s.redis.B().Xrevrange().Key(s.name).End("+").Start("-").Count(1).Build()).AsXRange()
	if err != nil || len(list) == 0 {
		return offset{}, err
	}
	last, ok := parseOffset(list[0].ID)
	if !ok {
		return offset{}, fmt.Errorf("socketeer: redis gave an entry the id %.50q", list[0].ID)
	}
	return last, nil
}
