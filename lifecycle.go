package socketeer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// inbox is a queue of messages that are handled one after the other. Its zero
// value is empty.
type inbox struct {
	head, tail *Message
	n          int
	bytes      int  // of the messages' data
	running    bool // a worker is at it, or will be
}

func (b *inbox) push(m *Message) {
	if b.tail == nil {
		b.head = m
	} else {
		b.tail.next = m
	}
	b.tail = m
	b.n++
	b.bytes += m.size()
}

func (b *inbox) pop() *Message {
	m := b.head
	b.head = m.next
	if b.head == nil {
		b.tail = nil
	}
	m.next = nil
	b.n--
	b.bytes -= m.size()
	return m
}

// size is how many bytes of a client's m holds.
func (m *Message) size() int {
	n := len(m.data)
	for _, a := range m.attachments {
		n += len(a)
	}
	return n
}

// incoming queues an event for the handlers. While there are too many, the
// client is not read.
func (s *Socket) incoming(p sio.Packet) error {
	name, err := p.EventName()
	if err != nil {
		return err
	}
	m := &Message{kind: kindEvent, socket: s, data: p.Data, attachments: p.Attachments, event: name, id: p.ID}
	if p.HasID {
		m.ack.Store(ackWanted)
	}
	s.mu.Lock()
	if s.state.Load() == socketDisconnected {
		s.mu.Unlock()
		return nil // events after a disconnect are dropped
	}
	if !s.full && s.crowded(1) {
		s.full = true
		s.client.conn.Pause()
	}
	s.enqueue(m)
	return nil
}

// crowded reports whether as many events wait as may, in number or in bytes, or
// a share of that. A handler that waits for the client's acknowledgement gets it
// only while the client is read, so there is more room then. With s.mu held.
func (s *Socket) crowded(share int) bool {
	srv := s.client.srv
	n, bytes := srv.o.maxPending, int(srv.maxPayload())
	if s.extra != nil && len(s.extra.acks) > 0 {
		n, bytes = 4*n, 4*bytes
	}
	return s.inbox.n >= max(n/share, 1) || s.inbox.bytes >= bytes/share
}

// enqueue adds to the inbox, has it drained, and releases s.mu.
func (s *Socket) enqueue(m *Message) {
	s.inbox.push(m)
	start := !s.inbox.running
	s.inbox.running = true
	s.mu.Unlock()
	if start {
		s.client.srv.pool.run(s)
	}
}

// makeSpace ends the pause of a full inbox. With s.mu held.
func (s *Socket) makeSpace() {
	if s.full {
		s.full = false
		s.client.conn.Resume()
	}
}

// corked implements task.
func (s *Socket) corked() *engineio.Conn { return s.client.conn }

// drain implements task.
func (s *Socket) drain() {
	for {
		s.mu.Lock()
		if s.inbox.n == 0 {
			s.inbox.running = false
			s.mu.Unlock()
			return
		}
		m := s.inbox.pop()
		if s.full && !s.crowded(2) {
			s.makeSpace()
		}
		s.mu.Unlock()
		s.handle(m)
	}
}

// handle runs what one message asks for.
func (s *Socket) handle(m *Message) {
	switch m.kind {
	case kindConnect:
		s.connect(true)
	case kindConnectAnew:
		s.connect(false)
	case kindDisconnect:
		s.disconnected(m.reason)
	case kindEvent:
		s.event(m)
	}
}

// protect runs f and turns a panic into a log line and an error.
func (srv *Server) protect(f func() error, what, name string, s *Socket) (err error) {
	defer srv.recovered(&err, what, name, s)
	return f()
}

