package socketeer

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/engineio"
)

// task is somebody with an inbox.
type task interface {
	// drain handles what is in the inbox until it is empty.
	drain()
	// corked returns the connection whose writes are held back meanwhile.
	corked() *engineio.Conn
}

type funcTask func()

func (f funcTask) drain()                 { f() }
func (f funcTask) corked() *engineio.Conn { return nil }

// pool runs handlers. What was read together is handed to a few workers in
// batches, because handlers are mostly quick and waking somebody for each would
// cost more than they do. Handlers may also block: the watchdog sees who has not
// got on for a tick, and lets others have the rest of its batch, one each.
// While that happens, batches are not made at all.
//
// Lock order: pool.mu, then worker.mu. Both are held for moments.
type pool struct {
	mu       sync.Mutex
	queue    []task    // until kick
	idle     []*worker // last in, first out
	busy     []*worker
	closed   bool
	rested   chan struct{} // close waits for the workers to rest
	workers  sync.WaitGroup
	watching bool
	blocking int // ticks for which batches are of one, because handlers block
	alert    int // ticks for which to look closely, because one has blocked
}

type worker struct {
	wake chan struct{}
	at   int // in pool.busy, guarded by pool.mu

	// state is odd while a task runs, and another number for each: it tells a
	// long task from many short ones.
	state atomic.Uint64
	conn  atomic.Pointer[engineio.Conn]
	seen  uint64 // owned by the watchdog

	mu    sync.Mutex
	tasks []task // its batch
	done  int    // how many of them it has taken
}

// maxBatch is how many tasks one worker gets at a time.
const maxBatch = 64

// How many workers are kept without work: many while there is some, because a
// new one has to grow its stack, and few when it is quiet.
const (
	maxIdle = 1024
	minIdle = 16
)

// run has a worker drain t, soon: at the next kick. After close it does
// nothing.
func (p *pool) run(t task) {
	p.mu.Lock()
	if !p.closed {
		p.queue = append(p.queue, t)
	}
	p.mu.Unlock()
}

// spawn runs f on a worker, at once.
func (p *pool) spawn(f func()) {
	p.run(funcTask(f))
	p.kick()
}

// kick hands out what has been queued.
func (p *pool) kick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.queue)
	if n == 0 {
		return
	}
	procs := runtime.GOMAXPROCS(0)
	size := min((n+procs-1)/procs, maxBatch)
	if p.blocking > 0 {
		size = 1
	}
	for from := 0; from < n; from += size {
		p.assign(p.queue[from:min(from+size, n)])
	}
	clear(p.queue)
	p.queue = p.queue[:0]
	if !p.watching {
		p.watching = true
		p.workers.Go(p.watch)
	}
}

// assign gives tasks to an idle worker, or a new one. With p.mu held.
func (p *pool) assign(tasks []task) {
	var w *worker
	if n := len(p.idle); n > 0 {
		w = p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
	} else {
		w = &worker{wake: make(chan struct{}, 1)}
		p.workers.Go(func() { p.work(w) })
	}
	w.tasks, w.done = append(w.tasks[:0], tasks...), 0 // idle: nobody else looks at it
	w.at = len(p.busy)
	p.busy = append(p.busy, w)
	w.wake <- struct{}{}
}

func (p *pool) work(w *worker) {
	for range w.wake {
		for t := w.next(); t != nil; t = w.next() {
			w.do(t)
		}
		if !p.rest(w) {
			return
		}
	}
}

// next takes the next task of the batch, nil at its end.
func (w *worker) next() task {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == len(w.tasks) {
		return nil
	}
	t := w.tasks[w.done]
	w.tasks[w.done] = nil
	w.done++
	return t
}

func (w *worker) do(t task) {
	conn := t.corked()
	if conn != nil {
		conn.Cork()
		w.conn.Store(conn)
	}
	w.state.Add(1)
	t.drain()
	w.state.Add(1)
	if conn != nil {
		w.conn.Store(nil)
		conn.Uncork()
	}
}

