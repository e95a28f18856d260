package client_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// peerOptions say what a server under test offers. The zero value is what the
// JavaScript server does by default.
type peerOptions struct {
	Port         int      `json:"port"` // 0 picks a free one
	Recovery     bool     `json:"recovery,omitempty"`
	Transports   []string `json:"transports,omitempty"`
	PingInterval int      `json:"pingInterval,omitempty"` // ms
	PingTimeout  int      `json:"pingTimeout,omitempty"`  // ms
	MaxPayload   int      `json:"maxPayload,omitempty"`   // bytes
	Cookie       bool     `json:"cookie,omitempty"`
}

// peer is a server that the client is tested against. Its behaviour is that of
// test/client-peer/server.js.
type peer interface {
	URL() string
	Kill()    // cuts everything at once
	Restart() // starts again, on the same port
}

// peers are the servers that every test runs against.
var peers = []struct {
	name  string
	start func(t *testing.T, opts peerOptions) peer
}{
	{"node", startNode},
	{"go", startGo},
}

// eachPeer runs a test against each server.
func eachPeer(t *testing.T, opts peerOptions, test func(t *testing.T, p peer)) {
	t.Helper()
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) { test(t, p.start(t, opts)) })
	}
}

// nodePeer is the JavaScript server, in a process of its own.
type nodePeer struct {
	t    *testing.T
	opts peerOptions
	cmd  *exec.Cmd
	in   io.WriteCloser
}

func startNode(t *testing.T, opts peerOptions) peer {
	t.Helper()
	dir := filepath.Join("..", "test", "client-peer")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("test/client-peer/node_modules is missing: run npm ci there")
		}
		t.Skip("test/client-peer/node_modules is missing: run npm ci there")
	}
	p := &nodePeer{t: t, opts: opts}
	p.Restart()
	t.Cleanup(p.Kill)
	return p
}

func (p *nodePeer) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", p.opts.Port) }

func (p *nodePeer) Restart() {
	p.t.Helper()
	opts, err := json.Marshal(p.opts)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command("node", "server.js", string(opts))
	cmd.Dir = filepath.Join("..", "test", "client-peer")
	cmd.Stderr = os.Stderr
	// The server ends with its standard input, hence also with a test that
	// dies without cleaning up.
	if p.in, err = cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	port, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if err != nil || !ok {
		p.t.Fatalf("server said %q, %v", line, err)
	}
	if p.opts.Port, err = strconv.Atoi(port); err != nil {
		p.t.Fatal(err)
	}
}

func (p *nodePeer) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// closedPort returns the URL of a port that nobody listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// receive waits for a value, long enough for a busy machine.
func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}