// recovered, deferred, is protect's other half.
func (srv *Server) recovered(err *error, what, name string, s *Socket) {
	p := recover()
	if p == nil {
		return
	}
	sid := ""
	if s != nil {
		sid = s.ID()
	}
	srv.o.logger.Error("a handler panicked", "handler", what, "name", name, "sid", sid,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	*err = errInternal
}

// event runs the handlers of an event.
func (s *Socket) event(m *Message) {
	err := s.runHandlers(m)
	if err == nil {
		return
	}
	if !errors.Is(err, errInternal) { // a panic has been logged
		level := slog.LevelWarn
		if errors.Is(err, net.ErrClosed) { // the client went while it was served
			level = slog.LevelDebug
		}
		s.nsp.srv.o.logger.Log(context.Background(), level, "a handler failed", "event", m.event, "nsp", s.name, "sid", s.ID(), "err", err)
	}
	if m.WantsAck() {
		// When it fails, the client is gone.
		_ = m.Ack(map[string]any{"error": forClient(err).wire()})
	}
}

// runHandlers is protect without a closure.
func (s *Socket) runHandlers(m *Message) (err error) {
	defer s.nsp.srv.recovered(&err, "event", m.event, s)
	return chain{s.nsp.handlers.load(), s.ownTable()}.handle(s.Context(), m)
}

func (s *Socket) ownTable() *table {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return nil
	}
	return s.extra.handlers.load()
}

// connect joins the namespace: finds it, recovers the client's session if it
// asks for that and may, asks the middleware, tells the client, and runs the
// connect handlers.
func (s *Socket) connect(mayRecover bool) {
	srv := s.client.srv
	n, err := srv.enter(s.Context(), s.name, s.auth)
	if err != nil {
		s.refused(map[string]string{"message": "Invalid namespace"})
		return
	}
	s.nsp = n
	var back *comeback
	if n.log != nil && mayRecover {
		var ok bool
		if back, ok = s.comeBack(); !ok {
			return
		}
	}
	connects, uses := n.registered()
	if back == nil || srv.o.recovery.RunMiddlewares {
		err = srv.protect(func() error { return admit(s, uses) }, "connect middleware", n.name, s)
	}
	if err == nil && s.state.Load() > socketRecovering {
		err = ErrDisconnected
	}
	if err == nil && back == nil {
		s.joinWaiting()
	}
	if err != nil || back == nil && !s.connected() || back != nil && !s.resume(back) {
		rooms := s.leaveAll()
		if back != nil {
			s.failComeBack(back, err, rooms)
		}
		n.exit()
		if err == nil { // the client has gone
			return
		}
		if errors.Is(forClient(err), errInternal) && !errors.Is(err, errInternal) {
			srv.o.logger.Warn("a connect middleware failed", "nsp", n.name, "sid", s.ID(), "err", err)
		}
		s.refused(forClient(err).wire())
		return
	}
	for _, h := range connects {
		if err := srv.protect(func() error { return h(s.Context(), s) }, "connect", n.name, s); err != nil && !errors.Is(err, errInternal) {
			srv.o.logger.Warn("a connect handler failed", "nsp", n.name, "sid", s.ID(), "err", err)
		}
	}
}

// admit runs the connect middleware.
func admit(s *Socket, uses []func(ConnectFunc) ConnectFunc) error {
	admitted := false
	next := ConnectFunc(func(context.Context, *Socket) error {
		admitted = true
		return nil
	})
	for i := len(uses) - 1; i >= 0; i-- {
		next = uses[i](next)
	}
	if err := next(s.Context(), s); err != nil {
		return err
	}
	if !admitted {
		return &Error{Message: "refused"}
	}
	return nil
}

// refused ends a socket that never connected.
func (s *Socket) refused(e any) {
	s.end()
	s.client.remove(s, false)
	s.client.connectError(s.name, e)
}

// connected makes the socket part of the namespace. It reports false when the
// client has gone meanwhile.
func (s *Socket) connected() bool {
	var x *session
	if s.nsp.log != nil {
		x = newSession(s, s.client.srv.newID())
		s.session.Store(x)
	}
	s.nsp.hub.Add(&s.member)
	s.announceID()
	// The client answers the CONNECT as soon as it has it, and must find the
	// socket admitted. For broadcasts see reachable.
	c := s.client
	c.mu.Lock()
	if c.closed || !s.state.CompareAndSwap(socketConnecting, socketAdmitted) {
		c.mu.Unlock()
		return false
	}
	c.joined = true
	c.mu.Unlock()
	c.conn.Keep()
	s.tellConnected(x)
	s.joinWaiting() // what was added since
	if x != nil {
		s.nsp.srv.keeper.begin(x)
	}
	return true
}

