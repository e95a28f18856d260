package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// Work is what a process does that [Run] has started by Config.Worker: it has
// a share of the run's connections, and does with them what in tells, until in
// ends. What there is to tell goes to out, errors included.
func Work(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	w := &worker{enc: json.NewEncoder(out)}
	defer w.close()
	defer cancel()
	dec := json.NewDecoder(in)
	var s portion
	if err := dec.Decode(&s); err != nil {
		return fmt.Errorf("socketeer: no share of a run to work on: %w", err)
	}
	if err := w.setUp(s); err != nil {
		w.tell(news{Error: err.Error()})
		return nil
	}
	w.tell(news{Ready: true})
	for {
		var i instruction
		if err := dec.Decode(&i); errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		} else if err != nil {
			return fmt.Errorf("socketeer: no instruction: %w", err)
		}
		w.follow(ctx, i)
	}
}

// worker is a process with a share of a run.
type worker struct {
	loops []*loop
	tasks sync.WaitGroup
	done  *atomic.Bool // of the latest task

	mu  sync.Mutex
	enc *json.Encoder
}

func (w *worker) setUp(s portion) error {
	cfg := s.Config.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	if err := reserveFiles(cfg.sockets()); err != nil {
		return err
	}
	clk, err := newClock()
	if err != nil {
		return fmt.Errorf("socketeer: clock: %w", err)
	}
	s.Config = cfg
	w.loops, err = newLoops(&s, clk)
	return err
}

// close cuts the connections, once nothing is done with them any more.
func (w *worker) close() {
	w.tasks.Wait()
	for _, l := range w.loops {
		l.close()
	}
}

// tell says something. When nobody listens any more, in ends too.
func (w *worker) tell(n news) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.enc.Encode(n)
}

func (w *worker) follow(ctx context.Context, i instruction) {
	switch {
	case i.Do != "":
		done := new(atomic.Bool)
		w.done = done
		w.tasks.Go(func() {
			n := news{Finished: true}
			if err := w.do(ctx, i, done.Load); err != nil {
				n.Error = err.Error()
			}
			w.tell(n)
		})
	case i.Enough && w.done != nil:
		w.done.Store(true)
	case i.Report:
		c, err := w.count(i)
		if err != nil {
			w.tell(news{Error: err.Error()})
			return
		}
		w.tell(news{Counted: c})
	}
}

// do does something on every loop.
func (w *worker) do(ctx context.Context, i instruction, done func() bool) error {
	f, err := i.onLoop(done)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range w.loops {
		g.Go(func() error { return l.run(func() error { return f(ctx, l) }) })
	}
	return g.Wait()
}

// onLoop returns what a loop does that is told i.
func (i instruction) onLoop(done func() bool) (func(context.Context, *loop) error, error) {
	switch i.Do {
	case "connect":
		return func(ctx context.Context, l *loop) error { return l.connect(ctx) }, nil
	case "hold":
		return func(ctx context.Context, l *loop) error { return l.hold(ctx, longestWait, done) }, nil
	case "load":
		w := window{start: i.Start, count: i.Count, end: i.End}
		return func(ctx context.Context, l *loop) error { return l.load(ctx, w, done) }, nil
	case "storm":
		return func(ctx context.Context, l *loop) error { return l.storm(ctx, i.Start, done) }, nil
	}
	return nil, fmt.Errorf("socketeer: this binary does not know how to %q: is it another version?", strings.TrimSpace(i.Do))
}

// count says what all loops have counted.
func (w *worker) count(i instruction) (*counts, error) {
	t, h := collect(w.loops, i.Recent)
	c := newCounts(t)
	var err error
	if i.Recent {
		if c.Latencies, err = pack(h); err != nil {
			return nil, err
		}
	}
	if i.Clients {
		if c.Clients, err = collectClients(w.loops).pack(); err != nil {
			return nil, err
		}
	}
	if k := collectKinds(w.loops); i.Kinds && k != nil {
		if c.WebSocket, err = pack(k.webSocket); err != nil {
			return nil, err
		}
		if c.LongPolling, err = pack(k.polling); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// collect adds up what the loops have counted, and with latencies those since
// the last call.
func collect(loops []*loop, latencies bool) (tally, *hdrhistogram.Histogram) {
	var sum tally
	if !latencies {
		for _, l := range loops {
			t, _ := l.snapshot(nil)
			sum.add(t)
		}
		return sum, nil
	}
	all := newHistogram()
	spare := newHistogram()
	for _, l := range loops {
		t, h := l.snapshot(spare)
		sum.add(t)
		all.Merge(h)
		h.Reset()
		spare = h
	}
	return sum, all
}

// collectKinds adds up the latencies of each transport, nil when there is one.
func collectKinds(loops []*loop) *kinds {
	var sum *kinds
	for _, l := range loops {
		if l.kinds == nil {
			continue
		}
		if sum == nil {
			sum = newKinds()
		}
		l.mu.Lock()
		sum.webSocket.Merge(l.kinds.webSocket)
		sum.polling.Merge(l.kinds.polling)
		l.mu.Unlock()
	}
	return sum
}
