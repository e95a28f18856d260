package nats_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/nats"
	"github.com/socketeer-io/socketeer/internal/nettest"
)

// lasts waits: the fault is that something does not end sooner.
func lasts(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

// The connections of one of three nodes swallow everything and are not reset: for
// a while, in which new ones do so, too, or for good, and new ones work. The node
// notices, and nothing is lost.
func TestJetStreamLinkSwallows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		keep  time.Duration
		fault func(*nettest.Proxy)
		all   bool // everything is kept in time
	}{
		{"for a while, kept within 1s", time.Second, swallowFor(10 * time.Second), false},
		{"for a while, kept within 20s", 20 * time.Second, swallowFor(8 * time.Second), true},
		{"for good, kept within 1s", time.Second, (*nettest.Proxy).Swallow, false},
		{"for good, kept within 10s", 10 * time.Second, (*nettest.Proxy).Swallow, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := natsProcesses(t, 1)[0]
			u, err := url.Parse(server.url())
			if err != nil {
				t.Fatal(err)
			}
			p := nettest.StartProxy(t, u.Host)
			nodes := keeping(t, server.url(), 3, nats.JetStreamOptions{KeepTimeout: c.keep}, func(o *nats.Options) {
				if o.Name == "n0" {
					o.URL = "nats://" + p.Addr()
				}
			})
			sites := attachAll(t, nodes)
			stop := traffic(sites)
			sites[0].waitLen(500)
			back := comeBack(t, sites[1], sites[0])
			struck, noticed := time.Now(), make(chan time.Duration, 1)
			go func() {
				eventually(t, "the node to notice", func() bool { return nodes[0].Ready() != nil })
				noticed <- time.Since(struck)
			}()
			c.fault(p)
			t.Logf("noticed after %v", <-noticed)
			eventually(t, "readiness", func() bool { return nodes[0].Ready() == nil })
			sites[0].keptAgain()
			took := time.Since(struck)
			t.Logf("kept again after %v", took)
			for i, n := range nodes {
				if s := n.JetStreamStats(); s.Drops != (nats.JetStreamStats{}).Drops || (s.Replaced > 0) != (i == 0) {
					t.Errorf("node %d: %+v", i, s)
				}
			}
			if err := <-back; err != nil && took < comeBackTime {
				t.Errorf("who comes back meanwhile: %v", err)
			}
			check(t, sites, stop(), c.all)
		})
	}
}

// comeBackTime is how long a server lets the taking of a session take.
const comeBackTime = 15 * time.Second

// comeBack has sessions of one node taken on another, one after the other.
func comeBack(t *testing.T, from, to *site) <-chan error {
	t.Helper()
	const count = 8
	for i := range count {
		if err := from.log.SaveSession(patient(t), &adapter.Session{SID: fmt.Sprint("s", i), PID: fmt.Sprint("p", i)}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		errs := make(chan error, count)
		for i := range count {
			lasts(300 * time.Millisecond)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), comeBackTime)
				defer cancel()
				_, err := to.log.TakeSession(ctx, fmt.Sprint("p", i))
				errs <- err
			}()
		}
		var all error
		for range count {
			all = errors.Join(all, <-errs)
		}
		done <- all
	}()
	return done
}

func swallowFor(d time.Duration) func(*nettest.Proxy) {
	return func(p *nettest.Proxy) {
		p.Blackhole(true)
		lasts(d)
		p.Blackhole(false)
	}
}

// The one NATS server stands still for 10 s and goes on.
func TestJetStreamServerPaused(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]time.Duration{"kept within 1s": time.Second, "kept within 20s": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := natsProcesses(t, 1)[0]
			nodes := keeping(t, server.url(), 3, nats.JetStreamOptions{KeepTimeout: keep})
			sites := attachAll(t, nodes)
			stop := traffic(sites)
			sites[0].waitLen(500)
			server.pause()
			began := time.Now()
			for _, n := range nodes {
				eventually(t, "the node to notice", func() bool { return n.Ready() != nil })
			}
			t.Logf("noticed after %v", time.Since(began))
			lasts(10*time.Second - time.Since(began))
			server.resume()
			for i, n := range nodes {
				sites[i].keptAgain()
				eventually(t, "readiness", func() bool { return n.Ready() == nil })
			}
			t.Logf("kept again after %v", time.Since(began))
			check(t, sites, stop(), keep > 10*time.Second)
		})
	}
}
