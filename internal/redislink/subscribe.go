package redislink

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// ticket is a call that waits for several changes.
type ticket struct {
	left atomic.Int64
	err  atomic.Pointer[error]
	done chan struct{} // closed when none is left
}

// finish notes one change. The ticket may be nil.
func (t *ticket) finish(err error) {
	if t == nil {
		return
	}
	if err != nil {
		t.err.CompareAndSwap(nil, &err)
	}
	if t.left.Add(-1) == 0 {
		close(t.done)
	}
}

// Subscribe subscribes to channels and returns when Redis has confirmed it.
// Calls under way at the same time travel together. Subscriptions are a set:
// a second one to the same channel changes nothing, one Unsubscribe ends it.
// They are made again after outages, for ever.
//
// While Redis is away the call waits until it is back. When ctx ends before,
// its error is returned, and the subscription will be made nevertheless:
// unsubscribe if it is not wanted any more. An error of Redis (rights) means
// that there is no subscription.
func (l *Link) Subscribe(ctx context.Context, channels ...string) error {
	return l.change(ctx, Channel, true, channels)
}

// Unsubscribe ends subscriptions to channels and returns when Redis has
// confirmed it. Messages that came before may still be handed to Receive.
func (l *Link) Unsubscribe(ctx context.Context, channels ...string) error {
	return l.change(ctx, Channel, false, channels)
}

// PSubscribe is [Link.Subscribe] for patterns.
func (l *Link) PSubscribe(ctx context.Context, patterns ...string) error {
	return l.change(ctx, Pattern, true, patterns)
}

// PUnsubscribe is [Link.Unsubscribe] for patterns.
func (l *Link) PUnsubscribe(ctx context.Context, patterns ...string) error {
	return l.change(ctx, Pattern, false, patterns)
}

// SSubscribe is [Link.Subscribe] for shard channels.
func (l *Link) SSubscribe(ctx context.Context, channels ...string) error {
	return l.change(ctx, Shard, true, channels)
}

// SUnsubscribe is [Link.Unsubscribe] for shard channels.
func (l *Link) SUnsubscribe(ctx context.Context, channels ...string) error {
	return l.change(ctx, Shard, false, channels)
}

func (l *Link) change(ctx context.Context, kind Kind, wanted bool, names []string) error {
	wait, err := l.Begin(kind, wanted, names...)
	if err != nil {
		return err
	}
	return wait(ctx)
}

// Begin is Subscribe and its kin in two parts, for those who have to keep the
// order of their changes but not to wait with a lock held: the changes are made
// in the order of the calls, and wait returns as Subscribe does. It may be
// called any number of times. The error of Begin is ErrClosed, or that the
// link is PublishOnly.
func (l *Link) Begin(kind Kind, wanted bool, names ...string) (wait func(context.Context) error, err error) {
	if len(names) == 0 {
		return func(context.Context) error { return nil }, nil
	}
	if l.options.PublishOnly {
		return nil, errPublishOnly
	}
	t := &ticket{done: make(chan struct{})}
	t.left.Store(int64(len(names)))
	keys := make([]key, len(names))
	for i, name := range names {
		keys[i] = key{kind, name}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if kind == Shard {
		l.setShards(keys, wanted, t)
	} else {
		l.home.set(keys, wanted, t, time.Time{})
	}
	return func(ctx context.Context) error { return l.wait(ctx, t) }, nil
}

// wait returns when a ticket's changes are made.
func (l *Link) wait(ctx context.Context, t *ticket) error {
	select {
	case <-t.done:
		if err := t.err.Load(); err != nil {
			return *err
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("socketeer: redis has not confirmed subscriptions: %w", context.Cause(ctx))
	case <-l.ctx.Done():
		return ErrClosed
	}
}
