// Package mixedtest is the suite of clusters that Go and Node.js servers form
// over Redis: whoever does something, it happens on both kinds, and neither
// notices which the other is. It has what such tests need besides: bytes that
// make no sense, and answers that are too large.
//
//	func TestMixed(t *testing.T) {
//		mixedtest.Run(t, mixedtest.Cluster{Adapter: "redis", URLs: urls, Start: start, ...})
//	}
package mixedtest

import (
	"context"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// Member is a Go node's place in a cluster.
type Member interface {
	adapter.Factory
	// WaitPeers returns when at least n other Go nodes are live.
	WaitPeers(ctx context.Context, n int) error
}

// Cluster is what the suite runs against.
type Cluster struct {
	// Start starts a Go node, and closes it at the end of the test.
	Start func(tb testing.TB, name string) Member
	// Adapter is what the Node.js servers use: see redistest.NodeOptions.
	Adapter string
	// URLs of Redis.
	URLs []string
	// Options of the Node.js servers' adapter.
	Options map[string]any
	// Recovery turns connection state recovery on, on all servers.
	Recovery bool

	// Confirmed says that a Go node's joins, leaves and disconnects have been
	// done on Node.js servers, too, when the call returns.
	Confirmed bool
	// AllRooms says that the adapter for Node.js can list all rooms.
	AllRooms bool
	// Emitter are options of @socket.io/redis-emitter; nil if it cannot reach
	// this cluster.
	Emitter map[string]any
	// Healthy checks a Go node at the end; nil: it does not.
	Healthy func(tb testing.TB, m Member)
}

// Run runs the suite as subtests of t.
func Run(t *testing.T, c Cluster) {
	t.Helper()
	w := New(t, c)
	for _, one := range []struct {
		name string
		skip bool
		run  func(*testing.T, *World)
	}{
		{"broadcast", false, broadcast},
		{"values", false, values},
		{"rooms", false, rooms},
		{"sockets", false, sockets},
		{"acknowledgements", false, acknowledgements},
		{"fetch", false, fetch},
		{"join and leave", false, joinAndLeave},
		{"server side", false, serverSide},
		{"rooms of all", !c.AllRooms, roomsOfAll},
		{"emitter", c.Emitter == nil, emitter},
		{"disconnect", false, disconnect},
	} {
		if one.skip {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			w.tb = t
			one.run(t, w)
		})
	}
	if c.Healthy != nil {
		for _, g := range w.Go {
			c.Healthy(t, g.Member)
		}
	}
}

// Patience is how long anything may take that must happen.
const Patience = 20 * time.Second

// Patient returns a context that ends after Patience.
func Patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	tb.Cleanup(cancel)
	return ctx
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
