package redislink

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"github.com/redis/rueidis"
)

// answerTime bounds how long Redis may take for a batch of subscriptions.
const answerTime = 10 * time.Second

// commandNames bounds the names in one command.
const commandNames = 1000

// command is one (UN)SUBSCRIBE under way.
type command struct {
	kind Kind
	make bool
	keys []key
}

// apply makes the connection's subscriptions of the changes those that are
// wanted now, and tells who waits. On an error, which means that the
// connection is gone, the changes go back to where they were.
func (v *session) apply(list []change) error {
	if len(list) == 0 {
		return nil
	}
	outcome := make(map[key]error)
	if err := v.execute(v.difference(list), outcome); err != nil {
		v.s.mu.Lock()
		v.s.changes = append(list, v.s.changes...)
		v.s.mu.Unlock()
		return err
	}
	v.settle(list, outcome)
	return nil
}

// difference returns the commands between what is there and what is wanted.
func (v *session) difference(list []change) []command {
	s := v.s
	seen := make(map[key]struct{}, len(list))
	var add, remove [kinds][]key
	s.mu.Lock()
	for i := range list {
		if !list[i].since.IsZero() { // Redis has taken it away
			delete(v.have, list[i].key)
		}
	}
	for i := range list {
		k := list[i].key
		if _, twice := seen[k]; twice {
			continue
		}
		seen[k] = struct{}{}
		_, wanted := s.want[k]
		_, there := v.have[k]
		switch {
		case wanted && !there:
			add[k.kind] = append(add[k.kind], k)
		case !wanted && there:
			remove[k.kind] = append(remove[k.kind], k)
		}
	}
	s.mu.Unlock()
	var commands []command
	for kind := range kinds {
		commands = v.split(commands, command{kind, false, remove[kind]})
		commands = v.split(commands, command{kind, true, add[kind]})
	}
	return commands
}

// split appends a command, in portions. In a Redis Cluster the shard channels
// of one command must be of one slot.
func (v *session) split(commands []command, c command) []command {
	portions := [][]key{c.keys}
	if c.kind == Shard && v.s.link.mode == Cluster {
		portions = portions[:0]
		bySlot := make(map[uint16][]key)
		for _, k := range c.keys {
			bySlot[Slot(k.name)] = append(bySlot[Slot(k.name)], k)
		}
		for _, keys := range bySlot {
			portions = append(portions, keys)
		}
	}
	for _, keys := range portions {
		for len(keys) > 0 {
			n := min(len(keys), commandNames)
			commands = append(commands, command{c.kind, c.make, keys[:n]})
			keys = keys[n:]
		}
	}
	return commands
}

// execute sends commands in one go. What Redis refuses is in outcome.
func (v *session) execute(commands []command, outcome map[key]error) error {
	if len(commands) == 0 {
		return nil
	}
	built := make([]rueidis.Completed, len(commands))
	for i := range commands {
		built[i] = v.build(&commands[i])
	}
	ctx, cancel := context.WithTimeout(v.s.link.ctx, answerTime)
	results := v.client.DoMulti(ctx, built...)
	cancel()
	var again []command
	for i, r := range results {
		c := &commands[i]
		if err := r.NonRedisError(); err != nil {
			return err
		}
		err := r.Error()
		switch {
		case err == nil:
			for _, k := range c.keys {
				if c.make {
					v.have[k] = struct{}{}
				} else {
					delete(v.have, k)
				}
			}
		case len(c.keys) > 1 && !moved(err):
			for j := range c.keys { // find the one that is refused
				again = append(again, command{c.kind, c.make, c.keys[j : j+1]})
			}
		default:
			for _, k := range c.keys {
				outcome[k] = err
			}
		}
	}
	return v.execute(again, outcome)
}

func (v *session) build(c *command) rueidis.Completed {
	names := make([]string, len(c.keys))
	for i, k := range c.keys {
		names[i] = k.name
	}
	b := v.client.B()
	switch {
	case c.kind == Channel && c.make:
		return b.Subscribe().Channel(names...).Build()
	case c.kind == Channel:
		return b.Unsubscribe().Channel(names...).Build()
	case c.kind == Pattern && c.make:
		return b.Psubscribe().Pattern(names...).Build()
	case c.kind == Pattern:
		return b.Punsubscribe().Pattern(names...).Build()
	case c.make:
		return b.Ssubscribe().Channel(names...).Build()
	}
	return b.Sunsubscribe().Channel(names...).Build()
}

// settle tells who waits how it went. Shard channels that live elsewhere wait
// for the topology.
func (v *session) settle(list []change, outcome map[key]error) {
	s := v.s
	again, since := 0, time.Time{}
	misplaced := false
	for i := range list {
		c := &list[i]
		err := outcome[c.key]
		switch {
		case moved(err) || loading(err):
			misplaced = true
			s.mu.Lock()
			s.parked = append(s.parked, *c)
			s.mu.Unlock()
			continue
		case err != nil:
			err = explain(v.addr, fmt.Errorf("%q: %w", c.name, err))
			if c.ticket == nil {
				s.link.denied.log(s.link.log, "redis refuses a subscription that it took before", err)
				v.postpone(c.key)
			} else {
				s.mu.Lock()
				delete(s.want, c.key)
				s.mu.Unlock()
			}
		case !c.since.IsZero():
			again++
			if since.IsZero() || c.since.Before(since) {
				since = c.since
			}
		}
		c.ticket.finish(err)
	}
	if misplaced {
		s.link.kick()
	}
	if again > 0 {
		s.link.count.resubscribed.Add(uint64(again))
		s.link.queue.push(received{outage: &Outage{Shard: s.shard, Start: since, End: time.Now(), Names: again}})
	}
}

// postpone remembers a subscription that was there before and is refused now.
func (v *session) postpone(k key) {
	if v.failed == nil {
		v.failed = make(map[key]struct{})
	}
	v.failed[k] = struct{}{}
}

// retry has another try with what was refused, and with what is parked.
func (v *session) retry() {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range v.failed {
		s.changes = append(s.changes, change{key: k})
	}
	clear(v.failed)
}

// bytesOf returns the bytes of a string that rueidis made for one message and
// does not keep.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
