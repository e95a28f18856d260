package socketeer

import (
	"context"
	"encoding/json"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/internal/hub"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Socket is a client in a namespace. All methods may be called concurrently.
// Handlers of one socket run one at a time, in the order of its events, and
// may block without holding up anything but that order.
type Socket struct {
	member hub.Member[*Socket] // ID and Value are immutable
	name   string              // of the namespace
	nsp    *Namespace          // set before anything can be called
	client *client
	auth   json.RawMessage

	state    atomic.Uint32
	outgoing atomic.Pointer[[]*OutgoingFunc]

	// Of recovery; nil without.
	session   atomic.Pointer[session]
	floor     atomic.Pointer[string] // offset: what is not newer has been replayed
	recovered atomic.Bool

	mu    sync.Mutex // guards the rest
	inbox inbox
	full  bool          // the inbox is, and the client paused
	done  chan struct{} // made when asked for
	extra *extra        // what most sockets do not have
}

// extra is the part of a socket that is made when needed. Guarded by
// Socket.mu.
type extra struct {
	handlers      handlers
	disconnecting []func(ctx context.Context, reason string)
	disconnect    []func(ctx context.Context, reason string)
	acks          map[uint64]func(*Reply)
	data          map[string]any
	user          string
	rooms         []string  // to be joined before connecting; left on disconnecting
	held          *held     // while recovering
	after         []*func() // see socketContext
}

const (
	socketConnecting = iota
	socketRecovering // in its rooms, but what is sent to it waits for what it missed
	socketAdmitted   // its CONNECT is being sent
	socketConnected
	socketDisconnected
)

// reachable reports whether broadcasts are for s. While its CONNECT is being
// sent it waits, which takes moments: broadcasts must not overtake that, nor
// pass by a client that knows by it that it is connected.
func (s *Socket) reachable() bool {
	state := s.state.Load()
	for state == socketAdmitted {
		runtime.Gosched()
		state = s.state.Load()
	}
	return state == socketConnected
}

// OutgoingFunc sees an event that is sent to a socket: its name, and all of it
// as a JSON array, which must not be changed.
type OutgoingFunc func(event string, data json.RawMessage)

func newSocket(c *client, auth []byte, id string) *Socket {
	s := &Socket{client: c, auth: auth}
	s.member.ID = id
	s.member.Value = s
	return s
}

func (s *Socket) more() *extra {
	if s.extra == nil {
		s.extra = &extra{}
	}
	return s.extra
}

// ID returns the socket's id: 20 characters, unique in the cluster and public.
func (s *Socket) ID() string { return s.member.ID }

// Namespace returns the namespace the socket is in.
func (s *Socket) Namespace() *Namespace { return s.nsp }

// Connected reports whether the socket is connected; it is not yet so in a
// connect middleware.
func (s *Socket) Connected() bool { return s.state.Load() == socketConnected }

// Conn returns the connection underneath, which sockets of one client in
// several namespaces share.
func (s *Socket) Conn() *engineio.Conn { return s.client.conn }

// Context returns a context that ends with the socket.
func (s *Socket) Context() context.Context { return (*socketContext)(s) }

// Emit sends an event to this client. It never waits. An error says that an
// argument cannot be encoded, or that the socket is disconnected
// (ErrDisconnected).
func (s *Socket) Emit(event string, args ...any) error { return s.emit(0, false, event, args) }

func (s *Socket) emit(f engineio.Flags, noCompress bool, event string, args []any) error {
	if s.nsp.out != nil && s.state.Load() != socketConnecting {
		return s.emitInTurn(f, noCompress, event, args)
	}
	p := sio.Packet{Type: sio.Event, Namespace: s.nsp.name}
	m, err := encodeEventArgs(&p, event, args)
	if err != nil {
		return err
	}
	if s.state.Load() == socketDisconnected {
		return ErrDisconnected
	}
	if noCompress {
		m.Uncompressed()
	}
	s.sent(event, p.Data)
	return s.client.send(m, f)
}

// sent tells the catch-all listeners.
func (s *Socket) sent(event string, data []byte) {
	if fs := s.outgoing.Load(); fs != nil {
		for _, f := range *fs {
			_ = s.nsp.srv.protect(func() error { (*f)(event, data); return nil }, "outgoing", event, s) // logged
		}
	}
}

// EmitWithAck sends an event and waits for the client's acknowledgement, until
// ctx ends or the socket disconnects (ErrDisconnected).
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (*Reply, error) {
	id := s.nsp.acks.Add(1) - 1
	p := sio.Packet{Type: sio.Event, Namespace: s.nsp.name, ID: id, HasID: true}
	m, err := encodeEventArgs(&p, event, args)
	if err != nil {
		return nil, err
	}
	replies := make(chan *Reply, 1)
	if !s.expect(id, func(r *Reply) { replies <- r }) {
		return nil, ErrDisconnected
	}
	err = s.nsp.inTurn(m.Len(), func() {
		s.sent(event, p.Data)
		// When it fails, the socket's end is the answer.
		_ = s.client.send(m, 0)
		s.client.conn.Flush() // we may be in a handler of this very client
	})
	if err != nil {
		s.unexpect(id)
		return nil, err
	}
	select {
	case r := <-replies:
		if r == nil {
			return nil, ErrDisconnected
		}
		return r, nil
	case <-ctx.Done():
		s.unexpect(id)
		if s.state.Load() == socketDisconnected { // ctx may be the socket's
			return nil, ErrDisconnected
		}
		return nil, context.Cause(ctx)
	}
}

// expect has f called once: with the acknowledgement, or with nil when the
// socket disconnects. It reports false when it has.
func (s *Socket) expect(id uint64, f func(*Reply)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == socketDisconnected {
		return false
	}
	e := s.more()
	if e.acks == nil {
		e.acks = make(map[uint64]func(*Reply))
	}
	e.acks[id] = f
	s.makeSpace() // see crowded
	return true
}

// unexpect takes expect back, and returns its function unless it was called.
func (s *Socket) unexpect(id uint64) func(*Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return nil
	}
	f := s.extra.acks[id]
	delete(s.extra.acks, id)
	return f
}

