package nats_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter/nats"
)

// A server stands still while much is sent, more than the kernel takes for it:
// who sends waits for writeTimeout at most, and the node says that it is not ready.
func TestStuffedConnectionHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	const (
		senders = 4
		enough  = 48 << 20 // in all
		longest = 9 * time.Second
	)
	server := natsProcesses(t, 1)[0]
	c := node(t, nats.Options{URL: server.url()})
	a, err := c.Open(patient(t), "/", &counter{})
	if err != nil {
		t.Fatal(err)
	}
	server.pause()
	var all sync.WaitGroup
	var sent, refused, slowest atomic.Int64
	data := make([]byte, 16<<10)
	for range senders {
		all.Go(func() {
			for sent.Add(int64(len(data))) < enough {
				begin := time.Now()
				m := toRoom(data)
				m.Target.Rooms = nil // to everybody
				if err := a.Publish(m); err != nil {
					refused.Add(1)
				}
				if took := int64(time.Since(begin)); took > slowest.Load() {
					slowest.Store(took)
				}
			}
		})
	}
	all.Wait()
	begin := time.Now()
	if c.Ready() == nil {
		t.Error("it is ready")
	}
	if took := time.Since(begin); took > longest {
		t.Errorf("it took %v to say so", took)
	}
	t.Logf("at most %v to send, %d of %d refused", time.Duration(slowest.Load()), refused.Load(), enough/len(data))
	if took := time.Duration(slowest.Load()); took > longest {
		t.Errorf("it took %v to send", took)
	}
	if n := c.Stats().Drops.Send; refused.Load() == 0 || n < uint64(refused.Load()) {
		t.Errorf("%d refused, %d counted", refused.Load(), n)
	}
	server.resume()
	eventually(t, "readiness", func() bool { return c.Ready() == nil })
}
