package redis

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/interest"
	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

var errAdapterClosed = fmt.Errorf("socketeer: redis adapter: %w", net.ErrClosed)

// space is the adapter of one namespace.
type space struct {
	*nodepeers.Namespace // Publish, Request, Receive, Err
	c                    *Cluster
	name                 string
	rooms                *interest.Set
	bound                []subscription // by Open
	closing              atomic.Bool
}

var (
	_ adapter.Adapter     = (*space)(nil)
	_ adapter.IDs         = (*space)(nil)
	_ interest.Subscriber = (*space)(nil)
)

// Open implements [adapter.Factory]. Opening a namespace twice is an error,
// until the first adapter is closed. It fails if an older Go node has this
// node's tag.
func (c *Cluster) Open(ctx context.Context, nsp string, local adapter.Local) (adapter.Adapter, error) {
	n, err := c.node.Open(nsp, local)
	if err != nil {
		return nil, err
	}
	s := &space{Namespace: n, c: c, name: nsp}
	s.rooms = interest.New(c.leaving, s, local)
	c.mu.Lock()
	c.spaces[s] = struct{}{}
	c.mu.Unlock()
	if err := s.subscribe(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("socketeer: open namespace %q: %w", nsp, err)
	}
	return s, nil
}

// subscribe makes the subscriptions of a namespace. Peers see the last one:
// by then all others are there.
func (s *space) subscribe(ctx context.Context) error {
	all := s.c.wire.subscriptions(s)
	for _, part := range [][]subscription{all[:len(all)-1], all[len(all)-1:]} {
		var waits []func(context.Context) error
		for _, sub := range part {
			wait, err := s.c.routes.bind(sub.kind, sub.name, route{use: sub.use, space: s})
			if err != nil {
				return err
			}
			s.bound = append(s.bound, sub)
			waits = append(waits, wait)
		}
		for _, wait := range waits {
			if err := wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Join implements [adapter.Adapter].
func (s *space) Join(ctx context.Context, room string) error { return s.rooms.Join(ctx, room) }

// Leave implements [adapter.Adapter]. The room's messages keep coming for
// Options.LeaveDelay, in case somebody joins again.
func (s *space) Leave(room string) { s.rooms.Leave(room) }

// NeedsIDs implements [adapter.IDs]: in the mode dynamic-private a socket has a
// channel.
func (s *space) NeedsIDs() bool {
	return s.c.o.Mode == Sharded && s.c.o.Subscription == DynamicPrivate
}

// Begin implements interest.Subscriber.
func (s *space) Begin(room string) (wait func(context.Context) error, err error) {
	kind, name, ok := s.c.wire.roomChannel(s, room)
	if !ok {
		return func(context.Context) error { return nil }, nil
	}
	return s.c.routes.bind(kind, name, route{use: useMessages, space: s, room: room})
}

// End implements interest.Subscriber.
func (s *space) End(room string) {
	if kind, name, ok := s.c.wire.roomChannel(s, room); ok {
		s.c.routes.unbind(kind, name, route{use: useMessages, space: s, room: room})
	}
}

// closeTime bounds how long Close waits for Redis.
const closeTime = time.Second

// Close implements [adapter.Adapter]. First the namespace becomes invisible to
// peers, so that they do not wait for it, and what they asked until then is
// answered.
func (s *space) Close() error {
	if s.closing.Swap(true) {
		return nil
	}
	s.hide()
	s.Namespace.Close()
	s.rooms.Close(errAdapterClosed)
	for _, sub := range s.bound {
		s.c.routes.unbind(sub.kind, sub.name, route{use: sub.use, space: s})
	}
	s.c.mu.Lock()
	delete(s.c.spaces, s)
	s.c.mu.Unlock()
	return nil
}

// hide ends the subscriptions but those of rooms and waits for that, if Redis is
// there. What arrives until then is still handled.
func (s *space) hide() {
	if s.c.link.Ready() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	var waits []func(context.Context) error
	for _, sub := range s.bound {
		if wait := s.c.routes.hide(sub.kind, sub.name, route{use: sub.use, space: s}); wait != nil {
			waits = append(waits, wait)
		}
	}
	for _, wait := range waits {
		_ = wait(ctx) // else they end with the connection
	}
}

// wants reports whether a message may be for sockets here: for everyone, or for
// a room that was joined, or a socket of this node.
func (s *space) wants(m *nodewire.Message) bool {
	if m.Type != nodewire.Broadcast || m.RequestID != "" || len(m.Target.Rooms) == 0 {
		return true
	}
	for _, room := range m.Target.Rooms {
		if ownID(room, s.c.node.Tag()) || s.rooms.Has(room) {
			return true
		}
	}
	return false
}
