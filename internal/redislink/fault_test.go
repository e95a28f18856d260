package redislink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/nettest"
	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// linked is a link with one subscription of each kind.
func linked(t *testing.T, o redislink.Options) (*redislink.Link, *sink) {
	t.Helper()
	l, got := open(t, o)
	ctx := deadline(t)
	for _, err := range []error{l.Subscribe(ctx, "news"), l.PSubscribe(ctx, "p.*"), l.SSubscribe(ctx, "shard")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return l, got
}

// whole waits until a link hears itself in every way, and is ready.
func whole(t *testing.T, l *redislink.Link, got *sink) {
	t.Helper()
	passes(t, got, l.Publish, "news")
	passes(t, got, l.Publish, "p.x")
	passes(t, got, l.SPublish, "shard")
	eventually(t, "readiness", func() bool { return l.Ready() == nil })
}

func TestServerRestarts(t *testing.T) {
	s := redistest.Standalone(t)
	l, got := linked(t, redislink.Options{URLs: []string{s.URL()}, PublishTimeout: 500 * time.Millisecond})
	whole(t, l, got)
	s.Kill()
	eventually(t, "the link to notice", func() bool { return l.Ready() != nil })
	eventually(t, "publishes to be dropped", func() bool { return errors.Is(l.Publish("news", nil), redislink.ErrDown) })
	if l.Stats().DroppedDown == 0 {
		t.Errorf("%+v", l.Stats())
	}
	s.Restart()
	whole(t, l, got)
	if got.outageCount() != 2 || l.Stats().Resubscribed != 4 {
		t.Errorf("%+v, %+v", got.outages, l.Stats())
	}
}

// TestNothingLostAfterRestart: an idle connection that the server closed is
// not written to.
func TestNothingLostAfterRestart(t *testing.T) {
	s := redistest.Standalone(t)
	// Probes would make the connection anew.
	l, got := linked(t, redislink.Options{URLs: []string{s.URL()}, ProbeInterval: time.Hour})
	whole(t, l, got)
	answered := make(chan error, 1)
	if err := l.Send(l.Client().B().Ping().Build(), func(_ rueidis.RedisMessage, err error) { answered <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil { // nothing is under way now
		t.Fatal(err)
	}
	before := l.Stats()
	s.Restart()
	eventually(t, "the subscriptions", func() bool { return got.outageCount() == 2 })
	idle := time.NewTimer(600 * time.Millisecond) // the link looks at connections that were idle for half a second
	<-idle.C
	if err := l.Publish("news", []byte("first")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first message", func() bool { return got.got("news", "first") })
	if st := l.Stats(); st.DroppedLost != 0 || st.Published <= before.Published {
		t.Errorf("%+v", st)
	}
}

func TestServerHangs(t *testing.T) {
	s := redistest.Standalone(t)
	l, got := linked(t, redislink.Options{URLs: []string{s.URL()}, PublishTimeout: 300 * time.Millisecond})
	whole(t, l, got)
	s.Pause()
	eventually(t, "the link to notice", func() bool { return l.Ready() != nil })
	start := time.Now()
	for range 1000 {
		_ = l.Publish("news", []byte("lost"))
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("publishing blocked for %v", d)
	}
	// A subscription waits, no longer than its context.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Subscribe(ctx, "later"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	s.Resume()
	whole(t, l, got)
	passes(t, got, l.Publish, "later")
}

func TestSubscriberIsKilled(t *testing.T) {
	s := redistest.Standalone(t)
	l, got := linked(t, redislink.Options{URLs: []string{s.URL()}})
	whole(t, l, got)
	s.Must("CLIENT", "KILL", "TYPE", "pubsub")
	eventually(t, "both outages to be told", func() bool { return got.outageCount() == 2 })
	whole(t, l, got)
	got.mu.Lock()
	defer got.mu.Unlock()
	for _, o := range got.outages {
		if o.Start.IsZero() || o.Start.After(o.End) || o.End.Sub(o.Start) > 5*time.Second {
			t.Errorf("%+v", o)
		}
	}
}

func TestPublisherIsKilled(t *testing.T) {
	s := redistest.Standalone(t)
	l, got := linked(t, redislink.Options{URLs: []string{s.URL()}})
	whole(t, l, got)
	s.Must("CLIENT", "KILL", "TYPE", "normal")
	whole(t, l, got)
	if got.outageCount() != 0 {
		t.Errorf("%+v", got.outages)
	}
}

func TestBlackHole(t *testing.T) {
	s := redistest.Standalone(t)
	p := nettest.StartProxy(t, s.Addr())
	l, got := linked(t, redislink.Options{URLs: []string{"redis://" + p.Addr()}, PublishTimeout: 300 * time.Millisecond, DialTimeout: 300 * time.Millisecond})
	whole(t, l, got)
	p.Blackhole(true)
	eventually(t, "the link to notice", func() bool { return l.Ready() != nil })
	p.Blackhole(false)
	whole(t, l, got)
	if st := l.Stats(); st.Reconnects < 3 {
		t.Errorf("%+v", st)
	}
}

// TestDeafButConnected: subscriptions that Redis forgot, on connections that
// work. Only the probe finds out.
func TestDeafButConnected(t *testing.T) {
	s := redistest.Standalone(t)
	l, got := linked(t, redislink.Options{URLs: []string{s.URL()}, ProbeInterval: 100 * time.Millisecond})
	whole(t, l, got)
	// A rule that takes away channels closes the connection, but one that
	// renames PUBLISH away does not; it answers, and nothing arrives.
	s.Must("ACL", "SETUSER", "default", "-publish")
	eventually(t, "the link to be deaf", func() bool { err := l.Ready(); return err != nil && strings.Contains(err.Error(), "does not arrive") })
	s.Must("ACL", "SETUSER", "default", "+publish")
	whole(t, l, got)
	if st := l.Stats(); st.ProbesMissed < 2 || st.DroppedRefused == 0 {
		t.Errorf("%+v", st)
	}
}

func TestBecomesReplica(t *testing.T) {
	s, other := redistest.Standalone(t), redistest.Standalone(t)
	l, got := linked(t, redislink.Options{URLs: []string{s.URL()}})
	whole(t, l, got)
	_, port, _ := strings.Cut(other.Addr(), ":")
	s.Must("REPLICAOF", "127.0.0.1", port)
	eventually(t, "the link to notice", func() bool { return l.Ready() != nil })
	s.Must("REPLICAOF", "NO", "ONE")
	whole(t, l, got)
}

func TestBacklogIsBounded(t *testing.T) {
	s := redistest.Standalone(t)
	l, _ := open(t, redislink.Options{URLs: []string{s.URL()}, BacklogBytes: 100_000, PublishTimeout: 5 * time.Second})
	s.Pause()
	data := make([]byte, 1000)
	var full int
	for range 3000 { // a batch may have left before
		if errors.Is(l.Publish("x", data), redislink.ErrBacklog) {
			full++
		}
	}
	if st := l.Stats(); full < 500 || st.DroppedBacklog != uint64(full) || st.Backlog > 100_000 {
		t.Errorf("%d refused, %+v", full, st)
	}
	s.Resume()
	eventually(t, "the backlog to drain", func() bool { return l.Stats().Backlog == 0 })
}

func TestQueueIsBounded(t *testing.T) {
	s := redistest.Standalone(t)
	release := make(chan struct{})
	l, _ := open(t, redislink.Options{
		URLs: []string{s.URL()}, QueueBytes: 100_000,
		Receive: func(redislink.Message) { <-release },
	})
	if err := l.Subscribe(deadline(t), "x"); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 1000)
	for range 500 {
		if err := l.Publish("x", data); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "drops", func() bool { return l.Stats().DroppedQueue > 300 })
	if st := l.Stats(); st.Queued > 101_000 {
		t.Errorf("%+v", st)
	}
	close(release)
	eventually(t, "the rest", func() bool { st := l.Stats(); return st.Received+st.DroppedQueue == 500 && st.Queued == 0 })
}

func TestSentinelFailsOver(t *testing.T) {
	set := redistest.Sentinel(t, redistest.Options{Password: "secret"})
	l, got := linked(t, redislink.Options{URLs: []string{set.URL()}})
	whole(t, l, got)
	if l.Mode() != redislink.Sentinel {
		t.Error(l.Mode())
	}
	set.Master.Kill()
	eventually(t, "the link to notice", func() bool { return l.Ready() != nil })
	eventually(t, "a failover", func() bool { return set.Current() == set.Replica.Addr() })
	whole(t, l, got)
	if v, err := l.Client().Do(deadline(t), l.Client().B().Incr().Key("n").Build()).AsInt64(); err != nil || v != 1 {
		t.Error(v, err)
	}
}

// TestMasterHangsAndIsReplaced: the old master comes back and is demoted.
func TestMasterHangsAndIsReplaced(t *testing.T) {
	set := redistest.Sentinel(t)
	l, got := linked(t, redislink.Options{URLs: []string{set.URL()}, PublishTimeout: 500 * time.Millisecond})
	whole(t, l, got)
	set.Master.Pause()
	eventually(t, "a failover", func() bool { return set.Current() == set.Replica.Addr() })
	set.Master.Resume()
	// It takes itself for the master until a sentinel tells it otherwise, and
	// so may a sentinel that has not heard of the failover yet.
	eventually(t, "the link to be at the new master", func() bool {
		return fmt.Sprint(set.Replica.Must("PUBSUB", "NUMSUB", "news")) == "[news 1]"
	})
	whole(t, l, got)
}
