package faults_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/nettest"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// command is a node in a process of its own.
type command struct {
	*exec.Cmd
	name    string
	addr    string // where its clients connect
	serving chan string
	leads   atomic.Int64 // since when it leads the stream of messages, if JetStream is its own
	done    chan struct{}
}

var (
	servingAt = regexp.MustCompile(`msg=serving .*url=http://(\S+)`)
	leading   = regexp.MustCompile(`new stream leader for .* > \S+-log'`) // --log-level debug
)

// serve starts "socketeer serve" and waits until it serves.
func serve(t testing.TB, name string, args ...string) *command {
	t.Helper()
	c := launch(t, name, args...)
	c.serves(t)
	return c
}

// launch starts "socketeer serve".
func launch(t testing.TB, name string, args ...string) *command {
	t.Helper()
	args = append([]string{"serve", "--name", name, "--addr", "127.0.0.1:0", "--admin-addr", "off", "--app", "bench"}, args...)
	c := &command{Cmd: exec.Command(os.Args[0], args...), name: name, serving: make(chan string, 1), done: make(chan struct{})}
	c.Env = append(os.Environ(), asCommand+"=1")
	out, err := c.StderrPipe()
	must(t, err)
	must(t, c.Start())
	var log []string
	go func() {
		defer close(c.done)
		for s := bufio.NewScanner(out); s.Scan(); {
			log = append(log, s.Text())
			if m := servingAt.FindStringSubmatch(s.Text()); m != nil {
				c.serving <- m[1]
			}
			if leading.MatchString(s.Text()) {
				c.leads.Store(time.Now().UnixNano())
			}
		}
		_ = c.Wait() // its end is the test's doing
	}()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			for _, line := range log {
				t.Log(name, line)
			}
		}
	})
	return c
}

// serves waits until the node serves.
func (c *command) serves(t testing.TB) {
	t.Helper()
	select {
	case c.addr = <-c.serving:
	case <-c.done:
		t.Fatalf("%s has ended", c.name)
	case <-time.After(patience):
		t.Fatalf("%s does not serve", c.name)
	}
}

// kill ends the process as a crash does, and waits until it is gone.
func (c *command) kill() {
	_ = c.Process.Kill() // it may be gone
	<-c.done
}

// freeAddr is an address that is free now, and while its node is down.
func freeAddr(t testing.TB) string {
	t.Helper()
	return fmt.Sprint("127.0.0.1:", nettest.FreePort(t))
}

// TestNodeKilled kills the node of some clients while all nodes send. With an
// adapter that keeps messages they recover on the others: each has got everything
// once and in order. Without, they start over there, and the others' have lost
// nothing.
func TestNodeKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		adapter string
		keeps   bool
		over    func(testing.TB) []string // what all nodes connect to; nil: to each other
	}{
		{"redis", "redis", false, ownRedis}, {"redis-sharded", "redis-sharded", false, ownRedis},
		{"redis-streams", "redis-streams", true, ownRedis},
		{"nats", "nats", true, nil}, {"mesh", "mesh", true, nil}, {"nats-jetstream", "nats", true, ownJetStream},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--adapter", c.adapter}
			if c.keeps {
				args = append(args, "--recovery", "1m")
			}
			var first, others []string
			if c.over != nil {
				first = c.over(t)
				others = first
			} else {
				addr := freeAddr(t)
				first, others = []string{"--cluster-addr", addr}, []string{"--cluster-addr", "127.0.0.1:0", "--cluster-peers", addr}
			}
			first, others = slices.Concat(args, first), slices.Concat(args, others)
			nodes := []*command{serve(t, "doomed", first...), serve(t, "b", others...), serve(t, "c", others...)}
			killAndCheck(t, nodes, c.keeps)
		})
	}
}

func ownRedis(t testing.TB) []string { return []string{"--redis", redistest.Standalone(t).URL()} }

// said is the room of everybody.
const said = "room"

func (l *listener) join(t testing.TB) {
	t.Helper()
	_, err := l.socket.EmitWithAck(patient(t), "join", said)
	must(t, err)
}

// killAndCheck kills the first node. Its clients recover, or start over. It returns
// what was sent, and all clients.
func killAndCheck(t *testing.T, nodes []*command, recover bool) (h *history, all []*listener) {
	t.Helper()
	h = new(history)
	var doomed []*listener
	for i, n := range []*command{nodes[0], nodes[0], nodes[0], nodes[0], nodes[1], nodes[2]} {
		l := listen(t, fmt.Sprintf("client %d of %s", i, n.name), n.addr)
		l.join(t)
		if all = append(all, l); n == nodes[0] {
			doomed = append(doomed, l)
		}
	}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	want := map[lane]int{}
	for _, n := range nodes {
		s := listen(t, "sender on "+n.name, n.addr)
		want[lane{n.name, said}] = 100
		senders.Go(func() { say(h, s, n.name, stop) })
	}
	for _, l := range all {
		l.until(t, want)
	}
	killed := time.Now()
	ids, behind := make([]string, len(doomed)), make([]time.Time, len(doomed))
	for i, l := range doomed {
		ids[i] = l.socket.ID()
		l.then(nodes[1+i%2].addr)
		<-l.connected
		behind[i] = h.behind(l.receiver)
	}
	nodes[0].kill()
	for i, l := range doomed {
		select {
		case e := <-l.connected:
			if e.recovered != recover || (e.id == ids[i]) != recover {
				t.Errorf("%s: recovered %v, id %s was %s", l.name, e.recovered, e.id, ids[i])
			}
			if !e.recovered {
				l.join(t)
				l.absent(window{behind[i], time.Now()})
			}
		case <-time.After(patience):
			t.Fatalf("%s does not come back", l.name)
		}
	}
	t.Logf("all are back after %v", time.Since(killed))
	delete(want, lane{nodes[0].name, said})
	progress(t, h, want, all)
	close(stop)
	senders.Wait()
	progress(t, h, want, all)
	judgeKill(t, h, nodes[0].name, killed, all)
	return h, all
}

// progress waits until everybody has got what has been sent so far in some lanes.
func progress(t testing.TB, h *history, lanes map[lane]int, all []*listener) {
	t.Helper()
	sent := h.all()
	for l := range lanes {
		lanes[l] = len(sent[l]) - 1
	}
	for _, l := range all {
		l.until(t, lanes)
	}
}

// judgeKill allows for nothing but the last words of the dead: what it had not
// sent, and so nobody has got.
func judgeKill(t *testing.T, h *history, dead string, killed time.Time, all []*listener) {
	t.Helper()
	last := lane{dead, said}
	heard := make(map[int]bool) // by anybody who is there all the time
	for _, l := range all {
		if len(l.away) == 0 {
			for _, n := range l.got[last] {
				heard[n] = true
			}
		}
	}
	for _, l := range all {
		f := h.check(l.receiver)
		f.lost = slices.DeleteFunc(f.lost, func(m message) bool { return m.lane == last && !heard[m.number] })
		f.judge(t, l.receiver, killed)
	}
	t.Logf("last words that nobody heard: %d of %d", len(h.all()[last])-len(heard), len(h.all()[last]))
	for n := range len(heard) { // they are the last
		if !heard[n] {
			t.Errorf("number %d of the dead node was lost, and later ones were not", n)
		}
	}
}

// say has a client send, twice per pace, until the end or its node's.
func say(h *history, s *listener, name string, end <-chan struct{}) {
	tick := time.NewTicker(pace / 2)
	defer tick.Stop()
	for s.socket.Connected() {
		what := saying{name, said, h.next(lane{name, said})}
		if s.socket.Emit("say", said, what) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			return
		}
	}
}
