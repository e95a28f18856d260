package socketeer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// saveDelay is how long a change of a session may wait to be saved.
	saveDelay = 100 * time.Millisecond
	// savesAtOnce is how many sessions are saved at the same time.
	savesAtOnce = 64
	// saveRetry is the pause after sessions could not be saved.
	saveRetry = time.Second
	// refreshesPerLife is how often a session that does not change is saved
	// while it would last.
	refreshesPerLife = 3
)

// keeper saves the sessions of a server: what has changed, and what has not
// been saved for long. It has one goroutine, from the first session on.
//
// Lock order: session.mu, then keeper.mu.
type keeper struct {
	srv     *Server // immutable, as is life
	life    time.Duration
	failing atomic.Bool // said in the log

	mu      sync.Mutex // guards the rest, and the keeper's part of sessions
	queue   []*session // to be saved
	live    sessionList
	away    []*session // those that left, in the order in which they expire
	running bool
	closed  bool
	hurry   chan struct{}
	stop    chan struct{}
	done    sync.WaitGroup
}

func newKeeper(srv *Server, life time.Duration) *keeper {
	return &keeper{srv: srv, life: life, hurry: make(chan struct{}, 1), stop: make(chan struct{})}
}

// begin keeps a session of a connected socket, and saves it at once.
func (k *keeper) begin(x *session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state != sessionLive { // it has left already
		return
	}
	k.mu.Lock()
	x.savedAt = time.Now()
	k.live.push(x)
	k.mu.Unlock()
	if x.saved == 0 {
		k.add(x)
		k.wake()
	}
}

// add has x saved.
func (k *keeper) add(x *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if x.queued || k.closed {
		return
	}
	x.queued = true
	k.queue = append(k.queue, x)
	if !k.running {
		k.running = true
		k.done.Go(k.run)
	}
}

// left has x saved or dropped at once, and its namespace kept until its client
// cannot come back any more. With x.mu held.
func (k *keeper) left(x *session) {
	k.mu.Lock()
	k.live.remove(x)
	if x.state == sessionAway && !k.closed {
		x.socket.nsp.stay()
		k.away = append(k.away, x)
	}
	k.mu.Unlock()
	k.add(x)
	k.wake()
}

// forget ends the refreshing of x.
func (k *keeper) forget(x *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.live.remove(x)
}

func (k *keeper) wake() {
	select {
	case k.hurry <- struct{}{}:
	default:
	}
}

func (k *keeper) run() {
	t := time.NewTicker(saveDelay)
	defer t.Stop()
	for {
		select {
		case <-k.hurry:
		case <-t.C:
		case <-k.stop:
			return
		}
		ctx, cancel := k.srv.bounded(context.Background())
		failed := k.saveAll(ctx, k.due())
		cancel()
		k.expire()
		if !failed {
			continue
		}
		select {
		case <-time.After(saveRetry):
		case <-k.stop:
			return
		}
	}
}

// due takes what is to be saved: what is queued, and of what has not been saved
// for long so much that all of it gets its turn in time, even if it was saved
// all at once.
func (k *keeper) due() []*session {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.queue
	k.queue = nil
	for _, x := range list {
		x.queued = false
	}
	period := k.life / refreshesPerLife
	most := max(savesAtOnce, 2*int(int64(k.live.n)*int64(saveDelay)/int64(period)))
	now := time.Now()
	for range most {
		x := k.live.first
		if x == nil || now.Sub(x.savedAt) < period {
			break
		}
		x.version.Add(1)
		x.savedAt = now
		k.live.remove(x)
		k.live.push(x)
		list = append(list, x)
	}
	return list
}

// saveAll saves sessions, some at a time. What fails is queued again.
func (k *keeper) saveAll(ctx context.Context, list []*session) (failed bool) {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards next and failed
	next := 0
	take := func() *session {
		mu.Lock()
		defer mu.Unlock()
		if next == len(list) {
			return nil
		}
		next++
		return list[next-1]
	}
	work := func() {
		for x := take(); x != nil; x = take() {
			if err := x.save(ctx, x.version.Load()); err != nil {
				k.srv.o.logger.Debug("a session could not be saved", "sid", x.socket.ID(), "nsp", x.socket.name, "err", err)
				k.add(x)
				mu.Lock()
				failed = true
				mu.Unlock()
			}
		}
	}
	for range min(len(list), savesAtOnce) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	switch {
	case failed && !k.failing.Swap(true):
		k.srv.o.logger.Warn("sessions cannot be saved; tried again until they are", "count", len(list))
	case !failed && len(list) > 0 && k.failing.Swap(false):
		k.srv.o.logger.Info("sessions can be saved again")
	}
	return failed
}

// expire lets namespaces go that waited for clients who did not come back.
func (k *keeper) expire() {
	now := time.Now().UnixNano()
	k.mu.Lock()
	n := 0
	for n < len(k.away) && k.away[n].away.Load() <= now {
		n++
	}
	expired := k.away[:n:n]
	k.away = k.away[n:]
	k.mu.Unlock()
	for i, x := range expired {
		x.socket.nsp.exit()
		expired[i] = nil
	}
}

// close saves what is to be saved, until ctx ends, and stops.
func (k *keeper) close(ctx context.Context) {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return
	}
	k.closed = true
	k.away = nil
	k.mu.Unlock()
	close(k.stop)
	k.done.Wait()
	k.mu.Lock()
	list := k.queue
	k.queue = nil
	k.mu.Unlock()
	k.saveAll(ctx, list)
}

// sessionList is a list of sessions in the order in which they were pushed.
type sessionList struct {
	first, last *session
	n           int
}

func (l *sessionList) push(x *session) {
	x.prev, x.next = l.last, nil
	if l.last == nil {
		l.first = x
	} else {
		l.last.next = x
	}
	l.last = x
	l.n++
}

// remove takes x out, unless it is not in.
func (l *sessionList) remove(x *session) {
	if x.prev == nil && l.first != x {
		return
	}
	if x.prev == nil {
		l.first = x.next
	} else {
		x.prev.next = x.next
	}
	if x.next == nil {
		l.last = x.prev
	} else {
		x.next.prev = x.prev
	}
	x.prev, x.next = nil, nil
	l.n--
}
