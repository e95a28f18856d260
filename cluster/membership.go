package cluster

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Defaults of [Config].
const (
	DefaultInterval = time.Second
	// DefaultTimeoutIntervals is how many intervals of silence mean death.
	DefaultTimeoutIntervals = 5
)

// graveTime is how long a node that said goodbye is remembered, so that a
// heartbeat that was overtaken by the goodbye does not bring it back.
const graveTime = time.Minute

// Config adjusts a [Membership]. The zero value means the defaults.
type Config struct {
	// Interval between heartbeats; each is sent up to a tenth earlier or
	// later. Default 1 s.
	Interval time.Duration
	// Timeout is the silence after which a peer is dead. Default 5 x
	// Interval. It should be the same on all nodes and at least 3 x Interval.
	Timeout time.Duration
	// Logger tells of nodes that come and go. Default: silent.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Interval <= 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeoutIntervals * c.Interval
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Membership knows the live nodes. All methods may be called concurrently.
type Membership struct {
	id   Identity
	cfg  Config
	log  *slog.Logger
	out  Transport
	stop chan struct{} // closed by Leave or Stop
	done chan struct{} // closed when the goroutine has ended
	kick chan struct{} // announce now

	// events is held while a change is made and told to the watchers, so
	// that they hear of changes one at a time and in order. Locked before mu.
	events sync.Mutex

	mu       sync.Mutex
	self     Member
	counts   func() Counts
	peers    map[string]Member    // by incarnation
	graves   map[string]time.Time // incarnation -> goodbye
	doomed   map[string]time.Time // peer -> when it is dead, unless it is heard before; see Gone
	watchers map[int]func(Event)
	nextID   int
	changed  chan struct{} // closed and replaced when the set of members changes
	started  bool
	stopped  bool
}

// New returns a membership for the node id with the given public address. It
// is silent, and deaf to nothing, until [Membership.Start].
func New(id Identity, addr string, out Transport, cfg Config) *Membership {
	cfg = cfg.withDefaults()
	if len(addr) > MaxNameLen {
		addr = ""
	}
	return &Membership{
		id: id, cfg: cfg, log: cfg.Logger, out: out,
		stop: make(chan struct{}), done: make(chan struct{}), kick: make(chan struct{}, 1),
		self: Member{
			Identity: id, Addr: addr, State: Ready, Self: true,
			Started: time.UnixMilli(time.Now().UnixMilli()),
		},
		peers: make(map[string]Member), graves: make(map[string]time.Time), doomed: make(map[string]time.Time),
		watchers: make(map[int]func(Event)), changed: make(chan struct{}),
	}
}

// Start begins to announce this node and to notice who falls silent. It
// returns at once; only the first call does anything.
func (m *Membership) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started || m.stopped {
		return
	}
	m.started = true
	go m.run()
}

// Leave says goodbye to the peers and stops. It is idempotent and waits for
// the goroutine to end.
func (m *Membership) Leave() { m.end(true) }

// Stop stops without a word, as a crash would: the peers notice after their
// Timeout. It is idempotent and waits for the goroutine to end.
func (m *Membership) Stop() { m.end(false) }

func (m *Membership) end(polite bool) {
	m.mu.Lock()
	first, started := !m.stopped, m.started
	m.stopped = true
	m.mu.Unlock()
	if first {
		close(m.stop)
	}
	if !started {
		return
	}
	<-m.done
	if first && polite {
		m.announce(goodbye)
	}
}

// run announces and sweeps.
func (m *Membership) run() {
	defer close(m.done)
	pace := m.cfg.Interval / 20
	kind := hello
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-m.kick:
			m.announce(beat)
			timer.Reset(0) // somebody may be dead sooner than was to be expected
			continue
		case <-timer.C:
		}
		now := time.Now()
		if late := now.Sub(due); late > m.cfg.Interval {
			m.forgive(late)
		}
		if !now.Before(due) {
			m.announce(kind)
			due = now.Add(jitter(pace))
			if pace *= 2; pace >= m.cfg.Interval {
				pace, kind = m.cfg.Interval, beat
			}
		}
		next := due
		if expiry := m.sweep(now); !expiry.IsZero() && expiry.Before(next) {
			next = expiry
		}
		timer.Reset(time.Until(next))
	}
}

