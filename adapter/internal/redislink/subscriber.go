package redislink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// answerTime bounds how long Redis may take for a batch of subscriptions.
const answerTime = 10 * time.Second

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
	errEnded        = errors.New("the connection ended")
)

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
		if errors.Is(err, errReset) {
			continue
		}
		select {
		case <-s.link.after(attempt):
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

// abandon tells who waits that nothing comes any more.
func (s *subscriber) abandon() {
	s.mu.Lock()
	list := append(s.changes, s.parked...)
	s.changes, s.parked = nil, nil
	s.mu.Unlock()
	for i := range list {
		list[i].ticket.finish(ErrClosed)
	}
}

// session is the time of one connection.
type session struct {
	s      *subscriber
	addr   string
	client rueidis.DedicatedClient
	have   map[key]struct{}
	over   atomic.Bool
	failed map[key]struct{} // subscriptions that Redis refused, to be tried again
}

// session connects, subscribes to what is wanted and follows what changes,
// until the connection is lost.
func (s *subscriber) session() error {
	s.mu.Lock()
	addr := s.addr
	s.reset = false
	s.mu.Unlock()
	if addr == "" {
		return ErrDown
	}
	n, err := s.link.conf.newListener(addr)
	if err != nil {
		return err
	}
	client, release := n.client.Dedicate()
	v := &session{s: s, addr: addr, client: client, have: make(map[key]struct{})}
	lost := client.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: v.message, OnSubscription: v.subscription})
	defer func() {
		v.over.Store(true)
		n.cut()
		client.Close()
		release()
		n.close()
	}()
	select {
	case err := <-lost:
		return err
	default:
	}
	ctx, cancel := context.WithTimeout(s.link.ctx, s.link.conf.dial)
	err = s.link.checkMaster(ctx, client)
	cancel()
	if err != nil {
		return err
	}
	if err := v.restore(); err != nil {
		return err
	}
	return v.serve(lost)
}

// restore makes all subscriptions that are wanted.
func (v *session) restore() error {
	s := v.s
	s.mu.Lock()
	waiting := s.changes
	list := make([]change, 0, len(s.want)+len(waiting))
	for k := range s.want {
		list = append(list, change{key: k})
	}
	s.changes = nil
	s.mu.Unlock()
	again := len(list)
	list = append(list, waiting...)
	if err := v.apply(list); err != nil {
		return err
	}
	now := time.Now()
	s.mu.Lock()
	s.synced = true
	down := s.down
	s.down = time.Time{}
	s.mu.Unlock()
	s.alive.Store(int64(s.link.now()))
	s.link.outage.over(s.link.log, "connected to redis again")
	if !down.IsZero() {
		s.link.count.reconnects.Add(1)
		s.link.count.resubscribed.Add(uint64(again))
		s.link.queue.push(received{outage: &Outage{Shard: s.shard, Start: down, End: now, Names: again}})
	}
	return nil
}

// serve follows what is wanted, and pings.
func (v *session) serve(lost <-chan error) error {
	s := v.s
	tick := time.NewTicker(s.link.options.ProbeInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-lost:
			return firstError(err, errEnded)
		case <-s.stop:
			return errStopped
		case <-s.link.draining:
			return errStopped
		case <-tick.C:
			if err := v.ping(); err != nil {
				return err
			}
			v.retry()
		case <-s.wake:
		}
		s.mu.Lock()
		list, reset := s.changes, s.reset
		if !reset {
			s.changes = nil
		}
		s.mu.Unlock()
		if reset {
			return errReset
		}
		if err := v.apply(list); err != nil {
			return err
		}
	}
}

// ping checks a connection on which nothing arrived for a while.
func (v *session) ping() error {
	link := v.s.link
	if link.now()-time.Duration(v.s.alive.Load()) < link.options.ProbeInterval/2 {
		return nil
	}
	ctx, cancel := context.WithTimeout(link.ctx, link.conf.answer)
	defer cancel()
	if err := v.client.Do(ctx, v.client.B().Ping().Build()).NonRedisError(); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	v.s.alive.Store(int64(link.now()))
	return nil
}

// message is called by rueidis' reader.
func (v *session) message(m rueidis.PubSubMessage) {
	if v.over.Load() {
		return
	}
	s := v.s
	s.alive.Store(int64(s.link.now()))
	kind := Channel
	switch {
	case s.shard:
		kind = Shard
	case m.Pattern != "":
		kind = Pattern
	}
	if !s.shard {
		s.link.heard.Store(true)
		if m.Channel == s.link.probe {
			return
		}
	}
	s.link.queue.push(received{Message: Message{Kind: kind, Pattern: m.Pattern, Channel: m.Channel, Data: bytesOf(m.Message)}})
}

// subscription is called by rueidis' reader. Redis unsubscribes by itself from
// a shard channel whose slot goes to another server.
func (v *session) subscription(p rueidis.PubSubSubscription) {
	if p.Kind != "sunsubscribe" || v.over.Load() {
		return
	}
	s := v.s
	k := key{Shard, p.Channel}
	s.mu.Lock()
	_, wanted := s.want[k]
	if wanted {
		s.changes = append(s.changes, change{key: k, since: time.Now()})
	}
	s.mu.Unlock()
	if wanted {
		s.nudge()
		s.link.kick()
	}
}
