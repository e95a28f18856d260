package faults_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// trio are three nodes that know each other, each with JetStream of its own.
type trio struct {
	dir   string
	addrs []string
	wait  string // --nats-jetstream-wait
}

// startTrio starts them together, since they wait for each other.
func startTrio(t testing.TB, wait string) (w *trio, nodes []*command) {
	t.Helper()
	w = &trio{dir: t.TempDir(), wait: wait}
	for range 3 {
		w.addrs = append(w.addrs, freeAddr(t))
	}
	for i := range w.addrs {
		nodes = append(nodes, w.launch(t, i))
	}
	for _, n := range nodes {
		n.serves(t)
	}
	return w, nodes
}

// launch starts a node, which has what it had if it is started again.
func (w *trio) launch(t testing.TB, i int) *command {
	t.Helper()
	name := string(rune('a' + i))
	return launch(t, name, "--adapter", "nats", "--recovery", "1m", "--log-level", "debug",
		"--cluster-addr", w.addrs[i], "--cluster-peers", strings.Join(w.addrs, ","),
		"--nats-jetstream", "--nats-jetstream-dir", filepath.Join(w.dir, name), "--nats-jetstream-wait", w.wait)
}

// leader returns the node that leads the stream: the one that said so last.
func leader(t testing.TB, nodes []*command) int {
	t.Helper()
	last := func() *command {
		return slices.MaxFunc(nodes, func(a, b *command) int { return int(a.leads.Load() - b.leads.Load()) })
	}
	eventually(t, "a leader of the stream", func() bool { return last().leads.Load() > 0 })
	return slices.Index(nodes, last())
}

// TestEmbeddedJetStreamNodeKilled kills one of three nodes that have JetStream of
// their own: the one that leads the stream, or another. Clients recover on the
// others, which agree on a new leader meanwhile.
func TestEmbeddedJetStreamNodeKilled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"the leader", "another"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, nodes := startTrio(t, "20s")
			doomed := leader(t, nodes)
			if name != "the leader" {
				doomed = (doomed + 1) % len(nodes)
			}
			t.Logf("%s is killed", nodes[doomed].name)
			nodes[0], nodes[doomed] = nodes[doomed], nodes[0]
			killAndCheck(t, nodes, true)
		})
	}
}
