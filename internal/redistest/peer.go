package redistest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer/internal/process"
)

// NodeOptions say what kind of Node.js server is wanted.
type NodeOptions struct {
	// Adapter is "redis", "redis-sharded" or "redis-streams", with "-ioredis"
	// appended for that client. Default "redis".
	Adapter string `json:"adapter,omitempty"`
	// URLs of Redis: one, or nodes of a Redis Cluster, or for ioredis one of
	// [SentinelSet.URL].
	URLs []string `json:"urls"`
	// AdapterOptions are handed to the adapter.
	AdapterOptions map[string]any `json:"adapterOptions,omitempty"`
	// Server are options of the Socket.IO server.
	Server map[string]any `json:"server,omitempty"`
	// Namespaces that exist. Default "/".
	Namespaces []string `json:"namespaces,omitempty"`
	// ServerSideEvents are those that the server listens for, and prints, when
	// other servers emit them. Default "hello" and "ask".
	ServerSideEvents []string `json:"serverSideEvents,omitempty"`
	// ServerSideAnswer are the arguments with which it acknowledges them.
	// Default: its process id.
	ServerSideAnswer []any `json:"serverSideAnswer,omitempty"`
	// ServerSideSilent has it never acknowledge them.
	ServerSideSilent bool `json:"serverSideSilent,omitempty"`
	// Rooms are those that clients are put into. Those that are new get an event
	// "entered" then. Default: none, and no event.
	Rooms []string `json:"rooms,omitempty"`
	// Recovery turns connection state recovery on.
	Recovery bool `json:"recovery,omitempty"`
}

// Happening is something that a Node.js server printed by itself. "unsent",
// "resent" and "overtaken" are what its Redis client made of an event of the
// operation "emit": see test/redis/outcome.js.
type Happening struct {
	Happened string            `json:"happened"` // "serverSide", "received", "disconnected", "unsent", "resent", "overtaken"
	NSP      string            `json:"nsp"`
	Client   string            `json:"client"` // the id of a client of [Peer.Connect]
	Event    string            `json:"event"`
	Args     []json.RawMessage `json:"args"`
	Reason   string            `json:"reason"`
}

// Peer is a Node.js Socket.IO server process. Its methods may be called
// concurrently.
type Peer struct {
	tb      testing.TB
	cmd     *exec.Cmd
	spawner *process.Spawner
	done    chan struct{} // closed when the process has ended
	tail    *process.Tail
	port    int

	write   sync.Mutex
	in      io.WriteCloser
	mu      sync.Mutex
	last    int
	waiting map[int]chan peerLine
	seen    []Happening
	changed chan struct{} // closed and replaced when seen grows
}

type peerLine struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	Data   json.RawMessage `json:"data"`
	Port   int             `json:"port"`
	Happening
}

// PeerError is an error of a command. Data is what came with it: the
// responses so far, for those that timed out.
type PeerError struct {
	Text string
	Data json.RawMessage
}

func (e *PeerError) Error() string { return "redistest: the node peer: " + e.Text }

// peerDir is where the peer's code is, from a package's directory upwards.
const peerDir = "test/redis"

// Node starts a Node.js server and waits until it listens and is part of its
// cluster.
func Node(tb testing.TB, o NodeOptions) *Peer {
	tb.Helper()
	return Nodes(tb, o)[0]
}

// Nodes starts several at the same time.
func Nodes(tb testing.TB, options ...NodeOptions) (peers []*Peer) {
	tb.Helper()
	var serving []func(testing.TB)
	for _, o := range options {
		p, listens := launch(tb, o)
		peers, serving = append(peers, p), append(serving, listens)
	}
	for _, listens := range serving {
		listens(tb)
	}
	return peers
}

// launch starts a server, and returns what waits until it listens.
func launch(tb testing.TB, o NodeOptions) (p *Peer, listens func(testing.TB)) {
	tb.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tb.Skip("node is not installed")
	}
	dir := findPeer(tb)
	config, err := json.Marshal(o)
	if err != nil {
		tb.Fatal(err)
	}
	p = &Peer{
		tb: tb, spawner: process.NewSpawner(), done: make(chan struct{}), tail: new(process.Tail),
		waiting: make(map[int]chan peerLine), changed: make(chan struct{}),
	}
	p.cmd = exec.CommandContext(context.Background(), node, "peer.js", string(config))
	p.cmd.Dir, p.cmd.Stderr = dir, p.tail
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.spawner.Start(p.cmd); err != nil {
		tb.Fatal(err)
	}
	listening := make(chan int, 1)
	go func() {
		defer close(p.done)
		p.read(out, listening)
		_ = p.cmd.Wait() // the reason is in its output
	}()
	tb.Cleanup(func() {
		p.Kill()
		p.spawner.Close()
	})
	return p, func(tb testing.TB) {
		tb.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		select {
		case p.port = <-listening:
		case <-p.done:
			tb.Fatalf("the node peer ended%s", p.tail.Shown())
		case <-ctx.Done():
			tb.Fatalf("the node peer does not listen%s", p.tail.Shown())
		}
	}
}

