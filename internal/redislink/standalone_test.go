package redislink_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

func TestMessagesOfAllKinds(t *testing.T) {
	s := redistest.Standalone(t)
	l, got := open(t, redislink.Options{URLs: []string{s.URL()}})
	ctx := deadline(t)
	for _, err := range []error{l.Subscribe(ctx, "a", "b"), l.PSubscribe(ctx, "p.*"), l.SSubscribe(ctx, "s")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{l.Publish("a", []byte("1")), l.Publish("p.x", []byte("2")), l.SPublish("s", []byte("3"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three messages", func() bool { return got.count() == 3 })
	want := map[string]redislink.Message{
		"1": {Kind: redislink.Channel, Channel: "a"},
		"2": {Kind: redislink.Pattern, Channel: "p.x", Pattern: "p.*"},
		"3": {Kind: redislink.Shard, Channel: "s"},
	}
	for _, m := range got.list {
		w := want[string(m.Data)]
		if m.Kind != w.Kind || m.Channel != w.Channel || m.Pattern != w.Pattern {
			t.Errorf("%+v", m)
		}
	}
	if err := l.Unsubscribe(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	counts, err := l.NumSub(ctx, "a", "b")
	if err != nil || counts["a"] != 0 || counts["b"] != 1 {
		t.Errorf("%v, %v", counts, err)
	}
	if counts, err = l.ShardNumSub(ctx, "s", "none"); err != nil || counts["s"] != 1 || counts["none"] != 0 {
		t.Errorf("%v, %v", counts, err)
	}
	if names, err := l.Channels(ctx, "[ab]"); err != nil || len(names) != 1 || names[0] != "b" {
		t.Errorf("%v, %v", names, err)
	}
	if err := l.Ready(); err != nil || l.Mode() != redislink.Standalone {
		t.Error(l.Mode(), err)
	}
	eventually(t, "the counters", func() bool { return l.Stats().Published == 4 && l.Stats().Received == 3 })
}

func TestPublishesKeepTheirOrder(t *testing.T) {
	s := redistest.Standalone(t)
	l, got := open(t, redislink.Options{URLs: []string{s.URL()}})
	if err := l.Subscribe(deadline(t), "a", "b"); err != nil {
		t.Fatal(err)
	}
	const n = 100_000
	for i := range n {
		if err := l.Publish([]string{"a", "b"}[i%2], fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all messages", func() bool { return got.count() == n })
	for i, m := range got.list {
		if string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, m.Data)
		}
	}
	t.Logf("%+v", l.Stats())
}

func TestManySubscriptions(t *testing.T) {
	s := redistest.Standalone(t)
	l, got := open(t, redislink.Options{URLs: []string{s.URL()}, ProbeInterval: 5 * time.Second}) // on a busy machine that much is no silence
	const n = 50_000
	start := time.Now()
	done := make(chan error, n)
	for i := range n {
		go func() { done <- l.Subscribe(deadline(t), fmt.Sprint("channel ", i)) }()
	}
	for range n {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("subscribed in %v", time.Since(start))
	s.Restart()
	eventually(t, "the outage to be told", func() bool { return got.outageCount() == 1 })
	if o := got.outages[0]; o.Names != n+1 || !o.End.After(o.Start) {
		t.Errorf("%+v", o)
	}
	counts, err := l.NumSub(deadline(t), "channel 0", "channel 49999")
	if err != nil || counts["channel 0"] != 1 || counts["channel 49999"] != 1 {
		t.Errorf("%v, %v", counts, err)
	}
	passes(t, got, l.Publish, "channel 777")
}
