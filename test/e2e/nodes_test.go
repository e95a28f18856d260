package e2e_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a condition may take before its test fails.
const patience = 20 * time.Second

// flavour is a kind of node under test.
type flavour struct {
	kind    string   // "socketeer" or "oracle"
	command []string // starts one node
	redis   string   // URL; the oracle's way to be a cluster
}

// node is a running process.
type node struct {
	url string
	cmd *exec.Cmd
	out *output
	// exited is closed when the process is gone and err is set.
	exited chan struct{}
	err    error
}

// need skips the test when a tool is missing, and fails it where CI is set.
func need(t *testing.T, what string, found bool) {
	t.Helper()
	switch {
	case found:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is missing", what)
	default:
		t.Skipf("skipped: %s is missing", what)
	}
}

// needTool is need for an executable, whose path it returns.
func needTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	need(t, name, err == nil)
	return path
}

// needPackages is need for the packages of package-lock.json.
func needPackages(t *testing.T) {
	t.Helper()
	needTool(t, "node")
	_, err := os.Stat(filepath.Join("node_modules", "socket.io-client"))
	need(t, "node_modules (npm ci in test/e2e)", err == nil)
}

func oracle(t *testing.T) flavour {
	t.Helper()
	needPackages(t)
	script, err := filepath.Abs("oracle.js")
	if err != nil {
		t.Fatal(err)
	}
	return flavour{kind: "oracle", command: []string{needTool(t, "node"), script}}
}

// loopback is an address of this machine that no other process is likely to
// use: ports found free stay free until they are used.
func loopback() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+pid>>15&127, 1+pid>>8&127, 1+pid&127)
}

// freeAddrs returns n addresses that nothing listens on.
func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs[i] = l.Addr().String()
	}
	return addrs
}

// start starts n nodes, a cluster when there are several. They are stopped in
// good order when the test ends; one that does not stop so fails the test.
func start(t *testing.T, f flavour, n int, env ...string) []*node {
	t.Helper()
	addrs := freeAddrs(t, 2*n)
	peers := addrs[n:]
	nodes := make([]*node, n)
	for i := range nodes {
		vars := append([]string{"LISTEN=" + addrs[i], "NODE_NAME=node-" + strconv.Itoa(i)}, env...)
		if n > 1 {
			others := append(append([]string(nil), peers[:i]...), peers[i+1:]...)
			vars = append(vars, "CLUSTER_NAME=suite", "CLUSTER_ADDR="+peers[i],
				"CLUSTER_PEERS="+strings.Join(others, ","), "REDIS_URL="+f.redis)
		}
		nodes[i] = launch(t, f, addrs[i], vars)
	}
	for _, nd := range nodes {
		nd.await(t, "ready ")
	}
	return nodes
}

func launch(t *testing.T, f flavour, addr string, env []string) *node {
	t.Helper()
	cmd := exec.Command(f.command[0], f.command[1:]...)
	cmd.Env = append(append(os.Environ(), bundles(t)), env...)
	out := newOutput()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithParent()
	nd := &node{url: "http://" + addr, cmd: cmd, out: out, exited: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(nd.exited)
		nd.err = cmd.Wait()
		out.close()
	}()
	t.Cleanup(func() { nd.stop(t) })
	return nd
}

// bundles names the folder of the browser bundles for a node's environment.
func bundles(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("node_modules", "socket.io", "client-dist"))
	if err != nil {
		t.Fatal(err)
	}
	return "CLIENT_DIR=" + dir
}

// await waits for a line of output that begins with prefix.
func (nd *node) await(t *testing.T, prefix string) {
	t.Helper()
	if err := nd.out.await(prefix, patience); err != nil {
		t.Fatalf("%s: %v; its output:\n%s", nd.url, err, nd.out)
	}
}

func (nd *node) stop(t *testing.T) {
	if err := nd.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%s: %v", nd.url, err)
	}
	select {
	case <-nd.exited:
		if nd.err != nil {
			t.Errorf("%s stopped with %v", nd.url, nd.err)
		}
	case <-time.After(patience):
		t.Errorf("%s did not stop within %v", nd.url, patience)
		if err := nd.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-nd.exited
	}
	text := nd.out.String()
	if strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") {
		t.Errorf("%s has a race or a panic", nd.url)
	}
	if t.Failed() {
		t.Logf("output of %s:\n%s", nd.url, text)
	}
}

// startRedis starts a Redis of the test's own and returns its URL.
func startRedis(t *testing.T) string {
	t.Helper()
	path := needTool(t, "redis-server")
	addr := freeAddrs(t, 1)[0]
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--bind", host, "--port", port, "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--dir", t.TempDir())
	out := newOutput()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed: an error by nature
	})
	eventually(t, "Redis to answer", func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		defer c.Close()
		if _, err := io.WriteString(c, "PING\r\n"); err != nil {
			return false
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		return err == nil && line == "+PONG\r\n"
	})
	return "redis://" + addr
}

// eventually waits until done returns true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// output keeps what a process prints, for one who waits for a line.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at each change
	closed  bool
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(p), nil
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) await(prefix string, d time.Duration) error {
	deadline := time.After(d)
	for {
		o.mu.Lock()
		text, changed, closed := "\n"+o.text.String(), o.changed, o.closed
		o.mu.Unlock()
		if strings.Contains(text, "\n"+prefix) {
			return nil
		}
		if closed {
			return errors.New("it exited")
		}
		select {
		case <-changed:
		case <-deadline:
			return fmt.Errorf("no line %q within %v", prefix, d)
		}
	}
}
