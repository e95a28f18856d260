package redislink

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// key is a subscription.
type key struct {
	kind Kind
	name string
}

// change is a subscription to be made or unmade, whichever is wanted when it
// is its turn.
type change struct {
	key
	ticket *ticket   // who waits for it, or nil
	since  time.Time // it is made again, and was not there since then; or zero
}

// subscriber holds a connection to one server and keeps on it the
// subscriptions that are wanted.
type subscriber struct {
	link  *Link
	shard bool
	wake  chan struct{} // capacity 1
	stop  chan struct{} // closed by end
	once  sync.Once

	alive atomic.Int64 // last sign of life, since the link's start

	mu      sync.Mutex // taken after Link.mu
	addr    string     // empty: nobody owns the slots
	reset   bool       // connect anew
	want    map[key]struct{}
	changes []change
	parked  []change // for a better topology: the server does not own the slot
	synced  bool
	down    time.Time // since when it is not, if it was
}

func (l *Link) newSubscriber(shard bool, addr string) *subscriber {
	s := &subscriber{
		link: l, shard: shard, addr: addr, want: make(map[key]struct{}),
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	l.wg.Go(s.run)
	return s
}

func (s *subscriber) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// set makes subscriptions wanted, or not.
func (s *subscriber) set(keys []key, wanted bool, t *ticket, since time.Time) {
	s.mu.Lock()
	for _, k := range keys {
		if wanted {
			s.want[k] = struct{}{}
		} else {
			delete(s.want, k)
		}
		s.changes = append(s.changes, change{k, t, since})
	}
	s.mu.Unlock()
	s.nudge()
}

// move has the subscriber connect to another server.
func (s *subscriber) move(addr string) {
	s.mu.Lock()
	changed := s.addr != addr
	if changed {
		s.addr, s.reset = addr, true
	}
	s.mu.Unlock()
	if changed {
		s.nudge()
	}
}

// restart has it connect anew.
func (s *subscriber) restart() {
	s.mu.Lock()
	s.reset = true
	s.mu.Unlock()
	s.nudge()
}

func (s *subscriber) end() { s.once.Do(func() { close(s.stop) }) }

func (s *subscriber) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.synced && (!s.shard || len(s.want) > 0) {
		return explain(s.addr, errUnsubscribed)
	}
	return nil
}

var (
	errUnsubscribed = errors.New("subscriptions are not there")
	errStopped      = errors.New("stopped")
	errReset        = errors.New("it is made anew")
	errMoved        = fmt.Errorf("%w, elsewhere", errReset)
	errEnded        = errors.New("the connection ended")
)

// settleTime is how long nobody listens who leaves a server of a Redis Cluster
// that goes on for another: each hears of a message by itself, and what the one
// has delivered would come again if the other hears of it later.
const settleTime = 250 * time.Millisecond

// run connects again and again.
func (s *subscriber) run() {
	defer s.abandon()
	for attempt := 0; ; attempt++ {
		began := s.link.now()
		err := s.session()
		if errors.Is(err, errStopped) {
			return
		}
		s.fell(err)
		if s.link.now()-began > backoffMax {
			attempt = 0
		}
		s.link.kick()
		pause := s.link.after(attempt)
		switch {
		case errors.Is(err, errMoved):
			pause = time.After(settleTime)
		case errors.Is(err, errReset):
			continue
		}
		select {
		case <-pause:
		case <-s.stop:
			return
		case <-s.link.draining:
			return
		}
	}
}

// fell notes that the connection is gone.
func (s *subscriber) fell(err error) {
	s.mu.Lock()
	was, addr := s.synced, s.addr
	if was {
		s.synced = false
		s.down = s.link.start.Add(time.Duration(s.alive.Load()))
	}
	s.mu.Unlock()
	if was && !errors.Is(err, errReset) {
		s.link.outage.log(s.link.log, "connection to redis lost; reconnecting", from(addr, err))
	}
	s.link.log.Debug("redis subscriptions", "err", err)
}

// abandon tells who waits that nothing comes any more. A subscriber that was
// ended by itself has nothing to subscribe to, and nothing is left of it.
func (s *subscriber) abandon() {
	s.mu.Lock()
	list := slices.Concat(s.changes, s.parked)
	s.changes, s.parked = nil, nil
	s.mu.Unlock()
	var err error
	select {
	case <-s.stop:
	default:
		err = ErrClosed
	}
	for i := range list {
		list[i].ticket.finish(err)
	}
}