// tellConnected tells the client that it has joined: the socket has been
// admitted.
func (s *Socket) tellConnected(x *session) {
	said := struct {
		SID string `json:"sid"`
		PID string `json:"pid,omitempty"`
	}{SID: s.ID()}
	if x != nil {
		said.PID = x.pid
	}
	data, err := json.Marshal(said)
	if err != nil { // strings
		panic(err)
	}
	_ = s.client.conn.Send(encode(sio.Packet{Type: sio.Connect, Namespace: s.name, Data: data}), 0)
	s.state.CompareAndSwap(socketAdmitted, socketConnected) // unless it has gone already
}

// joinWaiting joins the rooms that a middleware wanted: before the client is
// told, so that from then on it gets what any node sends to them. While a
// socket is not connected, broadcasts pass it by.
func (s *Socket) joinWaiting() {
	s.mu.Lock()
	var rooms []string
	if s.extra != nil && s.state.Load() != socketDisconnected { // else they are those it has left
		rooms = s.extra.rooms
		s.extra.rooms = nil
	}
	s.mu.Unlock()
	if len(rooms) == 0 {
		return
	}
	ctx, cancel := s.nsp.srv.bounded(s.Context())
	defer cancel()
	if err := s.join(ctx, rooms); err != nil && !errors.Is(err, ErrDisconnected) {
		s.nsp.srv.o.logger.Warn("joining rooms failed", "nsp", s.name, "sid", s.ID(), "err", err)
	}
}

// disconnect ends the socket for a reason, once, and tells the client of it if
// wanted. It does not wait, and takes no lock of the hub: it may be called
// where a broadcast finds out that a client is gone.
func (s *Socket) disconnect(reason string, tell bool) {
	if x := s.session.Load(); x != nil && recoverable(reason) {
		x.mayComeBack()
	}
	wasConnected := s.end()
	s.client.remove(s, false)
	if !wasConnected {
		return // connecting: its own worker finds out
	}
	if tell {
		// When it fails, the client is gone.
		_ = s.client.conn.Send(encode(sio.Packet{Type: sio.Disconnect, Namespace: s.name}), 0)
	}
	srv := s.nsp.srv
	srv.pool.spawn(func() {
		rooms := s.leaveAll()
		if x := s.session.Load(); x != nil {
			x.leave(reason, append([]string{s.ID()}, rooms...))
		}
		s.mu.Lock()
		s.enqueue(&Message{kind: kindDisconnect, reason: reason})
		srv.pool.kick()
	})
}

// end makes the socket disconnected, once; it reports whether it was connected
// before. Its context ends, and whoever waits for its client is told.
func (s *Socket) end() (wasConnected bool) {
	s.mu.Lock()
	was := s.state.Swap(socketDisconnected)
	if was == socketDisconnected {
		s.mu.Unlock()
		return false
	}
	if s.done != nil {
		close(s.done)
	}
	s.makeSpace()
	var acks map[uint64]func(*Reply)
	var after []*func()
	if e := s.extra; e != nil {
		acks, e.acks = e.acks, nil
		after, e.after = e.after, nil
	}
	s.mu.Unlock()
	for _, f := range acks {
		f(nil)
	}
	for _, f := range after {
		go (*f)()
	}
	return was > socketRecovering
}

// leaveAll takes the socket out of its rooms, and remembers them for
// OnDisconnecting.
func (s *Socket) leaveAll() (left []string) {
	left, emptied := s.nsp.hub.Remove(&s.member)
	left = slices.DeleteFunc(left, func(room string) bool { return room == s.ID() })
	if len(left) > 0 {
		s.mu.Lock()
		s.more().rooms = left
		s.mu.Unlock()
	}
	s.nsp.withdraw(emptied)
	s.withdrawID()
	return left
}

// disconnected runs the disconnect handlers.
func (s *Socket) disconnected(reason string) {
	s.mu.Lock()
	var disconnecting, disconnect []func(context.Context, string)
	if e := s.extra; e != nil {
		disconnecting, disconnect = e.disconnecting, e.disconnect
	}
	s.mu.Unlock()
	run := func(fs []func(context.Context, string), what string) {
		for _, f := range fs {
			_ = s.nsp.srv.protect(func() error { f(s.Context(), reason); return nil }, what, s.name, s)
		}
	}
	run(disconnecting, "disconnecting")
	s.mu.Lock()
	if s.extra != nil {
		s.extra.rooms = nil
	}
	s.mu.Unlock()
	run(disconnect, "disconnect")
	s.nsp.exit()
}
