// Package peertest is the suite of adapters whose nodes connect to each other:
// how they find each other, whom they turn away, and how they leave. What they
// carry is package adaptertest's.
//
//	func TestPeers(t *testing.T) {
//		peertest.Run(t, peertest.Adapter{Start: start, Says: peertest.Says{...}})
//	}
package peertest

import (
	"context"
	"crypto/tls"
	"log/slog"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/cluster"
)

// Node is a node as the suite sees it.
type Node interface {
	adapter.Factory
	adapter.Node
	adapter.Health
	ClusterAddr() string
	Members() []cluster.Member
	Watch(f func(cluster.Event)) (stop func())
	SetState(s cluster.State)
	SetAddr(addr string)
	SetCounts(f func() cluster.Counts)
	WaitPeers(ctx context.Context, n int) error
	Stats() buscluster.Stats
	Close(ctx context.Context) error
}

// Options are what the suite starts a node with. Zero fields are for the
// adapter's defaults.
type Options struct {
	Name, ClusterName, ClusterAddr, Token string
	Peers                                 []string
	TLS                                   *tls.Config
	MaxMessage                            int
	HeartbeatTimeout                      time.Duration
	Logger                                *slog.Logger
}

// Adapter is what the suite runs against.
type Adapter struct {
	// Start starts a node, as the adapter's New does. The suite closes it.
	Start func(ctx context.Context, o Options) (Node, error)
	// Says are parts of what nodes log.
	Says Says
}

// Says are parts of what a node logs, or the one that it talks to.
type Says struct {
	NoPeer    string // once, when a peer is not there
	Token     string // of a peer with another token
	Cluster   string // of a peer of another cluster
	Plaintext string // of a peer without TLS
}

// Run runs the suite as subtests of t.
func Run(t *testing.T, a Adapter) {
	for name, run := range map[string]func(*testing.T, Adapter){
		"a peer that is not there yet":        laterPeer,
		"all name peers including themselves": allNameAll,
		"strangers stay out":                  strangers,
		"TLS only":                            tlsOnly,
		"cluster address in use":              addressInUse,
		"an open address is warned of":        openAddress,
		"members tell state and load":         members,
		"a goodbye leaves":                    goodbye,
		"too large":                           tooLarge,
		"close is idempotent and concurrent":  closing,
	} {
		t.Run(name, func(t *testing.T) { run(t, a) })
	}
}

// Refuses checks that options are refused: each starts no node and is told so.
func Refuses[O any, N interface{ Close(context.Context) error }](t *testing.T, start func(context.Context, O) (N, error), bad map[string]O) {
	t.Helper()
	for name, o := range bad {
		if c, err := start(Patient(t), o); err == nil {
			c.Close(t.Context())
			t.Errorf("%s: accepted", name)
		} else if !told(err) {
			t.Errorf("%s: error %q", name, err)
		}
	}
}

// options are those of a node that finds its peers quickly.
func options(name string) Options {
	return Options{Name: name, Token: "secret", HeartbeatTimeout: 2 * time.Second}
}

// node starts a node and closes it at the end.
func (a Adapter) node(t *testing.T, o Options) Node {
	t.Helper()
	c, err := a.Start(Patient(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// two starts two nodes, n0 and n1, that know each other.
func (a Adapter) two(t *testing.T, adjust func(*Options)) (first, second Node) {
	t.Helper()
	o := options("n0")
	adjust(&o)
	first = a.node(t, o)
	o = options("n1")
	o.Peers = []string{first.ClusterAddr()}
	adjust(&o)
	second = a.node(t, o)
	know(t, first, second)
	return first, second
}

// know waits until the nodes know each other.
func know(t *testing.T, nodes ...Node) {
	t.Helper()
	for _, c := range nodes {
		if err := c.WaitPeers(Patient(t), len(nodes)-1); err != nil {
			t.Fatal(err)
		}
	}
}
