package redis

import (
	"context"
	"slices"
	"sync"

	"github.com/socketeer-io/socketeer/internal/redislink"
)

// routes knows what the channels that this node subscribes to are for. Two
// namespaces may share a channel: room "b#c" of "/a" and room "c" of "/a#b".
type routes struct {
	link *redislink.Link

	mu    sync.RWMutex
	bound map[routeKey]*binding
}

type routeKey struct {
	kind redislink.Kind
	name string
}

type binding struct {
	to     []route // replaced, never changed
	wait   func(context.Context) error
	hidden bool // not subscribed any more
}

// use is what a channel is for.
type use uint8

const (
	useMembers   use = iota // announcements of Go nodes
	useMessages             // messages, and with the sharded wire requests
	useRequests             // requests, classic
	useResponses            // responses
)

// route is where messages of a channel go.
type route struct {
	use   use
	space *space // nil with useMembers
	room  string // of a room's own channel; empty else
}

// bind subscribes, in the order of the calls. wait returns when Redis has
// confirmed it.
func (r *routes) bind(kind redislink.Kind, name string, to route) (wait func(context.Context) error, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := routeKey{kind, name}
	b := r.bound[key]
	if b == nil {
		b = &binding{hidden: true}
	}
	if b.hidden {
		if b.wait, err = r.link.Begin(kind, true, name); err != nil {
			return nil, err
		}
		b.hidden = false
	}
	b.to = append(slices.Clip(b.to), to)
	r.bound[key] = b
	return b.wait, nil
}

// unbind undoes bind. It does not wait.
func (r *routes) unbind(kind redislink.Kind, name string, to route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := routeKey{kind, name}
	b := r.bound[key]
	if b == nil {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(b.to), func(x route) bool { return x == to })
	if len(rest) > 0 {
		b.to = rest
		return
	}
	delete(r.bound, key)
	_, _ = r.link.Begin(kind, false, name) // fails only when the link is closed
}

// hide ends the subscription of a route that is alone there, without unbinding
// it. wait, nil if it is not alone, returns when Redis has confirmed that.
func (r *routes) hide(kind redislink.Kind, name string, to route) (wait func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bound[routeKey{kind, name}]
	if b == nil || len(b.to) != 1 || b.to[0] != to {
		return nil
	}
	wait, err := r.link.Begin(kind, false, name)
	if err != nil {
		return nil
	}
	b.hidden = true
	return wait
}

// find returns where a message goes. A message may still come shortly after
// unbind; it goes nowhere.
func (r *routes) find(m *redislink.Message) []route {
	key := routeKey{m.Kind, m.Channel}
	if m.Kind == redislink.Pattern {
		key.name = m.Pattern
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if b := r.bound[key]; b != nil {
		return b.to
	}
	return nil
}
