package socketeer

import (
	"context"
	"encoding/json"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/internal/hub"
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
	s.disconnect(ReasonServerDisconnect, true)
}
