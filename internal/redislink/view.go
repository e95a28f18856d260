package redislink

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// view is a topology with its lanes. It is immutable.
type view struct {
	topo  *topology
	lanes map[string]*lane
	home  *lane         // of channels and of commands without a key
	slot  *[slots]*lane // nil unless a cluster; an element is nil if nobody owns the slot
}

// lane returns where an item is to be sent.
func (v *view) lane(it *item) *lane {
	if v.slot == nil {
		return v.home
	}
	switch it.verb {
	case verbShardPublish:
		return v.slot[Slot(it.channel)]
	case verbCommand:
		if s := it.command.Slot(); s < slots {
			return v.slot[s]
		}
	}
	return v.home
}

// Publish sends data to a channel. It never blocks. nil means that the message
// waits to be sent: whether it arrives, nobody learns. data must not be
// modified afterwards.
//
// Errors are [ErrDown], [ErrBacklog] and [ErrClosed]; they are counted.
func (l *Link) Publish(channel string, data []byte) error {
	return l.submit(item{verb: verbPublish, channel: channel, data: data})
}

// SPublish is [Link.Publish] to a shard channel.
func (l *Link) SPublish(channel string, data []byte) error {
	return l.submit(item{verb: verbShardPublish, channel: channel, data: data})
}

// Send sends a command in the order of what is published, on the same
// connection. The command must come from Client().B(), must not block at the
// server, and is sent once only. done gets the answer, or why there is none; it
// runs on a goroutine that sends, so it must be quick. If Send returns an
// error, done is not called.
func (l *Link) Send(command rueidis.Completed, done func(rueidis.RedisMessage, error)) error {
	return l.submit(item{verb: verbCommand, command: command.Pin(), done: done})
}

// submit hands an item to its lane.
func (l *Link) submit(it item) error {
	it.at = l.now()
	for {
		v := l.view.Load()
		n := v.lane(&it)
		if n == nil {
			l.count.noOwner.Add(1)
			l.kick()
			return ErrDown
		}
		err := n.push(it)
		if !errors.Is(err, errRetired) {
			return err
		}
		if l.ctx.Err() != nil {
			l.count.closed.Add(1)
			return ErrClosed
		}
		if l.view.Load() == v { // about to be replaced
			l.mu.Lock()
			l.mu.Unlock() //nolint:staticcheck // waits for apply
		}
	}
}

// divert keeps an item that its server did not take until the topology is
// known better.
func (l *Link) divert(it item) {
	it.moves++
	l.mu.Lock()
	keep := it.moves <= maxMoves && !l.closed && len(l.lost) < batchItems
	if keep {
		l.lost = append(l.lost, it)
	}
	l.mu.Unlock()
	if !keep {
		l.count.noOwner.Add(1)
		it.finish(rueidis.RedisMessage{}, ErrDown)
		return
	}
	l.kick()
}

// expireLost drops diverted items that have waited for too long.
func (l *Link) expireLost() {
	l.mu.Lock()
	var old, keep []item
	for _, it := range l.lost {
		if l.now()-it.at > l.options.PublishTimeout {
			old = append(old, it)
		} else {
			keep = append(keep, it)
		}
	}
	l.lost = keep
	l.mu.Unlock()
	l.count.noOwner.Add(uint64(len(old)))
	finishAll(old, ErrDown)
}

// apply makes a topology the one in use. It is called by one goroutine.
func (l *Link) apply(t *topology) {
	old := l.view.Load()
	v := &view{topo: t, lanes: make(map[string]*lane, len(t.masters))}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, addr := range t.masters {
		if old != nil && old.lanes[addr] != nil {
			v.lanes[addr] = old.lanes[addr]
		} else {
			v.lanes[addr] = l.newLane(addr)
		}
	}
	v.home = v.lanes[t.publish]
	if t.owner != nil {
		v.slot = new([slots]*lane)
		for i, addr := range t.owner {
			v.slot[i] = v.lanes[addr]
		}
	}
	var moved []item
	if old != nil {
		for addr, n := range old.lanes {
			if v.lanes[addr] == nil {
				l.log.Info("redis: a master is no more", "addr", addr)
				moved = append(moved, n.retire()...)
			}
		}
	}
	moved = append(moved, l.lost...)
	l.lost = nil
	for _, it := range moved {
		n := v.lane(&it)
		if n == nil {
			l.count.noOwner.Add(1)
		} else if err := n.push(it); err == nil {
			continue
		}
		l.wg.Go(func() { it.finish(rueidis.RedisMessage{}, ErrDown) })
	}
	l.view.Store(v)
	if l.home != nil {
		l.home.move(t.listen)
	}
	l.rebalance(v)
}

// kick has the topology asked for soon.
func (l *Link) kick() {
	select {
	case l.kicked <- struct{}{}:
	default:
	}
}

func (l *Link) newAsker() *asker {
	a := &asker{link: l, conf: l.conf, open: make(map[string]*node)}
	if l.mode == Sentinel {
		t := &a.conf.target
		t.user, t.password, t.db = t.sentinelUser, t.sentinelPassword, 0
	}
	return a
}

// refreshGap is the least time between two questions about the topology.
const refreshGap = 50 * time.Millisecond

// steer keeps the topology up to date: when something points at a change, and
// now and then, since a change need not break anything.
func (l *Link) steer(a *asker, topo *topology) {
	defer a.close()
	var retry <-chan time.Time
	for attempt := 0; ; {
		interval := l.options.ProbeInterval
		tick := time.NewTimer(interval - interval/10 + rand.N(interval/5))
		select {
		case <-l.draining:
		case <-l.kicked:
		case <-retry:
		case <-tick.C:
		}
		tick.Stop()
		pause := time.NewTimer(refreshGap)
		select {
		case <-l.draining:
			pause.Stop()
			return
		case <-pause.C:
		}
		l.count.refreshes.Add(1)
		retry = nil
		next, err := a.resolve(l.ctx, l.mode, topo)
		if err != nil {
			l.log.Debug("topology of redis not known", "err", err)
			l.expireLost()
			retry = l.after(attempt)
			attempt++
			continue
		}
		attempt = 0
		topo = next
		l.apply(topo)
	}
}

// saying is something that is logged once until it has passed.
type saying struct{ said atomic.Bool }

func (s *saying) log(log *slog.Logger, text string, err error) {
	if !s.said.Swap(true) {
		log.Error(text, "err", err)
	}
}

// over logs that it has passed.
func (s *saying) over(log *slog.Logger, text string) {
	if s.said.Load() && s.said.Swap(false) {
		log.Info(text)
	}
}

// connected reports whether a probe has a way.
func (l *Link) connected() bool {
	return l.view.Load().home.healthy() && l.home.ready() == nil
}

// Ready returns nil while messages can be published and are received, or what
// is wrong.
func (l *Link) Ready() error {
	switch {
	case l.ctx.Err() != nil:
		return ErrClosed
	case l.deaf.Load():
		return errDeaf
	}
	for _, n := range l.view.Load().lanes {
		if !n.healthy() {
			return explain(n.addr, errors.New("connecting"))
		}
	}
	if l.home == nil {
		return nil
	}
	if err := l.home.ready(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.shards {
		if err := s.ready(); err != nil {
			return err
		}
	}
	return nil
}