// acknowledged handles an acknowledgement of the client.
func (s *Socket) acknowledged(p sio.Packet) {
	if f := s.unexpect(p.ID); f != nil {
		f(&Reply{SID: s.ID(), data: p.Data, attachments: p.Attachments})
	}
}

// Volatile returns a way to send events that are dropped when the client's
// connection is not writable.
func (s *Socket) Volatile() Direct { return Direct{s: s, flags: engineio.Volatile} }

// Compress returns a way to send events that may or may not be compressed.
func (s *Socket) Compress(compress bool) Direct { return Direct{s: s, noCompress: !compress} }

// Direct sends events to one socket with flags.
type Direct struct {
	s          *Socket
	flags      engineio.Flags
	noCompress bool
}

// Volatile adds the flag of [Socket.Volatile].
func (d Direct) Volatile() Direct { d.flags |= engineio.Volatile; return d }

// Compress adds the flag of [Socket.Compress].
func (d Direct) Compress(compress bool) Direct { d.noCompress = !compress; return d }

// Emit sends an event, like [Socket.Emit].
func (d Direct) Emit(event string, args ...any) error {
	return d.s.emit(d.flags, d.noCompress, event, args)
}

// Broadcast returns a broadcast to everyone in the namespace but this socket.
func (s *Socket) Broadcast() Broadcast { return Broadcaster{nsp: s.nsp}.Except(s.ID()) }

// To returns a broadcast to the sockets in any of the rooms, but this one.
func (s *Socket) To(rooms ...string) Broadcast { return s.Broadcast().To(rooms...) }

// In is To.
func (s *Socket) In(rooms ...string) Broadcast { return s.To(rooms...) }

// Except returns a broadcast to everyone but this socket and those in any of
// the rooms.
func (s *Socket) Except(rooms ...string) Broadcast { return s.Broadcast().Except(rooms...) }

// Local returns a broadcast to the sockets of this node but this one.
func (s *Socket) Local() Broadcast { return s.Broadcast().Local() }

