package mesh_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
	"github.com/socketeer-io/socketeer/adapter/internal/peertest"
	"github.com/socketeer-io/socketeer/adapter/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node starts one node and closes it at the end.
func node(tb testing.TB, o mesh.Options) *mesh.Cluster {
	tb.Helper()
	c, err := mesh.New(peertest.Patient(tb), o)
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

func quick(name string) mesh.Options {
	return mesh.Options{Name: name, Token: "secret", HeartbeatTimeout: 2 * time.Second, LeaveDelay: 20 * time.Millisecond}
}

// nodes starts n nodes, of which each knows the first.
func nodes(tb testing.TB, n int, adjust func(*mesh.Options)) (list []*mesh.Cluster) {
	tb.Helper()
	for i := range n {
		o := quick(fmt.Sprint("n", i))
		if i > 0 {
			o.Peers = []string{list[0].ClusterAddr()}
		}
		if adjust != nil {
			adjust(&o)
		}
		list = append(list, node(tb, o))
	}
	know(tb, list)
	return list
}

// know waits until the nodes know each other.
func know(tb testing.TB, list []*mesh.Cluster) {
	tb.Helper()
	for _, c := range list {
		if err := c.WaitPeers(peertest.Patient(tb), len(list)-1); err != nil {
			tb.Fatal(err)
		}
	}
}

func conform(t *testing.T, adjust func(*mesh.Options)) {
	adaptertest.Run(t, start(adjust), adaptertest.Options{Kill: kill})
}

func kill(_ testing.TB, f adapter.Factory) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f.(*mesh.Cluster).Close(ctx)
}

func TestConformance(t *testing.T) { conform(t, nil) }

// start is nodes for the suites.
func start(adjust func(*mesh.Options)) adaptertest.Nodes {
	return func(tb testing.TB, n int) (list []adapter.Factory) {
		for _, c := range nodes(tb, n, adjust) {
			list = append(list, c)
		}
		return list
	}
}

// With recovery, messages are kept before they leave.
func TestConformanceRecovery(t *testing.T) {
	recovery := func(o *mesh.Options) { o.Recovery = true }
	conform(t, recovery)
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint("log of ", n), func(t *testing.T) {
			adaptertest.RunLog(t, start(recovery), adaptertest.LogOptions{Nodes: n, Partial: true})
		})
	}
}

// With TLS, sockets are read and written in another way.
func TestConformanceTLS(t *testing.T) {
	cfg := peertest.SelfSigned(t)
	conform(t, func(o *mesh.Options) { o.TLS = cfg })
}