func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

// forgive adds to every peer's time the time this process itself stood still
// (suspended machine, starved of CPU): it could not have heard them.
func (m *Membership) forgive(late time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log.Warn("node stood still; peers get as much longer", "late", late)
	for inc, p := range m.peers {
		p.Seen = p.Seen.Add(late)
		m.peers[inc] = p
	}
	for inc, at := range m.doomed {
		m.doomed[inc] = at.Add(late)
	}
}

// sweep declares silent peers dead and returns when the next one would be.
func (m *Membership) sweep(now time.Time) (next time.Time) {
	m.events.Lock()
	defer m.events.Unlock()
	var dead []Event
	m.mu.Lock()
	for inc, p := range m.peers {
		expiry := p.Seen.Add(m.cfg.Timeout)
		if at, doomed := m.doomed[inc]; doomed && at.Before(expiry) {
			expiry = at
		}
		if !expiry.After(now) {
			m.forget(inc)
			dead = append(dead, Event{Died, p})
		} else if next.IsZero() || expiry.Before(next) {
			next = expiry
		}
	}
	for inc, at := range m.graves {
		if now.Sub(at) > graveTime {
			delete(m.graves, inc)
		}
	}
	m.mu.Unlock()
	m.tell(dead)
	return next
}

// announce sends this node's frame to everybody.
func (m *Membership) announce(k frameKind) {
	if err := m.out.Announce(m.frame(k)); err != nil {
		m.log.Debug("announcement not sent", "err", err)
	}
}

func (m *Membership) frame(k frameKind) []byte {
	self := m.Self()
	return appendFrame(make([]byte, 0, 128), k, &self)
}

// Receive takes an announcement that came over the transport. A malformed one
// is an error; one of its own is ignored. It must not be called by a watcher.
func (m *Membership) Receive(frame []byte) error {
	k, from, err := parseFrame(frame)
	if err != nil {
		return err
	}
	if from.Incarnation == m.id.Incarnation {
		return nil
	}
	m.events.Lock()
	events, isNew := m.apply(k, from)
	m.tell(events)
	m.events.Unlock()
	if isNew || k == hello {
		// It may not know this node yet: this is its round trip.
		if err := m.out.Send(from.Incarnation, m.frame(beat)); err != nil {
			m.log.Debug("announcement not answered", "peer", from.Name, "err", err)
		}
	}
	return nil
}

// apply changes the state for a frame from another node.
func (m *Membership) apply(k frameKind, from Member) (events []Event, isNew bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return nil, false
	}
	now := time.Now()
	from.Seen = now
	delete(m.doomed, from.Incarnation)
	p, known := m.peers[from.Incarnation]
	switch {
	case k == goodbye:
		m.graves[from.Incarnation] = now
		if known {
			m.forget(from.Incarnation)
			events = append(events, Event{Left, p})
		}
		return events, false
	case known:
		if p.State != from.State || p.Addr != from.Addr {
			events = append(events, Event{Changed, from})
		}
		m.peers[from.Incarnation] = from
		return events, false
	}
	if _, left := m.graves[from.Incarnation]; left {
		return nil, false
	}
	// A new node in the place of one of the same name: the old one most
	// likely crashed and need not be waited for. If it is alive after all,
	// its next heartbeat brings it back.
	for inc, old := range m.peers {
		if old.Name == from.Name && old.Started.Before(from.Started) {
			m.forget(inc)
			events = append(events, Event{Died, old})
		}
	}
	m.peers[from.Incarnation] = from
	m.checkDouble(from)
	return append(events, Event{Joined, from}), true
}

// forget removes a peer. Called with mu held.
func (m *Membership) forget(incarnation string) {
	delete(m.peers, incarnation)
	delete(m.doomed, incarnation)
}

