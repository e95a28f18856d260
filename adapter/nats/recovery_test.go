package nats_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
	"github.com/socketeer-io/socketeer/adapter/nats"
)

// childEnv makes the test binary a node: its value is the node's name and the
// peer it joins, or the URL of a NATS server with JetStream.
const childEnv = "SOCKETEER_TEST_NODE"

func recovering(tb testing.TB, n int) (list []*nats.Cluster) {
	tb.Helper()
	for i := range n {
		o := quick(fmt.Sprint("n", i))
		o.Recovery = true
		if i > 0 {
			o.Peers = []string{list[0].ClusterAddr()}
		}
		list = append(list, node(tb, o))
	}
	for _, c := range list {
		if err := c.WaitPeers(patient(tb), n-1); err != nil {
			tb.Fatal(err)
		}
	}
	return list
}

func TestLogConformance(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n, " embedded"), func(t *testing.T) {
			adaptertest.RunLog(t, func(tb testing.TB, n int) (list []adapter.Factory) {
				for _, c := range recovering(tb, n) {
					list = append(list, c)
				}
				return list
			}, adaptertest.LogOptions{Nodes: n, Partial: true})
		})
	}
	t.Run("3 external", func(t *testing.T) {
		adaptertest.RunLog(t, func(tb testing.TB, n int) (list []adapter.Factory) {
			url := natsServer(tb)
			for range n {
				list = append(list, node(tb, nats.Options{URL: url, Recovery: true}))
			}
			for _, f := range list {
				if err := f.(*nats.Cluster).WaitPeers(patient(tb), n-1); err != nil {
					tb.Fatal(err)
				}
			}
			return list
		}, adaptertest.LogOptions{Nodes: 3, Partial: true})
	})
}

func TestNoLogWithoutRecovery(t *testing.T) {
	t.Parallel()
	a, err := node(t, quick("n")).Open(patient(t), "/", &counter{})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := a.(adapter.Log); ok {
		t.Error("it keeps messages that nobody asked it to keep")
	}
}

// runChild is the node in a child process: it keeps a session, and sends
// numbered messages and prints the offset of each until it is killed.
func runChild(spec string) error {
	name, peer, _ := strings.Cut(spec, " ")
	o := quick(name)
	o.Recovery = true
	if strings.HasPrefix(peer, "nats://") {
		o.Token, o.URL, o.JetStream = "", peer, &nats.JetStreamOptions{KeepTimeout: patience}
	} else {
		o.Peers = []string{peer}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := nats.New(ctx, o)
	if err != nil {
		return err
	}
	if err := c.WaitPeers(ctx, 1); err != nil {
		return err
	}
	a, err := c.Open(ctx, "/", &collector{})
	if err != nil {
		return err
	}
	log := a.(adapter.Log)
	log.Retain(time.Minute)
	if err := log.SaveSession(ctx, &adapter.Session{SID: "s", PID: "p " + name, Rooms: []string{"r"}, Data: []byte("{}"), Live: true}); err != nil {
		return err
	}
	kept := make(chan struct{}, 64) // some are always under way
	for i := 0; ; i++ {
		kept <- struct{}{}
		m := &adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{"r"}}, Data: fmt.Appendf(nil, "%s %d", name, i)}
		if err := log.Append(m, func(offset string) {
			fmt.Printf("got %d %s\n", i, offset)
			<-kept
		}); err != nil {
			return err
		}
	}
}

// child is a running child.
type child struct {
	name   string
	cmd    *exec.Cmd
	out    *bufio.Reader
	got    int    // the last number it printed
	offset string // and its offset
}

func startChild(tb testing.TB, name, peer string) *child {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+name+" "+peer)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	c := &child{name: name, cmd: cmd, out: bufio.NewReader(pipe)}
	tb.Cleanup(func() { c.kill() })
	return c
}

// read reads what the child printed until it has got to number n, or it ends.
func (c *child) read(n int) error {
	for c.got < n {
		line, err := c.out.ReadString('\n')
		if err != nil {
			return err
		}
		if _, err := fmt.Sscanf(line, "got %d %s", &c.got, &c.offset); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
	}
	return nil
}

