package client

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/client/internal/engine"
	"github.com/socketeer-io/socketeer/protocol/eio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Socket is one namespace on a [Client]'s connection. All methods may be called
// by any goroutine at any time. Handlers of one socket run one after the other,
// in the order of the events, beside those of other sockets; a handler may call
// every method, and wait for acknowledgements.
type Socket struct {
	c         *Client
	namespace string
	cfg       socketConfig
	inbox     inbox
	nextID    atomic.Uint64

	hmu      sync.RWMutex          // guards the handlers
	handlers map[string][]*Handler // the slices are replaced, never changed
	any      []*Handler
	onUp     []func(ctx context.Context)
	onDown   []func(ctx context.Context, reason string)
	onError  []func(ctx context.Context, err error)

	// guarded by the client's mu
	active    bool     // wants a connection
	connected bool     // has one
	everUp    bool     // has had one since it became active
	try       *attempt // what Connect waits for; nil while not active
	asked     bool     // CONNECT was sent, and not refused
	joining   uint64   // counts attempts to join, so that late ones are known
	session   uint64   // counts connections
	id        string
	pid       string // of connection state recovery: secret, and where to go on
	offset    string
	recovered bool
	acks      map[uint64]*call // sent and not answered
	buffer    []buffered       // waits for the connection
	bufBytes  int
	held      []*Message // came before the connection was confirmed
	heldBytes int
}

// attempt is one wait for a connection.
type attempt struct {
	done chan struct{}
	err  error // read after done
}

func (a *attempt) resolve(err error) {
	select {
	case <-a.done:
	default:
		a.err = err
		close(a.done)
	}
}

// buffered is an event emitted while there was no connection.
type buffered struct {
	packets []eio.Packet
	id      uint64
	call    *call // nil when no acknowledgement is wanted
}

func newSocket(c *Client, namespace string, cfg socketConfig) *Socket {
	s := &Socket{c: c, namespace: namespace, cfg: cfg, handlers: map[string][]*Handler{}, acks: map[uint64]*call{}}
	s.inbox.limit = c.cfg.receiveBuffer
	s.inbox.room = c.room
	s.inbox.spawn = c.handlers.Go
	s.inbox.do = s.handle
	return s
}

// Namespace returns the name of the socket's namespace.
func (s *Socket) Namespace() string { return s.namespace }

// ID returns the id that the server gave to the socket at the last connect, ""
// before the first.
func (s *Socket) ID() string {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.id
}

// Connected reports whether the socket is connected.
func (s *Socket) Connected() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.connected
}

// Active reports whether the socket is connected or will try to be by itself.
func (s *Socket) Active() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.active
}

// Recovered reports whether the last reconnect continued the session: the
// server kept id, rooms and data, and sent the events missed. It needs a server
// with connection state recovery.
func (s *Socket) Recovered() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.recovered
}

// On registers a handler of an event, until off is called. Several handlers of
// one event run in the order of registration.
func (s *Socket) On(event string, h Handler) (off func()) {
	s.hmu.Lock()
	defer s.hmu.Unlock()
	entry := &h
	s.handlers[event] = append(slices.Clip(s.handlers[event]), entry)
	return func() {
		s.hmu.Lock()
		defer s.hmu.Unlock()
		if s.handlers[event] = without(s.handlers[event], entry); len(s.handlers[event]) == 0 {
			delete(s.handlers, event)
		}
	}
}

// OnAny registers a handler of all events, until off is called; it runs before
// those of the event.
func (s *Socket) OnAny(h Handler) (off func()) {
	s.hmu.Lock()
	defer s.hmu.Unlock()
	entry := &h
	s.any = append(slices.Clip(s.any), entry)
	return func() {
		s.hmu.Lock()
		defer s.hmu.Unlock()
		s.any = without(s.any, entry)
	}
}

// without returns a copy of hs that lacks h: the old one may be in use.
func without(hs []*Handler, h *Handler) []*Handler {
	return slices.DeleteFunc(slices.Clone(hs), func(other *Handler) bool { return other == h })
}

// OnConnect registers a function to call at each connect and reconnect, before
// the events that follow. See Recovered.
func (s *Socket) OnConnect(f func(ctx context.Context)) {
	s.hmu.Lock()
	defer s.hmu.Unlock()
	s.onUp = append(slices.Clip(s.onUp), f)
}

// OnDisconnect registers a function to call when the socket was disconnected,
// after the events that came before. The reason is one of the Reason constants;
// see Active for what comes next.
func (s *Socket) OnDisconnect(f func(ctx context.Context, reason string)) {
	s.hmu.Lock()
	defer s.hmu.Unlock()
	s.onDown = append(slices.Clip(s.onDown), f)
}

// OnConnectError registers a function to call when an attempt to connect
// failed: with an [*Error] when the server refused the namespace, which is not
// tried again until Connect is called, else with what happened to the
// connection, which is tried again as the options say.
func (s *Socket) OnConnectError(f func(ctx context.Context, err error)) {
	s.hmu.Lock()
	defer s.hmu.Unlock()
	s.onError = append(slices.Clip(s.onError), f)
}

