package emitter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// Errors of sending.
var (
	// ErrBacklog says that Options.BacklogBytes wait already: Redis takes
	// messages slower than they come. Flush, then try again.
	ErrBacklog = redislink.ErrBacklog
	// ErrDown says that Redis is away for longer than Options.PublishTimeout,
	// or that a message waited for so long. [Emitter.Ready] says what is wrong.
	ErrDown = redislink.ErrDown
	// ErrClosed says that the emitter is closed. It is a net.ErrClosed.
	ErrClosed = redislink.ErrClosed
)

// LostError says that messages which were queued did not reach Redis, or
// perhaps did not.
type LostError struct {
	Count int   // of messages
	Cause error // of the first loss: [ErrDown], [ErrClosed], a broken connection, what Redis says
}

func (e *LostError) Error() string {
	return fmt.Sprintf("socketeer: emitter: %d messages are lost, the first one because: %v", e.Count, e.Cause)
}

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Cause }

// Stats are counters since New.
type Stats struct {
	Sent    uint64 // messages that Redis took
	Waiting int    // messages queued or sent that Redis has not answered

	DroppedBacklog uint64 // refused: the queue was full
	DroppedDown    uint64 // refused, or waited for too long: Redis was away
	DroppedClosed  uint64 // refused, or not sent: the emitter was closed
	DroppedRefused uint64 // Redis answered with an error: rights, memory
	DroppedBroken  uint64 // sent when the connection broke: perhaps taken
}

// outlet sends what the emitters of all namespaces have to say, and keeps
// account of it.
type outlet struct {
	link *redislink.Link
	log  *slog.Logger
	wire wire

	mu       sync.Mutex // of what follows
	count    Stats
	current  *batch // of what is sent now
	loss     LostError
	refusing bool // logged once until Redis takes messages again
}

// batch is what was sent between two calls of flush.
type batch struct {
	left int           // messages without an answer, the batch before, and being current
	done chan struct{} // closed when nothing is left
	next *batch
}

func newBatch(before *batch) *batch {
	b := &batch{left: 1, done: make(chan struct{})}
	if before != nil {
		b.left++
		before.next = b
	}
	return b
}

// finish notes that one of what is left is over. It is called with the
// outlet's mu held.
func (b *batch) finish() {
	for ; b != nil; b = b.next {
		if b.left--; b.left > 0 {
			return
		}
		close(b.done)
	}
}

// send hands a message to the link.
func (o *outlet) send(m *nodewire.Message) error {
	command, err := o.wire.command(m)
	if err != nil {
		return fmt.Errorf("socketeer: emitter: %w", err)
	}
	o.mu.Lock()
	b := o.current
	b.left++
	o.count.Waiting++
	o.mu.Unlock()
	err = o.link.Send(command, func(_ rueidis.RedisMessage, err error) { o.answered(b, err, true) })
	if err != nil {
		o.answered(b, err, false)
		return advise(err)
	}
	return nil
}

// advise adds what to do.
func advise(err error) error {
	switch {
	case errors.Is(err, ErrBacklog):
		return fmt.Errorf("%w: call Flush and try again, or drop", err)
	case errors.Is(err, ErrDown):
		return fmt.Errorf("%w: it will be again by itself; Ready says what is wrong", err)
	}
	return err
}

// answered notes the end of a message. It counts as lost if its sender had no
// error.
func (o *outlet) answered(b *batch, err error, queued bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count.Waiting--
	o.tally(err)
	if err != nil && queued {
		o.loss.Count++
		if o.loss.Cause == nil {
			if _, refused := rueidis.IsRedisErr(err); refused {
				err = fmt.Errorf("redis: %w", err)
			}
			o.loss.Cause = err
		}
	}
	b.finish()
}

// tally counts the end of a message, with mu held. The link tells of outages;
// what Redis refuses, nobody else does.
func (o *outlet) tally(err error) {
	_, refused := rueidis.IsRedisErr(err)
	switch {
	case err == nil:
		o.count.Sent++
		o.refusing = false
	case errors.Is(err, ErrBacklog):
		o.count.DroppedBacklog++
	case errors.Is(err, ErrClosed):
		o.count.DroppedClosed++
	case errors.Is(err, ErrDown):
		o.count.DroppedDown++
	case refused:
		o.count.DroppedRefused++
		if !o.refusing {
			o.refusing = true
			o.log.Error("redis refuses messages", "err", err)
		}
	default:
		o.count.DroppedBroken++
	}
}

// flush waits for the answers to all that was sent before.
func (o *outlet) flush(ctx context.Context) error {
	o.mu.Lock()
	b := o.current
	o.current = newBatch(b)
	b.finish()
	o.mu.Unlock()
	select {
	case <-b.done:
	case <-ctx.Done():
		select {
		case <-b.done: // both at once
		default:
			return fmt.Errorf("socketeer: emitter: redis has not answered everything: %w", context.Cause(ctx))
		}
	}
	return o.takeLoss()
}

// takeLoss returns what was lost, once.
func (o *outlet) takeLoss() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.loss.Count == 0 {
		return nil
	}
	loss := o.loss
	o.loss = LostError{}
	return &loss
}

func (o *outlet) stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count
}
