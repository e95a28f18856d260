package socketeer

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/engineio"
)

// inbox is a queue of messages that are handled one after the other, by a
// worker of the pool as long as there are any. Its zero value is empty.
type inbox struct {
	head, tail *Message
	n          int
	running    bool
}

// task is somebody with an inbox.
type task interface {
	// drain handles what is in the inbox until it is empty.
	drain(p *pool)
	// corked returns the connection whose writes are held back meanwhile.
	corked() *engineio.Conn
}

// pool runs handlers. Its workers keep their grown stacks, so that the many
// goroutines that read connections can keep small ones. A handler may block:
// there are as many workers as it takes.
type pool struct {
	mu      sync.Mutex
	idle    []*worker // last in, first out
	busy    []*worker
	closed  bool
	workers sync.WaitGroup

	watching bool
	rested   chan struct{} // close waits for the workers to rest
}

type worker struct {
	task chan task
	// state is odd while a task runs, and another number for each: what the
	// watchdog needs to tell a long task from many short ones.
	state atomic.Uint64
	conn  atomic.Pointer[engineio.Conn]
	seen  uint64 // owned by the watchdog
	at    int    // in pool.busy
}

// maxIdle is how many workers are kept without work.
func maxIdle() int { return 8 * runtime.GOMAXPROCS(0) }

// run has a worker drain t. After close it does nothing.
func (p *pool) run(t task) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	var w *worker
	if n := len(p.idle); n > 0 {
		w = p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
	} else {
		w = &worker{task: make(chan task, 1)}
		p.workers.Go(func() { p.work(w) })
	}
	w.at = len(p.busy)
	p.busy = append(p.busy, w)
	if !p.watching {
		p.watching = true
		p.workers.Go(p.watch)
	}
	p.mu.Unlock()
	w.task <- t
}

// spawn runs f on a worker.
func (p *pool) spawn(f func()) { p.run(funcTask(f)) }

type funcTask func()

func (f funcTask) drain(*pool)            { f() }
func (f funcTask) corked() *engineio.Conn { return nil }

func (p *pool) work(w *worker) {
	for t := range w.task {
		conn := t.corked()
		if conn != nil {
			conn.Cork()
			w.conn.Store(conn)
		}
		w.state.Add(1)
		t.drain(p)
		w.state.Add(1)
		if conn != nil {
			w.conn.Store(nil)
			conn.Uncork()
		}
		if !p.rest(w) {
			return
		}
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
	if p.closed || len(p.idle) >= maxIdle() {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// uncorkAfter is how long what a handler sent to its own client may wait for
// the handler to end; at most twice as long.
const uncorkAfter = time.Millisecond

// quietTicks is how long the watchdog outlasts the work.
const quietTicks = 100

// watch sends what handlers that take their time have written so far. It runs
// only while there are handlers at work.
func (p *pool) watch() {
	t := time.NewTicker(uncorkAfter)
	defer t.Stop()
	var late []*engineio.Conn
	quiet := 0
	for range t.C {
		p.mu.Lock()
		if len(p.busy) > 0 {
			quiet = 0
		} else if quiet++; quiet > quietTicks || p.closed {
			p.watching = false
			p.mu.Unlock()
			return
		}
		for _, w := range p.busy {
			state := w.state.Load()
			if conn := w.conn.Load(); state&1 == 1 && state == w.seen && conn != nil {
				late = append(late, conn)
			}
			w.seen = state
		}
		p.mu.Unlock()
		for i, conn := range late {
			conn.Flush()
			late[i] = nil
		}
		late = late[:0]
	}
}

// close waits until all handlers have returned, or ctx has ended, and lets the
// workers go.
func (p *pool) close(ctx context.Context) {
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
		p.mu.Lock()
	}
	p.closed = true
	for _, w := range p.idle {
		close(w.task)
	}
	p.idle = nil
	abandoned := len(p.busy) > 0
	p.mu.Unlock()
	if !abandoned {
		p.workers.Wait()
	}
}
