package socketeer

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/socketeer-io/socketeer/engineio"
)

// OutgoingFunc sees an event that is sent to a socket: its name, and all of it
// as a JSON array, which must not be changed.
type OutgoingFunc func(event string, data json.RawMessage)

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

// The reasons for which a socket disconnects, with the strings of the JavaScript
// server.
const (
	ReasonClientDisconnect = "client namespace disconnect"   // the client left the namespace
	ReasonServerDisconnect = "server namespace disconnect"   // Disconnect was called
	ReasonTransportClose   = string(engineio.TransportClose) // the connection was closed: by the client, or on the way
	ReasonTransportError   = string(engineio.TransportError) // the client broke a rule of the transport
	ReasonParseError       = string(engineio.ParseError)     // the client sent what is no packet of Engine.IO
	ReasonPingTimeout      = string(engineio.PingTimeout)    // the client was silent for too long
	ReasonForcedClose      = string(engineio.ForcedClose)    // the connection was closed here: by its Close, or because the client broke a rule
	ReasonServerShutdown   = string(engineio.ServerShutdown) // Shutdown or Close was called
	// The JavaScript server has neither of these.
	ReasonSlowConsumer       = string(engineio.SlowConsumer) // more waited for the client than WithSendBuffer allows
	ReasonRecoveredElsewhere = "recovered elsewhere"         // the client has come back by another connection
)

// OnDisconnecting registers a function that is called when the socket
// disconnects, before OnDisconnect's; Rooms still tells its rooms. The reason is
// one of the Reason constants.
func (s *Socket) OnDisconnecting(f func(ctx context.Context, reason string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.more()
	e.disconnecting = append(e.disconnecting, f)
}

// OnDisconnect registers a function that is called once when the socket has
// disconnected, after all its events have been handled. The context has ended
// with the socket, and Rooms tells no more than the socket's own id. The reason
// is one of the Reason constants.
func (s *Socket) OnDisconnect(f func(ctx context.Context, reason string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.more()
	e.disconnect = append(e.disconnect, f)
}
