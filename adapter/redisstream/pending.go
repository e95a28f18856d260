package redisstream

import (
	"strconv"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// pending are the messages that were written to a stream to be kept and have
// not come back, in the order of their numbers.
type pending struct {
	wake chan struct{} // capacity 1: it is not empty any more

	mu   sync.Mutex
	list []*appended
}

type appended struct {
	ns   *namespace
	m    *adapter.Message
	kept func(offset string)
	seq  uint64
	at   time.Time
}

// add is called under the writer's lock, in the order of the numbers.
func (p *pending) add(a *appended) {
	p.mu.Lock()
	p.list = append(p.list, a)
	first := len(p.list) == 1
	p.mu.Unlock()
	if first {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// take removes the message whose entry came back, and returns it with those
// before it that did not. A message that is not there, because it has been
// given up, is nil.
func (p *pending) take(seq string) (before []*appended, mine *appended) {
	n, err := strconv.ParseUint(seq, 36, 64)
	if err != nil {
		return nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, a := range p.list {
		if a.seq > n {
			break
		}
		p.list[i] = nil
		if a.seq == n {
			mine = a
		} else {
			before = append(before, a)
		}
	}
	p.drop(len(before) + count(mine))
	return before, mine
}

func count(a *appended) int {
	if a == nil {
		return 0
	}
	return 1
}

// drop removes the first n. With mu held.
func (p *pending) drop(n int) {
	p.list = p.list[n:]
	if len(p.list) == 0 {
		p.list = nil
	}
}

// oldest returns when the oldest message was given.
func (p *pending) oldest() (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		return time.Time{}, false
	}
	return p.list[0].at, true
}

// expired removes the messages given before t.
func (p *pending) expired(t time.Time) []*appended {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.list) && p.list[n].at.Before(t) {
		n++
	}
	out := p.list[:n:n]
	p.drop(n)
	return out
}

// all removes all messages.
func (p *pending) all() []*appended {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.list
	p.list = nil
	return out
}

// of removes the messages of a namespace.
func (p *pending) of(ns *namespace) (out []*appended) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := make([]*appended, 0, len(p.list))
	for _, a := range p.list {
		if a.ns == ns {
			out = append(out, a)
		} else {
			rest = append(rest, a)
		}
	}
	p.list = rest
	return out
}
