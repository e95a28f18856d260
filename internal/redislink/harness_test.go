package redislink_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redislink"
)

// sink collects what a link receives.
type sink struct {
	mu      sync.Mutex
	list    []redislink.Message
	outages []redislink.Outage
}

func (s *sink) receive(m redislink.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, m)
}

func (s *sink) outage(o redislink.Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outages = append(s.outages, o)
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

func (s *sink) got(channel, data string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.list {
		if m.Channel == channel && string(m.Data) == data {
			return true
		}
	}
	return false
}

// channelOutages are those of channels, without shard channels'.
func (s *sink) channelOutages() (list []redislink.Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outages {
		if !o.Shard {
			list = append(list, o)
		}
	}
	return list
}

func (s *sink) outageCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.outages)
}

// logged writes the link's log into the test's.
type logged struct{ t testing.TB }

func (l logged) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

// open opens a link whose messages go to a sink.
func open(t testing.TB, o redislink.Options) (*redislink.Link, *sink) {
	t.Helper()
	s := new(sink)
	if o.Receive == nil {
		o.Receive = s.receive
	}
	o.OnResubscribed = s.outage
	if o.ProbeInterval == 0 {
		o.ProbeInterval = 200 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(logged{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	l, err := redislink.Open(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, s
}

// deadline returns a context for one step of a test.
func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited in vain for " + what)
		}
	}
}

// passes waits until a link hears itself on a channel it subscribes to.
func passes(t testing.TB, s *sink, publish func(string, []byte) error, channel string) {
	t.Helper()
	i := 0
	eventually(t, "a message on "+channel, func() bool {
		i++
		_ = publish(channel, fmt.Appendf(nil, "pass %d", i)) // refused while Redis is away
		return s.heard(channel)
	})
}

// heard reports whether something passed on a channel, and forgets it.
func (s *sink) heard(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.list {
		if m.Channel == channel {
			s.list = nil
			return true
		}
	}
	return false
}
