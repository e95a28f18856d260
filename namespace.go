package socketeer

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/hub"
)

// ConnectFunc handles a socket that joins a namespace. The context ends with
// the socket.
type ConnectFunc func(ctx context.Context, s *Socket) error

// Namespace is a channel of communication of its own on shared connections:
// its sockets, rooms and handlers are apart from those of other namespaces.
// All methods may be called concurrently.
type Namespace struct {
	Broadcaster // Emit, To, In, Except, ... to its sockets in the whole cluster

	template
	srv     *Server
	name    string
	adapter adapter.Adapter
	log     adapter.Log // the adapter; nil without recovery, as is out
	out     *outbox
	hub     *hub.Hub[*Socket]
	parent  *Dynamic // nil unless made by one
	acks    atomic.Uint64
	opened  atomic.Bool   // adapter, log and out are set
	ready   chan struct{} // closed when clients may enter

	serverSide handlers
	mu         sync.Mutex     // guards the rest
	inbox      inbox          // server-side events of other nodes
	users      int            // sockets connected or connecting
	closed     bool           // and removed from the server
	announcing [16]sync.Mutex // see announce
}

// template is what can be registered for a namespace before it exists.
type template struct {
	handlers handlers

	reg      sync.Mutex
	connects []ConnectFunc
	uses     []func(next ConnectFunc) ConnectFunc
}

// On registers a handler of an event that clients send. Handlers of one event
// run in the order of their registration, those of the namespace before those
// of the socket; off takes the handler back. That a client connects or
// disconnects is no event: see OnConnect and [Socket.OnDisconnect].
func (t *template) On(event string, h Handler) (off func()) { return t.handlers.on(event, h) }

// Once is On for one event of one socket only.
func (t *template) Once(event string, h Handler) (off func()) {
	return once(func(h Handler) func() { return t.handlers.on(event, h) }, h)
}

// OnAny registers a handler of all events that clients send. It runs before
// the middleware.
func (t *template) OnAny(h Handler) (off func()) { return t.handlers.onAny(h, false) }

// PrependAny is OnAny, before the handlers that were registered earlier.
func (t *template) PrependAny(h Handler) (off func()) { return t.handlers.onAny(h, true) }

// Use adds a middleware around the handlers of every event. It runs before
// those of the socket. (For namespace.use of JavaScript see UseConnect.)
func (t *template) Use(m Middleware) { t.handlers.use(m) }

// OnConnect registers a handler of sockets that have joined. The client has
// been told by then; handlers of its events wait until OnConnect's have
// returned. An error is logged and changes nothing else.
func (t *template) OnConnect(h ConnectFunc) {
	t.reg.Lock()
	defer t.reg.Unlock()
	t.connects = append(slices.Clip(t.connects), h)
}

// UseConnect adds a middleware around joining. An error refuses the client: it
// gets a connect_error with what an [*Error] says, else "internal error". Rooms
// joined in a middleware count from when the socket is connected.
func (t *template) UseConnect(m func(next ConnectFunc) ConnectFunc) {
	t.reg.Lock()
	defer t.reg.Unlock()
	t.uses = append(slices.Clip(t.uses), m)
}

// registered returns immutable snapshots.
func (t *template) registered() ([]ConnectFunc, []func(ConnectFunc) ConnectFunc) {
	t.reg.Lock()
	defer t.reg.Unlock()
	return t.connects, t.uses
}

// Name returns the namespace's name, such as "/" or "/chat".
func (n *Namespace) Name() string { return n.name }

// Len returns how many sockets are connected to this node.
func (n *Namespace) Len() int { return n.hub.Len() }

// Sockets yields the sockets connected to this node. See
// [Broadcast.Sockets] for those of all nodes.
func (n *Namespace) Sockets() iter.Seq[*Socket] {
	return func(yield func(*Socket) bool) {
		for _, s := range n.local(adapter.Target{}) {
			if !yield(s) {
				return
			}
		}
	}
}

// Socket returns the socket with this id, if it is connected to this node.
func (n *Namespace) Socket(id string) (*Socket, bool) {
	m, ok := n.hub.Find(id)
	if !ok || !m.Value.reachable() {
		return nil, false
	}
	return m.Value, true
}

// Rooms returns the names of the rooms that have members on this node. The
// rooms that are sockets' ids are not among them.
func (n *Namespace) Rooms() []string {
	return slices.DeleteFunc(n.hub.Rooms(), func(room string) bool {
		m, ok := n.hub.Find(room) // a recovered socket's own room
		return ok && n.hub.In(m, room)
	})
}

// local collects the target's sockets on this node. One that is in a room by its
// connect middleware already, and not yet connected, is not among them.
func (n *Namespace) local(t adapter.Target) []*Socket {
	var list []*Socket
	n.hub.Each(t.Rooms, t.Except, func(s *Socket) {
		if s.reachable() {
			list = append(list, s)
		}
	})
	return list
}

// announce tells the cluster of a room that has members here now, and waits
// until it knows. A room that empties at the same time is kept by order: who
// withdraws it holds the room's lock and looks whether it is still empty.
func (n *Namespace) announce(ctx context.Context, room string) error {
	l := n.announceLock(room)
	l.Lock()   // a withdrawal that did not see our member has ended now
	l.Unlock() //nolint:staticcheck // passing through is the point
	if err := n.adapter.Join(ctx, room); err != nil {
		return fmt.Errorf("socketeer: announcing room %q: %w", room, err)
	}
	n.hub.Announced(room)
	n.withdraw([]string{room}) // if it emptied before the adapter had heard of it
	return nil
}

func (n *Namespace) withdraw(rooms []string) {
	for _, room := range rooms {
		l := n.announceLock(room)
		l.Lock()
		if !n.hub.Has(room) {
			n.adapter.Leave(room)
		}
		l.Unlock()
	}
}

func (n *Namespace) announceLock(room string) *sync.Mutex {
	var h uint32
	for i := range len(room) {
		h = h*31 + uint32(room[i])
	}
	return &n.announcing[h%uint32(len(n.announcing))]
}

// enter counts a socket that is about to connect. It reports false when the
// namespace is gone.
func (n *Namespace) enter() bool {
	<-n.ready
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.users++
	return true
}

// stay counts somebody who will exit, as enter does, where somebody is.
func (n *Namespace) stay() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.users++
}

// exit counts a socket that has gone, or was refused, and has a namespace
// removed that nobody needs.
func (n *Namespace) exit() {
	n.mu.Lock()
	n.users--
	empty := n.users == 0
	n.mu.Unlock()
	if empty && n.parent != nil && n.srv.o.cleanup {
		n.srv.removeEmpty(n)
	}
}

// closeEmpty lets nobody enter any more, unless somebody is here.
func (n *Namespace) closeEmpty() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = n.closed || n.users == 0
	return n.closed
}

func (n *Namespace) closeAdapter() {
	if err := n.adapter.Close(); err != nil {
		n.srv.o.logger.Warn("closing an adapter failed", "nsp", n.name, "err", err)
	}
}
