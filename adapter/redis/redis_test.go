package redis_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// In a Redis Cluster rueidis closes old connections 5 s after a refresh.
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

const patience = 20 * time.Second

func patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// node starts one node and closes it at the end.
func node(tb testing.TB, o redis.Options) *redis.Cluster {
	tb.Helper()
	c, err := redis.New(patient(tb), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return c
}

var clusters atomic.Uint64

// nodes starts a cluster of n nodes that know each other.
func nodes(tb testing.TB, o redis.Options, n int) (list []*redis.Cluster) {
	tb.Helper()
	o.Prefix = fmt.Sprint("test", clusters.Add(1))
	o.HeartbeatTimeout, o.LeaveDelay = 2*time.Second, 20*time.Millisecond
	for i := range n {
		o.Name = fmt.Sprint("n", i)
		list = append(list, node(tb, o))
	}
	for _, c := range list {
		if err := c.WaitPeers(patient(tb), n-1); err != nil {
			tb.Fatal(err)
		}
	}
	return list
}

func conform(t *testing.T, o redis.Options, lacks adaptertest.Capability) {
	t.Helper()
	adaptertest.Run(t, func(tb testing.TB, n int) (list []adapter.Factory) {
		for _, c := range nodes(tb, o, n) {
			list = append(list, c)
		}
		return list
	}, adaptertest.Options{Kill: kill, Lacks: lacks | adaptertest.Verbatim})
}

func kill(_ testing.TB, f adapter.Factory) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f.(*redis.Cluster).Close(ctx)
}

func TestConformance(t *testing.T) {
	server := redistest.Standalone(t)
	for _, o := range wires {
		t.Run(name(o), func(t *testing.T) {
			o.URLs = []string{server.URL()}
			conform(t, o, 0)
		})
	}
}

// TestConformanceCluster: in a Redis Cluster each shard channel keeps its order,
// and no more.
func TestConformanceCluster(t *testing.T) {
	cluster := redistest.Cluster(t, 0)
	for _, o := range wires {
		t.Run(name(o), func(t *testing.T) {
			o.URLs = cluster.URLs()
			lacks := adaptertest.OrderAcrossTargets
			if o.Mode == redis.Classic || o.Subscription == redis.Static {
				lacks = 0 // one connection, or one channel
			}
			conform(t, o, lacks)
		})
	}
}

// wires are all of them.
var wires = []redis.Options{
	{Mode: redis.Classic},
	{Mode: redis.Sharded, Subscription: redis.Dynamic},
	{Mode: redis.Sharded, Subscription: redis.Static},
	{Mode: redis.Sharded, Subscription: redis.DynamicPrivate},
}

func name(o redis.Options) string {
	if o.Mode == redis.Classic {
		return "classic"
	}
	return o.Mode.String() + " " + o.Subscription.String()
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
