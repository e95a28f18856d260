package loadgen_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/cluster"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// tableOf returns the report as people read it.
func tableOf(t *testing.T, r *loadgen.Report) string {
	t.Helper()
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	return table.String()
}

func TestRunBroadcast(t *testing.T) {
	addr := newServer(t)
	for name, rate := range map[string]float64{"saturated": 0, "paced": 2400} {
		t.Run(name, func(t *testing.T) {
			cfg := short(loadgen.Broadcast, addr)
			cfg.Rate = rate
			r := mustRun(t, cfg)
			checkLoad(t, cfg, r)
			if r.Room != cfg.Conns || r.Rooms != 1 || r.Load.Expected%uint64(cfg.Conns) != 0 {
				t.Errorf("%d rooms of %d, %d deliveries", r.Rooms, r.Room, r.Load.Expected)
			}
			if s := tableOf(t, r); !strings.Contains(s, "broadcast to 24, ") || !strings.Contains(s, "per delivery") {
				t.Error(s)
			}
		})
	}
}

// newCluster serves the bench application on n nodes of a cluster.
func newCluster(t *testing.T, n int) (addrs []string) {
	t.Helper()
	hub := buscluster.NewHub()
	var nodes []*buscluster.Node
	for i := range n {
		id, err := cluster.NewIdentity(fmt.Sprint("n", i))
		if err != nil {
			t.Fatal(err)
		}
		bus := hub.Bus()
		node, err := buscluster.New(bus, buscluster.Config{Identity: id, Interval: 50 * time.Millisecond, Timeout: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			node.Close(context.Background())
			bus.Close()
		})
		nodes = append(nodes, node)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, node := range nodes {
		if err := node.WaitPeers(ctx, n-1); err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, newServer(t, socketeer.WithAdapter(node)))
	}
	return addrs
}

func TestRunDirect(t *testing.T) {
	one, two := []string{newServer(t)}, newCluster(t, 2)
	for name, tt := range map[string]struct {
		addrs  []string
		change func(*loadgen.Config)
		to     string
	}{
		"one server":              {one, func(*loadgen.Config) {}, "to one socket, saturated with 1 in flight"},
		"two servers":             {two, func(*loadgen.Config) {}, "to one socket on another server, "},
		"two servers, paced":      {two, func(c *loadgen.Config) { c.Rate = 2000 }, "2,000/s asked for"},
		"two servers, users":      {two, func(c *loadgen.Config) { c.ToUser = true }, "to one user on another server, "},
		"two servers and loops":   {two, func(c *loadgen.Config) { c.Loops, c.Inflight = 2, 5 }, "with 5 in flight"},
		"users, paced, two loops": {one, func(c *loadgen.Config) { c.ToUser, c.Rate, c.Loops = true, 2000, 2 }, "to one user, "},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := short(loadgen.Direct, tt.addrs...)
			tt.change(&cfg)
			r := mustRun(t, cfg)
			checkLoad(t, cfg, r)
			if s := tableOf(t, r); !strings.Contains(s, tt.to) || !strings.Contains(s, "per message") {
				t.Error(s)
			}
		})
	}
}
