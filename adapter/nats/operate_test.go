package nats_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/adapter/internal/peertest"
	"github.com/socketeer-io/socketeer/adapter/nats"
)

// The other tests of this package use them, too.
var (
	eventually = peertest.Eventually
	toRoom     = peertest.ToRoom
)

func TestPeers(t *testing.T) {
	t.Parallel()
	peertest.Run(t, peertest.Adapter{
		Start: func(ctx context.Context, o peertest.Options) (peertest.Node, error) {
			c, err := nats.New(ctx, nats.Options{
				Name: o.Name, ClusterName: o.ClusterName, ClusterAddr: o.ClusterAddr, Peers: o.Peers, Token: o.Token, TLS: o.TLS,
				MaxMessage: o.MaxMessage, HeartbeatTimeout: o.HeartbeatTimeout, LeaveDelay: 20 * time.Millisecond, Logger: o.Logger,
			})
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		Says: peertest.Says{
			NoPeer: "Error trying to connect to route", Token: "authentication error", Cluster: "does not match", Plaintext: "TLS route handshake error",
		},
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	peertest.Refuses(t, nats.New, map[string]nats.Options{
		"URL and peers":      {URL: "nats://x", Peers: []string{"a:1"}},
		"URL and address":    {URL: "nats://x", ClusterAddr: "a:1"},
		"address":            {ClusterAddr: "nonsense"},
		"port":               {ClusterAddr: "a:70000"},
		"peer without port":  {Peers: []string{"no-port"}},
		"peer without host":  {Peers: []string{":1"}},
		"cluster name":       {ClusterName: "two words"},
		"small message":      {MaxMessage: 10},
		"large message":      {MaxMessage: 1 << 30},
		"long name":          {Name: strings.Repeat("x", 300)},
		"queue and interval": {HeartbeatInterval: 1, QueueBytes: 10},
	})
}

func TestExternalOutOfReach(t *testing.T) {
	t.Parallel()
	_, err := nats.New(patient(t), nats.Options{URL: "nats://me:secret@" + peertest.FreeAddr(t)})
	if err == nil || !strings.Contains(err.Error(), "no connection to nats at nats://***@127.0.0.1") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestClustersOnOneServerDoNotMix(t *testing.T) {
	t.Parallel()
	url := natsServer(t)
	a := node(t, nats.Options{URL: url, ClusterName: "a"})
	b := node(t, nats.Options{URL: url, ClusterName: "b"})
	b2 := node(t, nats.Options{URL: url, ClusterName: "b"})
	if err := b.WaitPeers(patient(t), 1); err != nil {
		t.Fatal(err)
	}
	if n := len(a.Members()); n != 1 || b2.ClusterAddr() != "" {
		t.Errorf("%d members", n)
	}
}

// pair opens "/" on two nodes; the second has a member in "r".
func pair(t *testing.T, all []*nats.Cluster) (from adapter.Adapter, to *counter) {
	t.Helper()
	for _, c := range all {
		if err := c.WaitPeers(patient(t), len(all)-1); err != nil {
			t.Fatal(err)
		}
	}
	to = &counter{done: make(chan struct{})}
	to.want.Store(1 << 40)
	var sides [2]adapter.Adapter
	for i, l := range []adapter.Local{&counter{}, to} {
		a, err := all[i].Open(patient(t), "/", l)
		if err != nil {
			t.Fatal(err)
		}
		sides[i] = a
	}
	if err := sides[1].Join(patient(t), "r"); err != nil {
		t.Fatal(err)
	}
	return sides[0], to
}

// An external server that goes away takes readiness with it, and nothing else;
// when it is back, so is everything that was joined.
func TestExternalServerRestarts(t *testing.T) {
	t.Parallel()
	opts := &server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true}
	start := func() *server.Server {
		s, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if !s.ReadyForConnections(patience) {
			t.Fatal("no nats server")
		}
		return s
	}
	s := start()
	var all []*nats.Cluster
	for _, name := range []string{"a", "b"} {
		o := quick(name)
		o.Token, o.URL, o.HeartbeatInterval, o.HeartbeatTimeout = "", s.ClientURL(), 50*time.Millisecond, time.Second
		all = append(all, node(t, o))
	}
	from, to := pair(t, all)
	opts.Port = s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	for _, c := range all {
		eventually(t, "the loss to be noticed", func() bool { return c.Ready() != nil })
		eventually(t, "peers to be given up", func() bool { return c.Stats().Peers == 0 })
	}
	if err := from.Request(patient(t), &adapter.Message{Kind: adapter.Fetch}, nil); err != nil {
		t.Errorf("request alone: %v", err)
	}
	s = start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	for _, c := range all {
		if err := c.WaitPeers(patient(t), 1); err != nil {
			t.Fatal(err)
		}
		eventually(t, "readiness", func() bool { return c.Ready() == nil })
	}
	before := to.n.Load()
	if err := from.Publish(toRoom([]byte(`["again"]`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a message", func() bool { return to.n.Load() > before })
}

func TestTooLargeForTheServer(t *testing.T) {
	t.Parallel()
	url := natsServer(t) // takes 1 MiB
	all := []*nats.Cluster{node(t, nats.Options{URL: url}), node(t, nats.Options{URL: url})}
	from, to := pair(t, all)
	var large *buscluster.TooLargeError
	if err := from.Publish(toRoom(make([]byte, 2<<20))); !errors.As(err, &large) || large.Limit != 1<<20 {
		t.Errorf("got %v", err)
	}
	if err := from.Publish(toRoom(make([]byte, 1000))); err != nil {
		t.Error(err)
	}
	eventually(t, "the smaller one", func() bool { return to.n.Load() == 1 })
}
