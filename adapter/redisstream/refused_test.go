package redisstream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// refusals are servers that publish and do not write.
var refusals = map[string]struct{ begin, end []string }{
	"no memory":   {[]string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}},
	"no replicas": {[]string{"CONFIG", "SET", "min-replicas-to-write", "1"}, []string{"CONFIG", "SET", "min-replicas-to-write", "0"}},
}

// fetch asks all nodes, as long as a request may take.
func (s *site) fetch() error {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	return s.a.Request(ctx, &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {})
}

// Redis publishes and refuses to write: requests are answered all the same, the
// node is not ready, and everything resumes by itself.
func TestWritesRefused(t *testing.T) {
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			r := redistest.Standalone(t)
			nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}})
			a, b := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
			a.emit("before")
			before := b.offsetOf("before")
			r.Must(refusal.begin...)
			a.emit("unkept")
			if err := a.fetch(); err != nil { // waits, for it is behind what is refused
				t.Errorf("at first: %v", err)
			}
			if o := a.offsetOf("unkept"); o != "" {
				t.Errorf("kept at %s", o)
			}
			if n := nodes[0].Stats().Overtaken; n != 1 {
				t.Errorf("%d requests overtook", n)
			}
			begin := time.Now()
			for range 10 { // it is known by now
				if err := a.fetch(); err != nil {
					t.Errorf("later: %v", err)
				}
			}
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("ten requests took %v", took)
			}
			if err := nodes[0].Ready(); err == nil || !strings.Contains(err.Error(), "cannot be written") {
				t.Errorf("ready: %v", err)
			}
			if err := nodes[1].Ready(); err != nil { // it has nothing to write
				t.Errorf("the other node is not ready: %v", err)
			}
			r.Must(refusal.end...)
			b.offsetOf("unkept")
			eventually(t, "ready", func() bool { return nodes[0].Ready() == nil })
			settled(t, a, "after")
			for _, s := range []*site{a, b} {
				eventually(t, "the gap", func() bool { _, err := s.missed(before, "r"); return reason(t, err) == adapter.Gap })
			}
			if d := nodes[0].Stats().Drops; d != (redisstream.Drops{}) {
				t.Errorf("dropped %+v", d)
			}
		})
	}
}

// A marker of a gap, which is tried until Redis takes it, holds nothing up: no
// request, nor the end of the node.
func TestMarkerHoldsNothingUp(t *testing.T) {
	r := redistest.Standalone(t)
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}, KeepTimeout: 100 * time.Millisecond, PublishTimeout: 300 * time.Millisecond})
	a := attach(t, nodes[0], "/")
	attach(t, nodes[1], "/")
	refusal := refusals["no memory"]
	r.Must(refusal.begin...)
	a.emit("unkept")
	if err := a.fetch(); err != nil {
		t.Error(err)
	}
	if s := nodes[0].Stats(); s.Overtaken != 0 || s.Drops.Refused != 1 {
		t.Errorf("got %+v", s)
	}
	closed := make(chan struct{})
	go func() { nodes[0].Close(context.Background()); close(closed) }()
	select {
	case <-closed:
	case <-time.After(patience):
		r.Must(refusal.end...)
		t.Fatal("the node does not close")
	}
}

// What goes past the stream and waits for what was sent before it is bounded
// with that.
func TestWaitingIsBounded(t *testing.T) {
	r := redistest.Standalone(t)
	const limit, count, size = 1 << 20, 1000, 10_000
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}, BacklogBytes: limit})
	a, b := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
	refusal := refusals["no memory"]
	r.Must(refusal.begin...)
	a.emit("unkept")
	data := fmt.Appendf(nil, `["e",%q]`, strings.Repeat("x", size))
	errs := 0
	for range count {
		if err := a.a.Publish(&adapter.Message{Kind: adapter.ServerSideEmit, Data: data}); err != nil {
			errs++
		}
	}
	if dropped := nodes[0].Stats().Drops.Backlog; errs < count-limit/size || dropped != uint64(errs) {
		t.Errorf("%d refused, %d counted", errs, dropped)
	}
	b.waitLen(count - errs)
	r.Must(refusal.end...)
	b.offsetOf("unkept")
	if n := len(b.waitLen(count - errs + 1)); n != count-errs+1 {
		t.Errorf("got %d", n)
	}
}

// Nothing is left to write when Redis takes writes again: the node finds out
// all the same.
func TestReadyAgain(t *testing.T) {
	r := redistest.Standalone(t)
	c := start(t, redisstream.Options{URLs: []string{r.URL()}, PublishTimeout: 300 * time.Millisecond})
	a := attach(t, c, "/")
	refusal := refusals["no memory"]
	r.Must(refusal.begin...)
	if err := a.a.Publish(&adapter.Message{Kind: adapter.Broadcast, Data: []byte(`["e"]`)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a drop", func() bool { return c.Stats().Drops.Refused == 1 })
	if c.Ready() == nil {
		t.Error("ready")
	}
	r.Must(refusal.end...)
	eventually(t, "ready", func() bool { return c.Ready() == nil })
	if n := r.Must("XLEN", "socket.io"); n != int64(0) {
		t.Errorf("the stream has %v entries", n)
	}
}

// While Redis takes nothing, the clients of a node go on getting what is sent,
// however much that is: what has waited the longest is dropped for others.
func TestLocalTrafficGoesOn(t *testing.T) {
	r := redistest.Standalone(t)
	const limit, count, size = 100_000, 30, 10_000
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}, BacklogBytes: limit, KeepTimeout: 40 * time.Millisecond})
	a, b := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
	refusal := refusals["no memory"]
	r.Must(refusal.begin...)
	for i := range count {
		data := fmt.Sprint(i, strings.Repeat("x", size))
		a.emit(data)
		if o := a.offsetOf(data); o != "" {
			t.Errorf("message %d was kept at %s", i, o)
		}
	}
	if n := nodes[0].Stats().Drops.Backlog; n < count-limit/size || n > count {
		t.Errorf("%d dropped", n)
	}
	r.Must(refusal.end...)
	eventually(t, "what is kept", func() bool {
		a.emit("kept again")
		return b.offsetOf("kept again") != ""
	})
}