// Connect joins the namespace and waits until that is done. It returns an
// [*Error] when the server refuses, the connection's error when that cannot be
// opened (see [WithRetry]), or the context's. After an error nothing goes on in the
// background, unless the socket was active before. A connected socket returns
// nil at once.
func (s *Socket) Connect(ctx context.Context) error {
	c := s.c
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	mine := !s.active
	if mine {
		s.activateLocked()
	}
	try := s.try
	c.mu.Unlock()

	select {
	case <-try.done:
		return try.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-try.done:
		return try.err
	default:
	}
	if mine && s.try == try {
		s.leaveLocked(ErrDisconnected)
		c.restLocked()
	}
	if c.failure != nil {
		return fmt.Errorf("socketeer: connect: %w, last failure: %w", context.Cause(ctx), c.failure)
	}
	return fmt.Errorf("socketeer: connect: %w", context.Cause(ctx))
}

// Disconnect leaves the namespace until Connect is called. Events emitted
// before leave first. The last socket to leave ends the connection.
func (s *Socket) Disconnect() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.closed {
		return
	}
	s.leaveLocked(ErrDisconnected)
	s.c.restLocked()
}

// activateLocked makes the socket want a connection, and the client go for one.
func (s *Socket) activateLocked() {
	c := s.c
	s.active, s.everUp, s.try = true, false, &attempt{done: make(chan struct{})}
	c.active++
	switch {
	case !c.running:
		c.running = true
		c.failure = nil
		c.network.Go(c.run)
	case c.conn != nil:
		s.joinLocked(c.conn)
	}
}

// deactivateLocked is the opposite; err is for who waits in Connect.
func (s *Socket) deactivateLocked(err error) {
	if !s.active {
		return
	}
	s.active = false
	s.joining++
	s.try.resolve(err)
	s.c.active--
}

// leaveLocked disconnects because this side wants so. The caller ends the
// connection when no one needs it any more.
func (s *Socket) leaveLocked(err error) {
	if s.asked && s.c.conn != nil {
		// Also when the server has not answered yet: it may be about to.
		bye := encode(sio.Packet{Type: sio.Disconnect, Namespace: s.namespace})
		_ = s.c.conn.Push(append([]eio.Packet{engine.Fence}, bye...)...)
	}
	s.asked = false
	s.deactivateLocked(err)
	s.downLocked(ReasonClientDisconnect)
}

// downLocked notes that the connection is gone.
func (s *Socket) downLocked(reason string) {
	s.held, s.heldBytes = nil, 0
	if !s.connected {
		return
	}
	s.connected = false
	for id, call := range s.acks {
		delete(s.acks, id)
		call.fail(ErrDisconnected)
	}
	s.inbox.tell(func(ctx context.Context) {
		s.hmu.RLock()
		fs := s.onDown
		s.hmu.RUnlock()
		for _, f := range fs {
			s.guard("disconnect", func() { f(ctx, reason) })
		}
	})
}

// failAllLocked ends the waits of all who are not going to be answered.
func (s *Socket) failAllLocked(err error) {
	for _, b := range s.buffer {
		if b.call != nil {
			b.call.fail(err)
		}
	}
	s.buffer, s.bufBytes = nil, 0
}

func (s *Socket) tellError(err error) {
	s.inbox.tell(func(ctx context.Context) {
		s.hmu.RLock()
		fs := s.onError
		s.hmu.RUnlock()
		for _, f := range fs {
			s.guard("connect_error", func() { f(ctx, err) })
		}
	})
}

// guard calls f and survives its panic.
func (s *Socket) guard(event string, f func()) (panicked bool) {
	defer func() {
		if v := recover(); v != nil {
			panicked = true
			s.c.counts.panics.Add(1)
			s.c.cfg.logger.Error("socketeer: handler panicked",
				"nsp", s.namespace, "event", event, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	f()
	return false
}

// handle runs the handlers of one item of the inbox.
func (s *Socket) handle(it item) {
	if it.news != nil {
		it.news(s.c.ctx)
		return
	}
	m := it.message
	s.hmu.RLock()
	all, named := s.any, s.handlers[m.event]
	s.hmu.RUnlock()
	for _, hs := range [2][]*Handler{all, named} {
		for _, h := range hs {
			s.handleOne(*h, m)
		}
	}
}

func (s *Socket) handleOne(h Handler, m *Message) {
	var err error
	if s.guard(m.event, func() { err = h(s.c.ctx, m) }) {
		err = errHandlerPanic
	} else if err != nil {
		s.c.counts.handlerErrors.Add(1)
		s.c.cfg.logger.Warn("socketeer: handler failed", "nsp", s.namespace, "event", m.event, "err", err)
	}
	if err == nil || !m.WantsAck() {
		return
	}
	if err := m.Ack(map[string]*Error{"error": forPeer(err)}); err != nil {
		s.c.cfg.logger.Debug("socketeer: error not delivered", "nsp", s.namespace, "event", m.event, "err", err)
	}
}
