package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts n nodes on one hub.
func start(tb testing.TB, n int, adjust func(*buscluster.Config)) ([]*buscluster.Node, []*buscluster.LocalBus) {
	tb.Helper()
	hub := buscluster.NewHub()
	var nodes []*buscluster.Node
	var buses []*buscluster.LocalBus
	for i := range n {
		id, err := cluster.NewIdentity(fmt.Sprint("n", i))
		if err != nil {
			tb.Fatal(err)
		}
		cfg := buscluster.Config{
			Identity: id, Interval: 50 * time.Millisecond, Timeout: 2 * time.Second, LeaveDelay: 20 * time.Millisecond,
		}
		if adjust != nil {
			adjust(&cfg)
		}
		bus := hub.Bus()
		node, err := buscluster.New(bus, cfg)
		if err != nil {
			tb.Fatal(err)
		}
		if err := node.Start(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			node.Close(context.Background())
			bus.Close()
		})
		nodes, buses = append(nodes, node), append(buses, bus)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, node := range nodes {
		if err := node.WaitPeers(ctx, n-1); err != nil {
			tb.Fatal(err)
		}
	}
	return nodes, buses
}

func TestConformance(t *testing.T) {
	adaptertest.Run(t, func(tb testing.TB, n int) (list []adapter.Factory) {
		nodes, _ := start(tb, n, nil)
		for _, node := range nodes {
			list = append(list, node)
		}
		return list
	}, adaptertest.Options{Kill: func(tb testing.TB, f adapter.Factory) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f.(*buscluster.Node).Close(ctx)
	}})
}

func TestLogConformance(t *testing.T) {
	for n := range 4 {
		t.Run(fmt.Sprint(n+1, " nodes"), func(t *testing.T) {
			adaptertest.RunLog(t, func(tb testing.TB, n int) (list []adapter.Factory) {
				nodes, _ := start(tb, n, func(c *buscluster.Config) { c.Recovery, c.LogBytes = true, 16<<20 })
				for _, node := range nodes {
					list = append(list, node)
				}
				return list
			}, adaptertest.LogOptions{Nodes: n + 1, Partial: true, Trim: func(tb testing.TB, _ string, emit func()) {
				for range (16 << 20) / 1000 {
					emit()
				}
			}})
		})
	}
}

// With recovery on it is the same adapter.
func TestConformanceWithRecovery(t *testing.T) {
	adaptertest.Run(t, func(tb testing.TB, n int) (list []adapter.Factory) {
		nodes, _ := start(tb, n, func(c *buscluster.Config) { c.Recovery = true })
		for _, node := range nodes {
			list = append(list, node)
		}
		return list
	}, adaptertest.Options{Kill: func(tb testing.TB, f adapter.Factory) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f.(*buscluster.Node).Close(ctx)
	}})
}
