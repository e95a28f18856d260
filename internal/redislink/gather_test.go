package redislink

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/socketeer-io/socketeer/internal/respite"
)

const gather = 2 * time.Millisecond

// gatherer returns a lane that nothing runs, in use just now.
func gatherer(ctx context.Context) *lane {
	l := &Link{options: Options{Gather: gather}, start: time.Now(), draining: make(chan struct{})}
	context.AfterFunc(ctx, func() { close(l.draining) })
	return &lane{link: l}
}

// waits returns for how long the lane gathers, if so many items come meanwhile.
func (n *lane) waits(more int) time.Duration {
	n.used = n.link.now()
	start := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(gather / 2) //nolint:forbidigo // within synctest
		n.mu.Lock()
		defer n.mu.Unlock()
		for range more {
			n.items = append(n.items, item{})
		}
	}()
	n.gather()
	d := time.Since(start)
	<-done
	return d
}

func TestMessagesThatComeOftenWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := gatherer(t.Context())
		if d := n.waits(0); d != 0 {
			t.Errorf("with nothing to send it waited %v", d)
		}
		n.items = make([]item, 1)
		for range 3 {
			if d := n.waits(1); d != gather {
				t.Errorf("waited %v, want %v", d, gather)
			}
		}
		n.used = n.link.now()
		time.Sleep(2*gather + 1) //nolint:forbidigo // within synctest
		start := time.Now()
		if n.gather(); time.Since(start) != 0 {
			t.Errorf("a message that came late waited %v", time.Since(start))
		}
		n.items = make([]item, gatherItems)
		if d := n.waits(0); d != 0 {
			t.Errorf("%d messages waited %v", gatherItems, d)
		}
		n.items, n.link.options.Gather = n.items[:1], -1
		if d := n.waits(1); d != 0 {
			t.Errorf("waited %v, and was not to", d)
		}
	})
}

func TestWhoWaitsForEachAnswerIsHardlyHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := gatherer(t.Context())
		n.items = make([]item, 1)
		var waited time.Duration
		for range 1000 {
			waited += n.waits(0)
		}
		if limit := 30 * gather; waited > limit {
			t.Errorf("1,000 messages one after the other waited %v in sum, want at most %v", waited, limit)
		}
		n.rest = respite.Rest{}
		n.rest.Waited(false)
		n.rest.Over()
		for range 3 {
			if d := n.waits(1); d != gather {
				t.Errorf("after a wait that was of use the next took %v, want %v", d, gather)
			}
		}
	})
}

func TestClosingDoesNotWaitForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := gatherer(ctx)
		n.items = make([]item, 1)
		cancel()
		synctest.Wait()
		if d := n.waits(0); d != 0 {
			t.Errorf("waited %v", d)
		}
	})
}
