package redislink_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// shards returns the names of some shard channels, all over the slots.
func shards() []string {
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprint("shard ", i))
	}
	return names
}

// everyShard waits until all shard channels carry messages.
func everyShard(t *testing.T, l *redislink.Link, got *sink) {
	t.Helper()
	for _, name := range shards() {
		passes(t, got, l.SPublish, name)
	}
}

func TestCluster(t *testing.T) {
	c := redistest.Cluster(t, 1)
	l, got := linked(t, redislink.Options{URLs: c.URLs()[:1], PublishTimeout: time.Second})
	if l.Mode() != redislink.Cluster {
		t.Fatal(l.Mode())
	}
	if err := l.SSubscribe(deadline(t), shards()...); err != nil {
		t.Fatal(err)
	}
	whole(t, l, got)
	everyShard(t, l, got)
	counts, err := l.ShardNumSub(deadline(t), shards()...)
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range counts {
		if n != 1 {
			t.Errorf("%d subscribe to %s", n, name)
		}
	}
	if counts, err = l.NumSub(deadline(t), "news"); err != nil || counts["news"] != 1 {
		t.Error(counts, err)
	}
	if names, err := l.ShardChannels(deadline(t), "shard *"); err != nil || len(names) != 30 {
		t.Error(names, err)
	}

	t.Run("a slot moves", func(t *testing.T) {
		slot := redislink.Slot("shard")
		from := c.Owner(slot)
		to := c.Nodes[0]
		if to == from {
			to = c.Nodes[1]
		}
		before := got.outageCount()
		c.Move(slot, to)
		whole(t, l, got)
		everyShard(t, l, got)
		eventually(t, "the outage to be told", func() bool { return got.outageCount() > before })
		if v := fmt.Sprint(to.Must("PUBSUB", "SHARDNUMSUB", "shard")); v != "[shard 1]" {
			t.Error(v)
		}
	})
	t.Run("a master steps down", func(t *testing.T) { stepsDown(t, c, l, got) })
	t.Run("a master dies", func(t *testing.T) {
		for i := range 3 {
			c.Nodes[i].Kill()
			eventually(t, "its replica to take over", func() bool {
				owner := c.Owner(uint16((i*16384/3 + 100)))
				return owner != nil && owner != c.Nodes[i]
			})
			whole(t, l, got)
			everyShard(t, l, got)
			c.Nodes[i].Restart()
		}
	})
	if st := l.Stats(); st.Resubscribed == 0 {
		t.Errorf("%+v", st)
	}
}

// stepsDown has the master at which the link listens hand its slots to its
// replica, and go on.
func stepsDown(t *testing.T, c *redistest.RedisCluster, l *redislink.Link, got *sink) {
	t.Helper()
	listening := func() *redistest.Server {
		for _, s := range c.Nodes {
			if fmt.Sprint(s.Must("PUBSUB", "NUMSUB", "news")) == "[news 1]" {
				return s
			}
		}
		return nil
	}
	old := listening()
	_, port, _ := strings.Cut(old.Addr(), ":")
	before := len(got.channelOutages())
	for _, s := range c.Nodes {
		if role := fmt.Sprint(s.Must("ROLE")); strings.HasPrefix(role, "[slave") && strings.Contains(role, " "+port+" ") {
			s.Must("CLUSTER", "FAILOVER")
			break
		}
	}
	eventually(t, "the link to listen elsewhere", func() bool {
		_ = l.Publish("news", []byte("now")) // it may have to wait
		s := listening()
		return s != nil && s != old
	})
	whole(t, l, got)
	eventually(t, "the outage to be told", func() bool { return len(got.channelOutages()) > before })
	// Else what the old one has delivered might come once more.
	if o := got.channelOutages()[before]; o.End.Sub(o.Start) < 250*time.Millisecond {
		t.Errorf("it listened elsewhere after %v", o.End.Sub(o.Start))
	}
}

func TestClusterOrder(t *testing.T) {
	c := redistest.Cluster(t, 0)
	l, got := open(t, redislink.Options{URLs: c.URLs()})
	if err := l.Subscribe(deadline(t), "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	// What is subscribed to at one node is known to the others at once:
	// PUBLISH goes to all of them.
	const n = 30_000
	for i := range n {
		if err := l.Publish([]string{"a", "b", "c"}[i%3], fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all messages", func() bool { return got.count() == n })
	for i, m := range got.list {
		if string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, m.Data)
		}
	}
}
