package loadgen

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

const (
	bufferSize = 64 << 10
	// longestWait bounds how late a loop sees that its context has ended.
	longestWait = 100 * time.Millisecond
	// A loop looks away (Config.Coalesce) after fewer events than fewEvents,
	// when at least manyMessages are on their way.
	fewEvents    = 64
	manyMessages = 256
	// maxLatency is the top of the histogram, in microseconds.
	maxLatency = 60_000_000
)

// tally is what a loop has counted since it began.
type tally struct {
	accepted   int   // connections in the namespace
	lastAccept int64 // when the latest came in
	ready      int   // connections set up altogether
	lost       int   // connections lost
	lostWhy    error // the first of them

	sent     uint64
	measured uint64 // of those, due in the measured part
	expected uint64 // deliveries that follow from what was sent
	received uint64 // deliveries, each counted once
	foreign  uint64 // messages that are none of this run's, or of another room
	pings    uint64
	busy     int // loops that are not through with their sends or, in Storm, their cut

	cuts        int   // connections cut on purpose
	fallen      int   // connections lost that come back; they count as lost too
	returned    int   // connections that came back
	firstReturn int64 // when the first of them was opened
	lastReturn  int64
	recovered   int // of the returned, those whose session the server had kept
	passed      int // servers passed by in attempts, see unavailable
	failed      int // attempts to come back that were not the last
	failedWhy   error

	// copied from the order and the pacer when a snapshot is taken
	misordered, duplicated, missed uint64
}

func (t *tally) add(o tally) {
	t.accepted += o.accepted
	t.lastAccept = max(t.lastAccept, o.lastAccept)
	t.ready += o.ready
	t.lost += o.lost
	if t.lostWhy == nil {
		t.lostWhy = o.lostWhy
	}
	t.sent += o.sent
	t.measured += o.measured
	t.expected += o.expected
	t.received += o.received
	t.foreign += o.foreign
	t.pings += o.pings
	t.busy += o.busy
	t.cuts += o.cuts
	t.fallen += o.fallen
	t.returned += o.returned
	if o.firstReturn != 0 && (t.firstReturn == 0 || o.firstReturn < t.firstReturn) {
		t.firstReturn = o.firstReturn
	}
	t.lastReturn = max(t.lastReturn, o.lastReturn)
	t.recovered += o.recovered
	t.passed += o.passed
	t.failed += o.failed
	if t.failedWhy == nil {
		t.failedWhy = o.failedWhy
	}
	t.misordered += o.misordered
	t.duplicated += o.duplicated
	t.missed += o.missed
}

// missing returns the deliveries that are still to come. Loops are counted
// one after another, so a sum may have a message arrive before it was sent.
func (t *tally) missing() uint64 {
	if t.received >= t.expected {
		return 0
	}
	return t.expected - t.received
}

// loop is one thread with its connections.
type loop struct {
	// immutable once set up
	cfg     *Config
	clock   clock
	rooms   bool   // connections send "say", not "echo"
	direct  bool   // and their partners get it
	joins   bool   // each joins a room once it is in the namespace
	accept  []byte // Sec-WebSocket-Accept to expect
	enter   []byte // frame: into the namespace
	pong    []byte // frame: answer to a heartbeat
	sockets int    // a connection may have
	number  int    // among those of all processes
	of      int
	sends   float64 // a second, of all loops
	part    int     // of those sends, part/whole are this loop's
	whole   int

	// owned by the goroutine in run
	poll      *poller
	buf       []byte
	request   []byte // of a polling session, while it is put together
	targets   []target
	conns     []conn
	lanes     []*lane
	turns     int // of the lanes
	inflight  int // connections being set up
	handled   int // events in the last turn
	failure   error
	sending   bool
	through   bool // all there was to send is sent or, in Storm, cut
	coalesce  bool
	returning bool // who is cut or lost comes back
	agenda    agenda
	measure   window

	// mu is held while a batch of events is handled, and by whoever takes a
	// snapshot in between.
	mu       sync.Mutex
	tally    tally
	order    order
	pace     pacer
	hist     *hdrhistogram.Histogram
	absences *hdrhistogram.Histogram // in modes that cut, of the whole run
	attempts *hdrhistogram.Histogram // in Deploy: the part of them that the last attempt took
	kinds    *kinds                  // of the whole run, nil when all are on WebSocket
}

// kinds are the latencies of the connections on each transport.
type kinds struct{ webSocket, polling *hdrhistogram.Histogram }

func newKinds() *kinds { return &kinds{newHistogram(), newHistogram()} }

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency, 3) }

// run calls f on a thread of its own. The thread ends with it, since its
// timer slack is no longer the usual one.
func (l *loop) run(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // else timers are 50 us late
		done <- f()
	}()
	return <-done
}

