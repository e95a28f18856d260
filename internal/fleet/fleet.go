// Package fleet starts the server processes of a benchmark on this machine,
// and stops them.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/internal/app"
	"github.com/socketeer-io/socketeer/internal/process"
)

// MaxNodes is how many servers a fleet may have.
const MaxNodes = 64

// Options says what to start. A zero field means the default it documents.
type Options struct {
	// Nodes is the number of servers; default 1.
	Nodes int
	// Command is what starts a server, words without a shell's quoting, in
	// which {port} stands for the port of 127.0.0.1 to listen on, {node} for
	// the server's number, from 1, {nodes} for their number and {addrs} for
	// the addresses of all, comma-separated. Default: this binary, as
	// "socketeer serve --app bench".
	Command string
	// Adapter joins several servers, without Command, as "serve --adapter"
	// does; default: embedded NATS.
	Adapter string
	// Args are further arguments of "serve", without Command.
	Args []string
	// StartTimeout is how long a server may take to be ready; default 30 s.
	StartTimeout time.Duration
	// StopTimeout is how long a server may take to end after SIGTERM before it
	// is killed; default 15 s.
	StopTimeout time.Duration
	// Progress, when set, is told what happens, a line at a time, from several
	// goroutines.
	Progress func(line string)
}

// title is what is started, for people.
func (o *Options) title() string {
	if o.Command != "" {
		return o.Command
	}
	return strings.Join(append([]string{"socketeer serve --app bench"}, o.Args...), " ")
}

// Fleet is a number of running servers. Its methods may be called by several
// goroutines, but not two of Stop, Kill and Restart for the same server.
type Fleet struct {
	opts    Options
	spawner *process.Spawner
	nodes   []*node
}

// Start starts the servers and waits until all listen and are ready; servers
// of this binary also until they know each other. When one fails, or ctx ends,
// none is left, and the error shows what the failed one printed last.
func Start(ctx context.Context, opts Options) (*Fleet, error) {
	if opts.Nodes == 0 {
		opts.Nodes = 1
	}
	if opts.Nodes < 0 || opts.Nodes > MaxNodes {
		return nil, fmt.Errorf("socketeer: %d servers: takes 1 to %d", opts.Nodes, MaxNodes)
	}
	if opts.StartTimeout == 0 {
		opts.StartTimeout = 30 * time.Second
	}
	if opts.StopTimeout == 0 {
		opts.StopTimeout = 15 * time.Second
	}
	if opts.Progress == nil {
		opts.Progress = func(string) {}
	}
	nodes, err := newNodes(ctx, opts)
	if err != nil {
		return nil, err
	}
	f := &Fleet{opts: opts, spawner: process.NewSpawner(), nodes: nodes}
	opts.Progress(fmt.Sprintf("starting %d of: %s", opts.Nodes, opts.title()))
	if err := f.startAll(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Fleet) startAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.opts.StartTimeout)
	defer cancel()
	failures := make([]error, len(f.nodes))
	var wg sync.WaitGroup
	for i, n := range f.nodes {
		wg.Go(func() {
			if failures[i] = n.start(ctx, f.spawner, len(f.nodes)); failures[i] != nil {
				cancel() // the others need not go on
			}
		})
	}
	wg.Wait()
	var first error
	for _, err := range failures {
		if err != nil && (first == nil || errors.Is(first, context.Canceled)) {
			first = err
		}
	}
	return first
}

// Len returns the number of servers.
func (f *Fleet) Len() int { return len(f.nodes) }

// Addrs returns where the servers listen, as host:port. A server that is
// started again has the address it had.
func (f *Fleet) Addrs() []string {
	addrs := make([]string, len(f.nodes))
	for i, n := range f.nodes {
		addrs[i] = n.addr
	}
	return addrs
}

// PIDs returns the processes of the servers that run.
func (f *Fleet) PIDs() []int {
	var pids []int
	for _, n := range f.nodes {
		if pid := n.pid(); pid != 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Processes returns the processes of the servers that run, and the CPU time
// that all those which have ended had taken.
func (f *Fleet) Processes() (pids []int, ended time.Duration) {
	for _, n := range f.nodes {
		pid, past := n.processes()
		if ended += past; pid != 0 {
			pids = append(pids, pid)
		}
	}
	return pids, ended
}

// Stop asks server i to end by SIGTERM, and waits until it has; it is killed
// when it takes longer than Options.StopTimeout, or when ctx ends.
func (f *Fleet) Stop(ctx context.Context, i int) { f.nodes[i].stop(ctx, f.opts.StopTimeout) }

// Kill ends server i by SIGKILL, and waits until it is gone.
func (f *Fleet) Kill(i int) { f.nodes[i].kill() }

// Restart starts server i, which has ended, again at its address, and waits
// until it is ready.
func (f *Fleet) Restart(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, f.opts.StartTimeout)
	defer cancel()
	return f.nodes[i].start(ctx, f.spawner, len(f.nodes))
}

// Failed returns why a server that was to run has ended, nil when all run.
func (f *Fleet) Failed() error {
	for _, n := range f.nodes {
		if err := n.failed(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all servers that still run. The load is over: they are killed, so
// that it does not take them the time of a drain.
func (f *Fleet) Close() {
	var wg sync.WaitGroup
	for _, n := range f.nodes {
		wg.Go(n.kill)
	}
	wg.Wait()
	f.spawner.Close()
}

// newNodes decides on the servers' addresses and command lines.
func newNodes(ctx context.Context, opts Options) ([]*node, error) {
	if opts.Command == "" {
		return ownNodes(ctx, opts)
	}
	words := strings.Fields(opts.Command)
	if len(words) == 0 || !strings.Contains(opts.Command, "{port}") {
		return nil, fmt.Errorf("socketeer: the command %q has no {port} for the server to listen on", opts.Command)
	}
	addrs, err := app.FreeAddrs(ctx, opts.Nodes)
	if err != nil {
		return nil, err
	}
	nodes := make([]*node, opts.Nodes)
	for i, addr := range addrs {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("socketeer: %w", err)
		}
		fill := strings.NewReplacer("{port}", port, "{node}", fmt.Sprint(i+1),
			"{nodes}", fmt.Sprint(opts.Nodes), "{addrs}", strings.Join(addrs, ","))
		n := &node{name: fmt.Sprintf("server %d", i+1), addr: addr}
		for _, w := range words {
			n.command = append(n.command, fill.Replace(w))
		}
		nodes[i] = n
	}
	return nodes, nil
}