// Gone says that a peer seems to have ended, because nobody listens at its
// address any more, say. Unless it is heard before, it is declared dead one
// Interval from now, when what it has sent has been handled. It is no error if
// there is no such peer.
func (m *Membership) Gone(incarnation string) {
	m.mu.Lock()
	_, known := m.peers[incarnation]
	_, doomed := m.doomed[incarnation]
	if known && !doomed {
		m.doomed[incarnation] = time.Now().Add(m.cfg.Interval)
	}
	m.mu.Unlock()
	if known && !doomed {
		m.hurry()
	}
}

// checkDouble logs a peer that has this node's tag or name. Called with mu
// held.
func (m *Membership) checkDouble(p Member) {
	if p.Tag() == m.id.Tag() {
		m.log.Error("two live nodes have the same tag; the later one must be restarted",
			"tag", p.Tag(), "peer", p.Name)
	}
	if p.Name == m.id.Name {
		m.log.Warn("another live node has this node's name", "incarnation", p.Incarnation)
	}
}

// tell logs events and calls the watchers. Called with events held, mu free.
func (m *Membership) tell(events []Event) {
	if len(events) == 0 {
		return
	}
	m.mu.Lock()
	watchers := make([]func(Event), 0, len(m.watchers))
	for _, w := range m.watchers {
		watchers = append(watchers, w)
	}
	close(m.changed)
	m.changed = make(chan struct{})
	m.mu.Unlock()
	for _, e := range events {
		level := slog.LevelInfo
		if e.Kind == Died {
			level = slog.LevelWarn
		}
		m.log.Log(context.Background(), level, "node "+e.Kind.String(),
			"peer", e.Member.Name, "incarnation", e.Member.Incarnation, "state", e.Member.State.String())
		for _, w := range watchers {
			w(e)
		}
	}
}

// Watch calls f for every change from now on: one at a time, in order, until
// stop is called. f must not block and must call no method of the membership
// but Self and Members; a call in progress may still end after stop.
func (m *Membership) Watch(f func(Event)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := m.nextID
	m.nextID++
	m.watchers[id] = f
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, id)
	}
}

// Self returns this node as it announces itself.
func (m *Membership) Self() Member {
	m.mu.Lock()
	self, counts := m.self, m.counts
	m.mu.Unlock()
	self.Seen = time.Now()
	if counts != nil {
		self.Counts = counts()
	}
	return self
}

// Members returns the live nodes, this one included, sorted by name and then
// incarnation.
func (m *Membership) Members() []Member {
	all := []Member{m.Self()}
	m.mu.Lock()
	for _, p := range m.peers {
		all = append(all, p)
	}
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b Member) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Incarnation, b.Incarnation)
	})
	return all
}

// SetState announces a new state of this node at once.
func (m *Membership) SetState(s State) {
	m.mu.Lock()
	m.self.State = s
	m.mu.Unlock()
	m.hurry()
}

// SetAddr announces a new public address of this node at once. It is cut to
// nothing when longer than [MaxNameLen].
func (m *Membership) SetAddr(addr string) {
	if len(addr) > MaxNameLen {
		addr = ""
	}
	m.mu.Lock()
	m.self.Addr = addr
	m.mu.Unlock()
	m.hurry()
}

func (m *Membership) hurry() {
	select {
	case m.kick <- struct{}{}:
	default: // an announcement is already on its way
	}
}

// SetCounts sets the function that is asked for the node's load at every
// heartbeat and call of Members. It must be quick and safe for concurrent use.
func (m *Membership) SetCounts(f func() Counts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts = f
}

// Wait returns when at least n peers are live, or with ctx's cause.
func (m *Membership) Wait(ctx context.Context, n int) error {
	for {
		m.mu.Lock()
		enough, changed := len(m.peers) >= n, m.changed
		m.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Conflict returns a *[TagConflictError] while an older live node has this
// node's tag, else nil. The older of the two keeps working, and both are
// logged by either.
func (m *Membership) Conflict() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		if p.Tag() != m.id.Tag() {
			continue
		}
		if c := p.Started.Compare(m.self.Started); c < 0 || c == 0 && p.Incarnation < m.id.Incarnation {
			return &TagConflictError{Tag: p.Tag(), Name: m.id.Name, With: p.Name}
		}
	}
	return nil
}