// Join adds the socket to rooms. It returns when the cluster knows: whatever
// any node sends to the rooms from then on arrives. After a disconnect it
// returns ErrDisconnected, for more than [WithMaxRooms] rooms ErrTooManyRooms;
// when the cluster does not answer until ctx ends, an
// error, but the socket is in the rooms all the same.
func (s *Socket) Join(ctx context.Context, rooms ...string) error {
	if s.state.Load() == socketConnecting {
		if later, err := s.joinLater(rooms); later {
			return err
		}
	}
	return s.join(ctx, rooms)
}

func (s *Socket) join(ctx context.Context, rooms []string) error {
	s.awaitTurn(ctx)
	if s.state.Load() == socketDisconnected { // and may be in the hub yet
		return ErrDisconnected
	}
	defer s.saveSession(ctx)
	var first error
	for _, room := range rooms {
		if room == s.ID() {
			continue
		}
		if s.nsp.hub.Count(&s.member) >= s.nsp.srv.o.maxRooms && !s.nsp.hub.In(&s.member, room) {
			return ErrTooManyRooms
		}
		announce, ok := s.nsp.hub.Join(&s.member, room)
		if !ok {
			return ErrDisconnected
		}
		if announce {
			s.client.conn.Flush()
			if err := s.nsp.announce(ctx, room); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

// joinLater keeps rooms until the socket is connected. It reports false when
// it is now.
func (s *Socket) joinLater(rooms []string) (later bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != socketConnecting {
		return false, nil
	}
	e := s.more()
	for _, room := range rooms {
		switch {
		case slices.Contains(e.rooms, room):
		case len(e.rooms) >= s.client.srv.o.maxRooms:
			return true, ErrTooManyRooms
		default:
			e.rooms = append(e.rooms, room)
		}
	}
	return true, nil
}

// Leave takes the socket out of rooms. It does not wait for the cluster.
func (s *Socket) Leave(rooms ...string) {
	s.mu.Lock()
	if s.state.Load() == socketConnecting && s.extra != nil {
		s.extra.rooms = slices.DeleteFunc(s.extra.rooms, func(r string) bool { return slices.Contains(rooms, r) })
	}
	s.mu.Unlock()
	out := s.nsp.out
	// When too much waits, what was sent before may pass by this socket.
	if out == nil || out.inTurn(0, func() { s.leave(rooms) }) != nil {
		s.leave(rooms)
	}
}

func (s *Socket) leave(rooms []string) {
	for _, room := range rooms {
		if room != s.ID() && s.nsp.hub.Leave(&s.member, room) {
			s.nsp.withdraw([]string{room})
		}
	}
	s.changed()
}

// Rooms returns the rooms the socket is in, its own id first. While it
// disconnects, those it was in.
func (s *Socket) Rooms() []string {
	rooms := []string{s.ID()}
	s.mu.Lock()
	if s.extra != nil {
		rooms = append(rooms, s.extra.rooms...)
	}
	s.mu.Unlock()
	return append(rooms, s.roomsOf()...)
}

// roomsOf are the rooms the socket is in, without that of its id, which a
// recovered one has joined.
func (s *Socket) roomsOf() []string {
	return slices.DeleteFunc(s.nsp.hub.RoomsOf(&s.member), func(room string) bool { return room == s.ID() })
}

// On registers a handler of an event of this client. See [Namespace.On], which
// costs no memory per socket.
func (s *Socket) On(event string, h Handler) (off func()) { return s.own().on(event, h) }

// Once is On for one event only.
func (s *Socket) Once(event string, h Handler) (off func()) {
	return once(func(h Handler) func() { return s.own().on(event, h) }, h)
}

// OnAny registers a handler of all events of this client. It runs before the
// middleware.
func (s *Socket) OnAny(h Handler) (off func()) { return s.own().onAny(h, false) }

// PrependAny is OnAny, before the handlers that were registered earlier.
func (s *Socket) PrependAny(h Handler) (off func()) { return s.own().onAny(h, true) }

// Use adds a middleware around the handlers of every event of this client.
func (s *Socket) Use(m Middleware) { s.own().use(m) }

func (s *Socket) own() *handlers {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &s.more().handlers
}

// OnAnyOutgoing registers a function that sees every event sent to this
// client, broadcasts included. It must be quick, and must not send.
func (s *Socket) OnAnyOutgoing(f OutgoingFunc) (off func()) { return s.onAnyOutgoing(f, false) }

// PrependAnyOutgoing is OnAnyOutgoing, before the functions that were
// registered earlier.
func (s *Socket) PrependAnyOutgoing(f OutgoingFunc) (off func()) { return s.onAnyOutgoing(f, true) }

func (s *Socket) onAnyOutgoing(f OutgoingFunc, first bool) (off func()) {
	p := &f
	change := func(edit func([]*OutgoingFunc) []*OutgoingFunc) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var list []*OutgoingFunc
		if old := s.outgoing.Load(); old != nil {
			list = slices.Clone(*old)
		}
		if list = edit(list); len(list) == 0 {
			s.outgoing.Store(nil)
			return
		}
		s.outgoing.Store(&list)
	}
	change(func(l []*OutgoingFunc) []*OutgoingFunc { return add(l, p, first) })
	return func() {
		change(func(l []*OutgoingFunc) []*OutgoingFunc {
			return slices.DeleteFunc(l, func(x *OutgoingFunc) bool { return x == p })
		})
	}
}

// OnDisconnecting registers a function that is called when the socket
// disconnects, before OnDisconnect's; Rooms still tells its rooms.
func (s *Socket) OnDisconnecting(f func(ctx context.Context, reason string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.more()
	e.disconnecting = append(e.disconnecting, f)
}

// OnDisconnect registers a function that is called once when the socket has
// disconnected, after all its events have been handled. The context has ended
// with the socket.
func (s *Socket) OnDisconnect(f func(ctx context.Context, reason string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.more()
	e.disconnect = append(e.disconnect, f)
}

// Set keeps a value with the socket (socket.data in JavaScript). Other nodes
// see it as JSON in [RemoteSocket], so it must not be changed afterwards.
func (s *Socket) Set(key string, value any) {
	s.mu.Lock()
	e := s.more()
	if e.data == nil {
		e.data = make(map[string]any)
	}
	e.data[key] = value
	s.mu.Unlock()
	s.changed()
}

// Value returns what was kept by Set, or nil. After a recovery it is what
// encoding/json makes of the value's JSON: strings, float64, bool, []any,
// map[string]any; [Recall] makes it what it was.
func (s *Socket) Value(key string) any {
	s.mu.Lock()
	var v any
	if s.extra != nil {
		v = s.extra.data[key]
	}
	s.mu.Unlock()
	return decoded(v)
}

// dataJSON returns all values.
func (s *Socket) dataJSON() []byte {
	s.mu.Lock()
	var data map[string]any
	if s.extra != nil {
		data = maps.Clone(s.extra.data)
	}
	s.mu.Unlock()
	if data == nil {
		return []byte("{}")
	}
	var b []byte
	err := s.nsp.srv.protect(func() (err error) { b, err = json.Marshal(data); return err }, "data", s.name, s)
	if err != nil {
		s.nsp.srv.o.logger.Warn("socket data is not JSON", "sid", s.ID(), "nsp", s.nsp.name, "err", err)
		return []byte("{}")
	}
	return b
}

// info describes the socket to other nodes.
func (s *Socket) info() adapter.SocketInfo {
	return adapter.SocketInfo{ID: s.ID(), Rooms: s.Rooms(), Handshake: s.handshakeJSON(), Data: s.dataJSON()}
}

// Disconnect ends the socket: its client is told, and does not reconnect by
// itself. With close, all sockets of the client end, and the connection too.
func (s *Socket) Disconnect(close bool) {
	// When too much waits, it is not awaited.
	if s.nsp.inTurn(0, func() { s.disconnectNow(close) }) != nil {
		s.disconnectNow(close)
	}
}

func (s *Socket) disconnectNow(close bool) {
	if close {
		s.client.disconnectAll()
		return
	}
	s.disconnect(reasonServer, true)
}
