package nats_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/nats"
)

// Of three NATS servers two are killed at once, so that nobody can agree on
// anything. Nodes go on for their own clients, hold nobody up for good, and say
// that they are not ready. When the two are back, everything is, and nothing was
// lost.
func TestJetStreamNoQuorum(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		keep    time.Duration
		spare   bool // the leader is the one that survives
		unready bool // it lasts until the nodes say so
	}{
		{"without the leader, kept within 1s", time.Second, false, true},
		{"the leader alone, kept within 1s", time.Second, true, true},
		{"without the leader, kept within 30s", 30 * time.Second, false, false},
		{"the leader alone, kept within 30s", 30 * time.Second, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			servers := natsProcesses(t, 3)
			nodes := spread(t, servers, nats.JetStreamOptions{KeepTimeout: c.keep})
			sites := attachAll(t, nodes)
			stop := traffic(sites)
			sites[0].waitLen(500)
			survivor := leaderOf(t, servers)
			if !c.spare {
				survivor = servers[(int(survivor.spec.Name[len("server")]-'0')+1)%3]
			}
			began := time.Now()
			for _, p := range servers {
				if p != survivor {
					p.kill()
				}
			}
			if c.keep == time.Second {
				for _, s := range sites {
					s.waitLen(len(s.events()) + 300)
				}
				nobodyHangs(t, sites[0])
			}
			for i, n := range nodes {
				if c.unready {
					eventually(t, fmt.Sprint("node ", i, " to say so"), func() bool { return n.Ready() != nil })
				}
			}
			t.Logf("after %v: %v", time.Since(began), nodes[0].Ready())
			lasts(5*time.Second - time.Since(began))
			for _, p := range servers {
				if p != survivor {
					p.start()
				}
			}
			for i, n := range nodes {
				sites[i].keptAgain()
				eventually(t, "readiness", func() bool { return n.Ready() == nil })
			}
			t.Logf("kept again after %v", time.Since(began))
			for i, n := range nodes {
				if s := n.JetStreamStats(); s.Drops != (nats.JetStreamStats{}).Drops || s.Gaps > 0 {
					t.Errorf("node %d: %+v", i, s)
				}
			}
			check(t, sites, stop(), c.keep > 10*time.Second)
		})
	}
}

// spread starts a node for each of some servers, which has that as its first.
func spread(t *testing.T, servers []*natsProcess, j nats.JetStreamOptions) (nodes []*nats.Cluster) {
	t.Helper()
	for i := range servers {
		urls := servers[i].url() + "," + servers[(i+1)%3].url() + "," + servers[(i+2)%3].url()
		nodes = append(nodes, keeping(t, urls, 1, j, func(o *nats.Options) { o.Name = fmt.Sprint("n", i) })...)
	}
	return nodes
}

// nobodyHangs does what nodes do for clients that come, while JetStream answers
// nothing.
func nobodyHangs(t *testing.T, s *site) {
	t.Helper()
	const limit = time.Second
	for what, do := range map[string]func(context.Context) error{
		"join": func(ctx context.Context) error { return s.a.Join(ctx, "another room") },
		"request": func(ctx context.Context) error {
			return s.a.Request(ctx, &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {})
		},
		"save": func(ctx context.Context) error { return s.log.SaveSession(ctx, &adapter.Session{SID: "x", PID: "y"}) },
		"take": func(ctx context.Context) error { _, err := s.log.TakeSession(ctx, "y"); return err },
		"drop": func(ctx context.Context) error { return s.log.DropSession(ctx, "y") },
		"missed": func(ctx context.Context) error {
			_, err := s.log.Missed(ctx, &adapter.Session{SID: "x"}, s.events()[10].offset)
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		begin := time.Now()
		err := do(ctx)
		cancel()
		took := time.Since(begin)
		t.Logf("%s: %v after %v", what, err, took)
		if took > 2*limit {
			t.Errorf("%s took %v", what, took)
		}
		var u *adapter.Unrecoverable
		switch what {
		case "join", "request":
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", what, err)
			}
		case "take", "missed":
			if !errors.As(err, &u) {
				t.Errorf("%s: %v", what, err)
			}
		default:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}
