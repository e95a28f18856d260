package faults_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ownJetStream starts a NATS server with JetStream, and returns the flags of
// nodes that keep what recovery needs there.
func ownJetStream(t testing.TB) []string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()})
	must(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("no nats server")
	}
	return []string{"--nats", s.ClientURL(), "--nats-jetstream"}
}

// TestAllNodesKilled kills all nodes while they send. Their clients recover on
// one that is started afterwards: who was away before, and who was not.
func TestAllNodesKilled(t *testing.T) {
	t.Parallel()
	args := slices.Concat([]string{"--recovery", "1m"}, ownJetStream(t))
	nodes := []*command{serve(t, "a", args...), serve(t, "b", args...)}
	var h history
	stays, leaves := listen(t, "who stays", nodes[1].addr), listen(t, "who leaves", nodes[0].addr)
	all := []*listener{stays, leaves}
	for _, l := range all {
		l.join(t)
		<-l.connected
	}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	want := map[lane]int{}
	for _, n := range nodes {
		s := listen(t, "sender on "+n.name, n.addr)
		want[lane{n.name, said}] = 50
		senders.Go(func() { say(&h, s, n.name, stop) })
	}
	for _, l := range all {
		l.until(t, want)
	}
	leaves.to("")
	for l := range want {
		want[l] = 100
	}
	stays.until(t, want)
	stays.then("")
	for _, n := range nodes {
		n.kill()
	}
	close(stop)
	senders.Wait()

	fresh := serve(t, "fresh", args...)
	for _, l := range all {
		l.then(fresh.addr)
		select {
		case e := <-l.connected:
			if !e.recovered {
				t.Errorf("%s has not recovered", l.name)
			}
		case <-time.After(patience):
			t.Fatalf("%s does not come back", l.name)
		}
	}
	for w := range want {
		eventually(t, fmt.Sprint("both to have got the same of ", w.sender), func() bool {
			a, b := stays.numbers(w), leaves.numbers(w)
			return len(a) > 100 && slices.Equal(a, b)
		})
		for i, n := range stays.numbers(w) {
			if n != i {
				t.Fatalf("%s: number %d in the place of %d", w.sender, n, i)
			}
		}
	}
}

// numbers returns what a receiver has got in a lane.
func (r *receiver) numbers(l lane) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got[l])
}