// turn waits for events, up to d, and handles them.
func (l *loop) turn(ctx context.Context, d time.Duration) error {
	events, err := l.poll.wait(min(d, longestWait, l.untilDue()))
	if err != nil {
		return err
	}
	if l.handled = len(events); l.handled > 0 {
		l.mu.Lock()
		for i := range events {
			switch c := &l.conns[events[i].Fd]; {
			case c.gone():
			case c.session != nil:
				l.handleHTTP(c, int(events[i].Pad), events[i].Events)
			default:
				l.handle(c, events[i].Events)
			}
		}
		l.mu.Unlock()
	}
	l.doDue()
	if l.failure != nil {
		return l.failure
	}
	return ctx.Err()
}

// handle reads a WebSocket connection until it is empty.
func (l *loop) handle(c *conn, events uint32) {
	if events&unix.EPOLLOUT != 0 && len(c.out) > 0 && !l.flush(c) {
		return
	}
	const ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if events&(unix.EPOLLIN|ended) == 0 {
		return
	}
	for {
		kept := copy(l.buf, c.partial)
		n, errno := recv(c.fd, l.buf[kept:])
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR:
			return
		case errno != 0:
			l.lose(c, errno)
			return
		case n == 0:
			l.lose(c, errClosed)
			return
		}
		rest := l.consume(c, l.buf[:kept+n], l.clock.now())
		if c.gone() {
			return
		}
		c.partial = append(c.partial[:0], rest...)
		// A short read has emptied the socket, unless its end is next.
		if kept+n < len(l.buf) && events&ended == 0 {
			return
		}
	}
}

// record notes one delivery of a message and its latency.
// It tells whether it was the first.
func (l *loop) record(c *conn, s stamp, now int64) bool {
	if !l.order.see(int(c.local), s.slot, s.seq) {
		return false
	}
	l.tally.received++
	if c.comeback != nil {
		c.comeback.got++
	}
	if s.at >= l.measure.count {
		l.took(c, now-s.at)
	}
	return true
}

// took records a time in nanoseconds.
func (l *loop) took(c *conn, d int64) {
	us := min(max(d/1000, 0), maxLatency)
	_ = l.hist.RecordValue(us) // in range: cannot fail
	switch {
	case l.kinds == nil:
	case c.session != nil:
		_ = l.kinds.polling.RecordValue(us)
	default:
		_ = l.kinds.webSocket.RecordValue(us)
	}
}

// load sends from w.start to w.end, then takes in what is still on its way
// until done returns true.
func (l *loop) load(ctx context.Context, w window, done func() bool) error {
	if err := l.hold(ctx, time.Millisecond, func() bool { return l.clock.now() >= w.start }); err != nil {
		return err
	}
	l.mu.Lock()
	l.sending, l.measure = true, w
	if l.cfg.Rate > 0 {
		l.pace = newPacer(w, l.sends, l.number, l.of, l.part, l.whole)
		if l.cfg.Mode == Drops {
			l.dropFrom(w.start)
		}
	} else {
		l.fill()
		l.coalesce = l.cfg.Coalesce > 0 && l.tally.expected >= manyMessages
	}
	l.mu.Unlock()
	for {
		now := l.clock.now()
		if now >= w.end && (l.cfg.Rate == 0 || l.pace.next() >= w.end) {
			break
		}
		next := w.end
		if l.cfg.Rate > 0 {
			next = min(next, l.sendDue(now))
		}
		if l.coalesce && l.handled < fewEvents {
			nap(l.cfg.Coalesce)
		}
		if err := l.turn(ctx, time.Duration(next-now)); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.sending, l.through = false, true
	l.pace.finish()
	l.mu.Unlock()
	return l.hold(ctx, 10*time.Millisecond, done)
}

// sendDue sends what is due, a bounded number so that reading goes on, and
// returns when the next is.
func (l *loop) sendDue(now int64) int64 {
	if l.pace.next() > now {
		return l.pace.next()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 64 {
		at, ok := l.pace.due(now)
		if !ok {
			break
		}
		if c := l.nextSender(); c == nil || len(c.out) > 0 {
			l.pace.miss(at)
		} else {
			l.say(c, at)
		}
	}
	return l.pace.next()
}

// hold keeps the connections alive until done returns true, which is asked at
// least every wait.
func (l *loop) hold(ctx context.Context, wait time.Duration, done func() bool) error {
	for !done() {
		if err := l.turn(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

// snapshot returns the counts so far, and the latencies since the last call
// when fresh, an empty histogram, is given to go on with.
func (l *loop) snapshot(fresh *hdrhistogram.Histogram) (tally, *hdrhistogram.Histogram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	if !l.through {
		t.busy = 1
	}
	t.misordered, t.duplicated, t.missed = l.order.misordered, l.order.duplicated, l.pace.missed
	if fresh == nil {
		return t, nil
	}
	old := l.hist
	l.hist = fresh
	return t, old
}

// close cuts all connections.
func (l *loop) close() {
	for i := range l.conns {
		c := &l.conns[i]
		c.hangUp(reset)
		c.state = lost
	}
	l.poll.close()
}
