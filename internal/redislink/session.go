package redislink

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

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
		list, reset, moved := s.changes, s.reset, s.addr != v.addr && !s.shard && s.link.mode == Cluster
		if !reset {
			s.changes = nil
		}
		s.mu.Unlock()
		switch {
		case reset && moved:
			return errMoved
		case reset:
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
