package peertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// The first node of a cluster finds none of its peers. That is said once, and
// they find each other when there is somebody to find.
func laterPeer(t *testing.T, a Adapter) {
	var log Log
	later := FreeAddr(t)
	o := options("first")
	o.Peers, o.Logger = []string{later}, log.Logger()
	first := a.node(t, o)
	Eventually(t, "the first attempt", func() bool { return log.Count(a.Says.NoPeer) > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond) // several attempts
	defer cancel()
	if err := first.WaitPeers(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "0 of 1 peers") {
		t.Errorf("got %v", err)
	}
	if err := first.Ready(); err != nil {
		t.Errorf("a lone node is not ready: %v", err)
	}
	if n := log.Count(a.Says.NoPeer); n != 1 {
		t.Errorf("said %d times that the peer is missing", n)
	}
	o = options("second")
	o.ClusterAddr = later
	know(t, first, a.node(t, o))
}

// All nodes dial all others, and themselves: there is still one way between
// each two, or messages would arrive twice.
func allNameAll(t *testing.T, a Adapter) {
	peers := []string{FreeAddr(t), FreeAddr(t), FreeAddr(t)}
	nodes := make([]Node, len(peers))
	var wg sync.WaitGroup
	for i, addr := range peers {
		wg.Go(func() {
			o := options(addr)
			o.ClusterAddr, o.Peers = addr, peers
			c, err := a.Start(Patient(t), o)
			if err != nil {
				t.Error(err)
				return
			}
			nodes[i] = c
			t.Cleanup(func() {
				if err := c.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	know(t, nodes...)
	from, to := Pair(t, nodes[0], nodes[1])
	for i := range byte(100) {
		if err := from.Publish(ToRoom([]byte{i})); err != nil {
			t.Fatal(err)
		}
	}
	for i := range byte(100) {
		if got := to.Next(t); got[0] != i {
			t.Fatalf("got %d, want %d", got[0], i)
		}
	}
	for _, c := range nodes {
		if s := c.Stats(); s.Duplicates != 0 || s.Gaps != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func strangers(t *testing.T, a Adapter) {
	var log Log // of both: only one of them knows why
	o := options("inside")
	o.Logger = log.Logger()
	inside := a.node(t, o)
	for name, c := range map[string]struct {
		change func(*Options)
		said   string
	}{
		"wrong token":     {func(o *Options) { o.Token = "wrong" }, a.Says.Token},
		"no token":        {func(o *Options) { o.Token = "" }, a.Says.Token},
		"another cluster": {func(o *Options) { o.ClusterName = "other" }, a.Says.Cluster},
	} {
		t.Run(name, func(t *testing.T) {
			before := log.Count(c.said)
			o := options("stranger")
			o.Peers, o.Logger = []string{inside.ClusterAddr()}, log.Logger()
			c.change(&o)
			stranger := a.node(t, o)
			Eventually(t, "the refusal", func() bool { return log.Count(c.said) > before })
			if n := len(stranger.Members()) + len(inside.Members()); n != 2 {
				t.Errorf("%d members", n)
			}
		})
	}
}

func tlsOnly(t *testing.T, a Adapter) {
	var log Log
	cfg := SelfSigned(t)
	first, second := a.two(t, func(o *Options) { o.TLS, o.Logger = cfg, log.Logger() })
	before := log.Count(a.Says.Plaintext)
	o := options("plain")
	o.Peers = []string{first.ClusterAddr(), second.ClusterAddr()}
	stranger := a.node(t, o)
	Eventually(t, "the refusal", func() bool { return log.Count(a.Says.Plaintext) > before })
	if n := len(stranger.Members()); n != 1 {
		t.Errorf("%d members without TLS", n)
	}
	if n := len(first.Members()); n != 2 {
		t.Errorf("%d members with TLS", n)
	}
}