// findPeer returns the directory of peer.js.
func findPeer(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		peer := filepath.Join(dir, filepath.FromSlash(peerDir))
		if _, err := os.Stat(filepath.Join(peer, "peer.js")); err == nil {
			if _, err := os.Stat(filepath.Join(peer, "node_modules")); err != nil {
				tb.Skip(peerDir + "/node_modules is missing: run npm ci there")
			}
			return peer
		}
		if dir == filepath.Dir(dir) {
			tb.Fatalf("%s is not found above the working directory", peerDir)
		}
	}
}

// read takes what the process prints.
func (p *Peer) read(out io.Reader, listening chan<- int) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxReply)
	for lines.Scan() {
		var r peerLine
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			fmt.Fprintf(p.tail, "not JSON: %s\n", lines.Bytes())
			continue
		}
		p.mu.Lock()
		switch {
		case r.ID != 0:
			if ch := p.waiting[r.ID]; ch != nil {
				delete(p.waiting, r.ID)
				ch <- r
			}
		case r.Happened == "listening":
			listening <- r.Port
		case r.Happened == "failed":
			fmt.Fprintln(p.tail, r.Error)
		default:
			p.seen = append(p.seen, r.Happening)
			close(p.changed)
			p.changed = make(chan struct{})
		}
		p.mu.Unlock()
	}
}

// Addr returns where the server listens, host:port.
func (p *Peer) Addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// URL returns where clients connect to.
func (p *Peer) URL() string { return "http://" + p.Addr() }

// Call has the server carry out one operation of test/redis/peer.js and
// returns its result. Failures are a [*PeerError].
func (p *Peer) Call(ctx context.Context, op string, args any) (json.RawMessage, error) {
	ch := make(chan peerLine, 1)
	p.mu.Lock()
	p.last++
	id := p.last
	p.waiting[id] = ch
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, id)
		p.mu.Unlock()
	}()
	if args == nil {
		args = struct{}{}
	}
	line, err := json.Marshal(map[string]any{"id": id, "op": op, "args": args})
	if err != nil {
		return nil, err
	}
	p.write.Lock()
	_, err = p.in.Write(append(line, '\n'))
	p.write.Unlock()
	if err != nil {
		return nil, fmt.Errorf("redistest: the node peer: %w%s", err, p.tail.Shown())
	}
	select {
	case r := <-ch:
		if r.Error != "" {
			return nil, &PeerError{r.Error, r.Data}
		}
		return r.Result, nil
	case <-p.done:
		return nil, errors.New("redistest: the node peer ended" + p.tail.Shown())
	case <-ctx.Done():
		return nil, fmt.Errorf("redistest: %s: %w%s", op, context.Cause(ctx), p.tail.Shown())
	}
}

// Must is [Peer.Call] that fails the test on errors.
func (p *Peer) Must(op string, args any) json.RawMessage {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	v, err := p.Call(ctx, op, args)
	if err != nil {
		p.tb.Fatal(err)
	}
	return v
}

// Connect opens a client in the process, by the arguments of its operation
// "connect", and returns the id of its socket.
func (p *Peer) Connect(args map[string]any) string {
	p.tb.Helper()
	var r struct{ ID string }
	if err := json.Unmarshal(p.Must("connect", args), &r); err != nil {
		p.tb.Fatal(err)
	}
	return r.ID
}

// Happenings returns what the server has printed by itself since the start.
func (p *Peer) Happenings() []Happening {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// Wait waits for the first happening, since the start, that fits.
func (p *Peer) Wait(ctx context.Context, fits func(Happening) bool) (Happening, error) {
	for from := 0; ; {
		p.mu.Lock()
		list, changed := p.seen[from:], p.changed
		from = len(p.seen)
		p.mu.Unlock()
		for _, h := range list {
			if fits(h) {
				return h, nil
			}
		}
		select {
		case <-changed:
		case <-p.done:
			return Happening{}, errors.New("redistest: the node peer ended" + p.tail.Shown())
		case <-ctx.Done():
			return Happening{}, fmt.Errorf("redistest: the node peer: %w%s", context.Cause(ctx), p.tail.Shown())
		}
	}
}

// Kill ends the process at once, as a crash does, and waits for it.
func (p *Peer) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// Stop has the process end by itself.
func (p *Peer) Stop() {
	p.write.Lock()
	_ = p.in.Close()
	p.write.Unlock()
	<-p.done
}
