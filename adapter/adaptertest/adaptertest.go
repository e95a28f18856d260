// Package adaptertest is the conformance suite of adapters: what a namespace
// may rely on, whatever carries its messages.
//
//	func TestConformance(t *testing.T) {
//		adaptertest.Run(t, startNodes, adaptertest.Options{Nodes: 3})
//	}
package adaptertest

import (
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
)

// Nodes starts a cluster of n nodes that know each other, and ends it by
// tb.Cleanup.
type Nodes func(tb testing.TB, n int) []adapter.Factory

// Options tell the suite what it runs against.
type Options struct {
	// Nodes in the cluster. With 1, only what concerns a lone node is tested;
	// else at least 3 are needed. Default 3.
	Nodes int
	// Kill ends a node without a goodbye, as a crash would. Nil skips the
	// tests that need it.
	Kill func(tb testing.TB, node adapter.Factory)
	// Lacks is what the adapter cannot do by its nature; the tests of it are
	// skipped.
	Lacks Capability
}

// Capability is a set of things that not every adapter can do.
type Capability uint

// The capabilities.
const (
	OrderAcrossTargets Capability = 1 << iota // one sender's messages to different rooms, and requests, keep their order
	ConfirmedJoin                             // Join returns when the room's messages arrive
	Interest                                  // a room's messages go only to nodes with members in it
	LargeMessages                             // of 900 KB
	NamedMissing                              // a PartialError names the nodes
	Verbatim                                  // what is no text or no valid event arrives byte for byte too
)

// Run runs the suite as subtests of t. They share one cluster, in a namespace
// each, but for those that break it.
func Run(t *testing.T, start Nodes, o Options) {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	s := suite{start: start, Options: o}
	t.Run("lone", func(t *testing.T) { s.lone(t) })
	if o.Nodes == 1 {
		return
	}
	if o.Nodes < 3 {
		t.Fatal("adaptertest: Nodes must be 1 or at least 3")
	}
	nodes := start(t, o.Nodes)
	for _, c := range s.cases() {
		t.Run(c.name, func(t *testing.T) {
			if o.Lacks&c.needs != 0 {
				t.Skip("the adapter cannot do this by its nature")
			}
			c.run(t, s.open(t, nodes, "/"+c.name))
		})
	}
	t.Run("namespaces are isolated", func(t *testing.T) { s.isolation(t, nodes) })
	t.Run("namespace open on one node only", func(t *testing.T) { s.openOnce(t, nodes) })
	t.Run("close", func(t *testing.T) { s.closing(t, nodes) })
	t.Run("node dies during a request", func(t *testing.T) { s.death(t) })
}

type suite struct {
	Options
	start Nodes
}

// open attaches namespace nsp of every node.
func (s *suite) open(t *testing.T, nodes []adapter.Factory, nsp string) []*site {
	t.Helper()
	sites := open(t, nodes, nsp)
	for _, site := range sites {
		site.lax = s.Lacks&OrderAcrossTargets != 0
	}
	return sites
}

type testCase struct {
	name  string
	needs Capability
	run   func(t *testing.T, s []*site)
}

func (s *suite) cases() []testCase {
	return []testCase{
		{"broadcast to all", 0, broadcastAll},
		{"broadcast to a room", 0, broadcastRoom},
		{"broadcast to several rooms", 0, broadcastRooms},
		{"broadcast to many rooms", 0, broadcastManyRooms},
		{"broadcast except", 0, broadcastExcept},
		{"broadcast to a socket", 0, broadcastSocket},
		{"broadcast to a recovered socket", 0, broadcastRecovered},
		{"content arrives unchanged", 0, content},
		{"content that makes no sense", Verbatim, verbatim},
		{"large messages", LargeMessages, large},
		{"strange room names", ConfirmedJoin, strangeRooms},
		{"order of one sender", 0, order},
		{"order across targets", OrderAcrossTargets, orderAcross},
		{"join is never late", ConfirmedJoin, joinHammer},
		{"join and leave in turn", ConfirmedJoin, churn},
		{"leave", 0, leave},
		{"only nodes with members", Interest | OrderAcrossTargets, interest},
		{"remote join, leave, disconnect", 0, remote},
		{"fetch", 0, fetch},
		{"acknowledgements", 0, acks},
		{"requests keep their place", OrderAcrossTargets, requestOrder},
		{"server-side emit", 0, serverSide},
		{"frozen node", NamedMissing, frozen},
		{"many requests at once", 0, concurrentRequests},
	}
}