func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		for c.read(1<<40) == nil { //nolint:revive // to the end
		}
		c.cmd.Wait()
	}
}

// collector keeps what a node is handed.
type collector struct {
	mu   sync.Mutex
	list []string
}

func (c *collector) Handle(m *adapter.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, string(m.Data))
}

func (c *collector) Answer(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
	reply(adapter.Response{Last: true})
}

// of returns the numbers that came from one node.
func (c *collector) of(name string) (numbers []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.list {
		numbers = append(numbers, numbersOf(name, s)...)
	}
	return numbers
}

func numbersOf(name string, list ...string) (numbers []int) {
	for _, s := range list {
		var n int
		if _, err := fmt.Sscanf(s, name+" %d", &n); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// follows checks that numbers go up by one.
func follows(tb testing.TB, what string, numbers []int, after int) {
	tb.Helper()
	for i, n := range numbers {
		if n != after+1+i {
			tb.Errorf("%s: %d after %d", what, n, after+i)
			return
		}
	}
}

// Two of three nodes are killed, one after the other, while they send. What they
// sent arrives on the third without a hole, and their clients recover there all
// that they had not got. The third goes on alone, and with one that comes back.
func TestKilledNodes(t *testing.T) {
	t.Parallel()
	o := quick("survivor")
	o.Recovery = true
	c := node(t, o)
	local := &collector{}
	a, err := c.Open(patient(t), "/", local)
	if err != nil {
		t.Fatal(err)
	}
	log := a.(adapter.Log)
	log.Retain(time.Minute)
	if err := a.Join(patient(t), "r"); err != nil {
		t.Fatal(err)
	}
	children := []*child{startChild(t, "a", c.ClusterAddr()), startChild(t, "b", c.ClusterAddr())}
	eventually(t, "two replicas in sync", func() bool { return c.Stats().Log.InSync == 2 })
	for _, k := range children {
		if err := k.read(2000); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range children {
		if err := k.read(k.got + 500); err != nil { // it sends while the other one is dead, too
			t.Fatal(err)
		}
		k.kill()
	}
	for _, k := range children {
		s, err := log.TakeSession(patient(t), "p "+k.name)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		missed, err := log.Missed(patient(t), s, k.offset)
		if err != nil {
			t.Fatalf("client of %s: %v", k.name, err)
		}
		var list []string
		for _, m := range missed {
			list = append(list, string(m.Data))
		}
		t.Logf("client of %s had %d; it missed %d messages, read in %v", k.name, k.got, len(list), time.Since(begin))
		follows(t, "recovered of its own node", numbersOf(k.name, list...), k.got)
		for _, other := range children {
			if n := numbersOf(other.name, list...); other != k && len(n) > 0 {
				follows(t, "recovered of the other node", n, n[0]-1)
				if n[len(n)-1] < other.got {
					t.Errorf("the client of %s missed what %s sent after %d: its client had %d", k.name, other.name, n[len(n)-1], other.got)
				}
			}
		}
	}
	for _, k := range children {
		follows(t, "live of "+k.name, local.of(k.name), local.of(k.name)[0]-1)
		if got := local.of(k.name); got[len(got)-1] < k.got {
			t.Errorf("the survivor got %d of %s, whose client had %d", got[len(got)-1], k.name, k.got)
		}
	}
	begin := time.Now()
	offsets := make(chan string, 1)
	if err := log.Append(toRoom([]byte("alone")), func(offset string) { offsets <- offset }); err != nil {
		t.Fatal(err)
	}
	if offset := <-offsets; offset == "" {
		t.Error("not kept")
	}
	t.Logf("alone: kept after %v", time.Since(begin))
	again := startChild(t, "a", c.ClusterAddr())
	if err := again.read(100); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a replica in sync", func() bool { return c.Stats().Log.InSync > 0 })
}

func childMain() int {
	if err := runChild(os.Getenv(childEnv)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