// rest makes w idle, and reports false when it is not needed any more.
func (p *pool) rest(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.busy) - 1
	p.busy[w.at] = p.busy[last]
	p.busy[w.at].at = w.at
	p.busy[last] = nil
	p.busy = p.busy[:last]
	if last == 0 && p.rested != nil {
		close(p.rested)
		p.rested = nil
	}
	if p.closed || len(p.idle) >= maxIdle {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

const (
	// calmTick is how long a task may run before it counts as one that
	// blocks: then what it has written leaves, and what waits behind it goes
	// to others. At most twice as long.
	calmTick = 5 * time.Millisecond
	// tick is calmTick once there has been one, for alertTicks: a program has
	// handlers that block, or it has none, and to look a thousand times a
	// second is a large part of what a quiet server costs.
	tick       = time.Millisecond
	alertTicks = 5000
	// blockingTicks is how long the pool expects many more of the kind.
	blockingTicks = 1000
	// quietTime is how long the watchdog outlasts the work.
	quietTime = 100 * time.Millisecond
)

// watch looks after tasks that take their time. It runs only while there is
// work.
func (p *pool) watch() {
	t := time.NewTimer(calmTick)
	defer t.Stop()
	var late []*engineio.Conn
	var quiet time.Duration
	every := calmTick
	for range t.C {
		p.mu.Lock()
		if len(p.busy)+len(p.queue) > 0 {
			quiet = 0
		} else if quiet += every; quiet > quietTime || p.closed {
			p.watching = false
			p.trim(minIdle)
			p.mu.Unlock()
			return
		}
		p.blocking = max(p.blocking-1, 0)
		p.alert = max(p.alert-1, 0)
		late = p.stuck(late[:0])
		every = calmTick
		if p.alert > 0 {
			every = tick
		}
		p.mu.Unlock()
		t.Reset(every)
		p.kick() // in case somebody else forgot
		for i, conn := range late {
			conn.Flush()
			late[i] = nil
		}
	}
}

// stuck finds the workers that are still with the task of the last tick, gives
// the rest of their batches to others, and returns whose writes are held
// back. With p.mu held.
func (p *pool) stuck(late []*engineio.Conn) []*engineio.Conn {
	n := 0
	for _, w := range p.busy {
		state := w.state.Load()
		if state&1 == 1 && state == w.seen {
			n++
			if conn := w.conn.Load(); conn != nil {
				late = append(late, conn)
			}
			w.mu.Lock()
			rest := w.tasks[w.done:]
			p.queue = append(p.queue, rest...)
			clear(rest)
			w.tasks = w.tasks[:w.done]
			w.mu.Unlock()
		}
		w.seen = state
	}
	if n > 0 {
		p.alert = alertTicks
	}
	if n > runtime.GOMAXPROCS(0) {
		p.blocking = blockingTicks
	}
	return late
}

// trim lets all but n idle workers go. With p.mu held.
func (p *pool) trim(n int) {
	for i := n; i < len(p.idle); i++ {
		close(p.idle[i].wake)
		p.idle[i] = nil
	}
	p.idle = p.idle[:min(n, len(p.idle))]
}

// close waits until all handlers have returned, or ctx has ended, and lets the
// workers go.
func (p *pool) close(ctx context.Context) {
	p.kick()
	p.mu.Lock()
	for len(p.busy) > 0 && ctx.Err() == nil {
		if p.rested == nil {
			p.rested = make(chan struct{})
		}
		rested := p.rested
		p.mu.Unlock()
		select {
		case <-rested:
		case <-ctx.Done():
		}
		p.kick()
		p.mu.Lock()
	}
	p.closed = true
	p.trim(0)
	abandoned := len(p.busy) > 0
	p.mu.Unlock()
	if !abandoned {
		p.workers.Wait()
	}
}
