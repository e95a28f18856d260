package faults_test

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// trio are three nodes that know each other, each with JetStream of its own.
type trio struct {
	dir   string
	addrs []string
	flags []string
}

// startTrio starts them together, since they wait for each other.
func startTrio(t testing.TB, flags ...string) (w *trio, nodes []*command) {
	t.Helper()
	w = &trio{dir: t.TempDir(), flags: flags}
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
	return launch(t, names[i], append([]string{
		"--adapter", "nats", "--recovery", "1m", "--log-level", "debug",
		"--cluster-addr", w.addrs[i], "--cluster-peers", strings.Join(w.addrs, ","),
		"--nats-jetstream", "--nats-jetstream-dir", filepath.Join(w.dir, names[i]),
	}, w.flags...)...)
}

var names = []string{"a", "b", "c"}

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
// their own: the one that leads the stream, or another. Its clients recover on the
// others, which agree on new leaders meanwhile. When it is started again, a client
// goes on there.
func TestEmbeddedJetStreamNodeKilled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"the leader", "another"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, nodes := startTrio(t)
			doomed := leader(t, nodes)
			if name != "the leader" {
				doomed = (doomed + 1) % len(nodes)
			}
			nodes[0], nodes[doomed] = nodes[doomed], nodes[0]
			h, all := killAndCheck(t, nodes, true)
			again := w.launch(t, doomed)
			again.serves(t)
			goOn(t, h, nodes[1], again, all)
		})
	}
}

// goOn has the last of some clients change to another node while one that stays
// sends. All get everything.
func goOn(t *testing.T, h *history, stays, to *command, all []*listener) {
	t.Helper()
	where := lane{"afterwards", said}
	s, stop := listen(t, "sender afterwards", stays.addr), make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() { say(h, s, where.sender, stop) })
	l := all[len(all)-1]
	<-l.connected
	l.until(t, map[lane]int{where: 20})
	l.to(to.addr)
	select {
	case e := <-l.connected:
		if !e.recovered {
			t.Errorf("%s has not recovered on the node that is back", l.name)
		}
	case <-time.After(patience):
		t.Fatalf("%s does not come back", l.name)
	}
	progress(t, h, map[lane]int{where: 0}, all)
	close(stop)
	sender.Wait()
	progress(t, h, map[lane]int{where: 0}, all)
	for _, l := range all {
		for i, n := range l.numbers(where) {
			if n != i {
				t.Fatalf("%s: number %d in the place of %d", l.name, n, i)
			}
		}
	}
}
