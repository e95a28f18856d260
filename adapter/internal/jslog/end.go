package jslog

import (
	"context"
	"sync"
	"time"
)

// endPatience is how long the question where the stream ends may take. Without
// an answer clients recover from what their node has read.
const endPatience = time.Second

// ends are questions where the stream ends, shared by all who ask before one is
// on its way.
type ends struct {
	asking chan struct{} // capacity 1: held by who asks

	mu   sync.Mutex
	next *question // that has not been asked yet
}

type question struct {
	done chan struct{}
	last uint64
	err  error
}

// end returns the stream's newest sequence, as of some time since the call.
func (l *Log) end(ctx context.Context) (uint64, error) {
	l.ends.mu.Lock()
	q := l.ends.next
	if q == nil {
		q = &question{done: make(chan struct{})}
		l.ends.next = q
	}
	l.ends.mu.Unlock()
	select {
	case <-q.done:
		return q.last, q.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case l.ends.asking <- struct{}{}:
	}
	defer func() { <-l.ends.asking }()
	l.ends.mu.Lock()
	mine := l.ends.next == q
	if mine {
		l.ends.next = nil
	}
	l.ends.mu.Unlock()
	if mine {
		q.last, q.err = l.newest(ctx)
		close(q.done)
	}
	<-q.done // has been asked before asking was free
	return q.last, q.err
}

// newest asks JetStream. The answer is for others, too: only the log's end ends
// it early.
func (l *Log) newest(ctx context.Context) (uint64, error) {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	l.count.ends.Add(1)
	info, err := l.info(ask)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}
