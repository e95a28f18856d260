package socketeer

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// local is a Namespace as its adapter sees it.
type local Namespace

var (
	_ adapter.Local = (*local)(nil)
	_ adapter.Rooms = (*local)(nil)
)

// HasRoom implements adapter.Rooms.
func (l *local) HasRoom(room string) bool { return l.hub.Has(room) }

// Handle implements adapter.Local. What comes while the namespace is being opened
// came before there was anybody here.
func (l *local) Handle(m *adapter.Message) {
	n := (*Namespace)(l)
	if !n.opened.Load() {
		return
	}
	switch m.Kind {
	case adapter.Broadcast:
		offset := m.Offset
		if n.out == nil { // nobody recovers here, though others may keep messages
			offset = ""
		}
		n.deliver(m, offset)
	case adapter.Join, adapter.Leave, adapter.Disconnect:
		ctx, cancel := n.srv.bounded(context.Background())
		done := n.carryOutInTurn(ctx, m)
		n.srv.pool.spawn(func() {
			defer cancel()
			if err := <-done; err != nil {
				n.srv.o.logger.Warn("another node's request was not carried out", "nsp", n.name, "kind", m.Kind.String(), "err", err)
			}
		})
	case adapter.ServerSideEmit:
		n.serverSideEvent(m, nil)
	}
}

// Answer implements adapter.Local.
func (l *local) Answer(ctx context.Context, m *adapter.Message, reply func(adapter.Response)) {
	n := (*Namespace)(l)
	if !n.opened.Load() {
		reply(adapter.Response{Last: true})
		return
	}
	switch m.Kind {
	case adapter.Broadcast:
		if err := n.inTurn(sizeOf(m), func() { n.askClients(ctx, m, reply) }); err != nil {
			n.srv.o.logger.Warn("another node's request was not carried out", "nsp", n.name, "kind", m.Kind.String(), "err", err)
		}
	case adapter.Fetch:
		n.describe(m.Target, reply)
	case adapter.ServerSideEmit:
		n.serverSideEvent(m, func(r adapter.Response) {
			if ctx.Err() == nil { // else the handler took too long
				reply(r)
			}
		})
	default:
		done := n.carryOutInTurn(ctx, m)
		n.srv.pool.spawn(func() {
			if err := <-done; err != nil {
				n.srv.o.logger.Warn("another node's request was not carried out", "nsp", n.name, "kind", m.Kind.String(), "err", err)
				return // it learns that we did not confirm
			}
			reply(adapter.Response{Last: true})
		})
	}
}

// carryOutInTurn does what carryOut does, when what was sent before has been
// delivered.
func (n *Namespace) carryOutInTurn(ctx context.Context, m *adapter.Message) <-chan error {
	done := make(chan error, 1)
	if err := n.inTurn(sizeOf(m), func() { n.carryOut(ctx, m, done) }); err != nil {
		done <- err
	}
	return done
}

// carryOut makes this node's sockets join, leave or disconnect. It does so at
// once; what remains is to wait until the cluster knows of the rooms and the
// sockets' sessions have been saved.
func (n *Namespace) carryOut(ctx context.Context, m *adapter.Message, done chan<- error) {
	if m.Moved {
		n.srv.pool.spawn(func() {
			for _, id := range m.Target.Rooms {
				n.evict(id)
			}
			done <- nil
		})
		return
	}
	sockets := n.local(m.Target)
	switch m.Kind {
	case adapter.Join:
		announce := map[string]bool{}
		for _, s := range sockets {
			for _, room := range m.Rooms {
				if room == s.ID() {
					continue
				}
				if a, ok := n.hub.Join(&s.member, room); ok && a {
					announce[room] = true
				}
			}
		}
		if len(announce) > 0 || n.log != nil && len(sockets) > 0 {
			n.srv.pool.spawn(func() {
				err := n.announceAll(ctx, announce)
				n.saveSessions(ctx, sockets)
				done <- err
			})
			return
		}
	case adapter.Leave:
		for _, s := range sockets {
			s.leave(m.Rooms)
		}
	case adapter.Disconnect:
		for _, s := range sockets {
			s.disconnectNow(m.Close)
		}
	}
	done <- nil
}

func (n *Namespace) announceAll(ctx context.Context, rooms map[string]bool) (first error) {
	for room := range rooms {
		if err := n.announce(ctx, room); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// fetchBatch is how many sockets are described in one response.
const fetchBatch = 200

func (n *Namespace) describe(t adapter.Target, reply func(adapter.Response)) {
	sockets := n.local(t)
	n.srv.pool.spawn(func() { // it may be many
		for len(sockets) > fetchBatch {
			reply(adapter.Response{Sockets: infos(sockets[:fetchBatch])})
			sockets = sockets[fetchBatch:]
		}
		reply(adapter.Response{Sockets: infos(sockets), Last: true})
	})
}

func infos(sockets []*Socket) []adapter.SocketInfo {
	list := make([]adapter.SocketInfo, 0, len(sockets))
	for _, s := range sockets {
		list = append(list, s.info())
	}
	return list
}

// askClients sends a broadcast that wants acknowledgements to this node's
// sockets, and replies with how many they are and then with theirs.
func (n *Namespace) askClients(ctx context.Context, m *adapter.Message, reply func(adapter.Response)) {
	id := n.acks.Add(1) - 1
	sockets := n.local(m.Target)
	q := &question{ctx: ctx, reply: reply}
	asked := sockets[:0]
	q.mu.Lock() // no reply before the count
	for _, s := range sockets {
		if s.state.Load() == socketConnected && s.expect(id, q.answered) {
			asked = append(asked, s)
		}
	}
	q.left = len(asked)
	last := q.left == 0
	reply(adapter.Response{Count: len(asked), Last: last})
	q.mu.Unlock()
	if last {
		return
	}
	msg := encode(sio.Packet{Type: sio.Event, Namespace: n.name, ID: id, HasID: true, Data: m.Data, Attachments: m.Attachments})
	if m.Flags.NoCompress {
		msg.Uncompressed()
	}
	var f engineio.Flags
	if m.Flags.Volatile {
		f = engineio.Volatile
	}
	name, _ := sio.Packet{Data: m.Data}.Event()
	for _, s := range asked {
		s.sent(name, m.Data)
		// When it fails, the socket's end is the answer.
		_ = s.client.conn.Send(msg, f)
		s.client.conn.Flush()
	}
	context.AfterFunc(ctx, func() { // answers that come too late are ignored
		for _, s := range asked {
			s.unexpect(id)
		}
	})
}

// question waits for the acknowledgements of this node's sockets.
type question struct {
	ctx   context.Context //nolint:containedctx // the asker's, while it asks
	reply func(adapter.Response)
	mu    sync.Mutex
	left  int
}

// answered is called once for each socket; r is nil if it has left.
func (q *question) answered(r *Reply) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx.Err() != nil {
		return
	}
	q.left--
	resp := adapter.Response{Last: q.left == 0}
	if r != nil {
		resp.SID, resp.Data, resp.Attachments = r.SID, r.data, r.attachments
	}
	if r != nil || resp.Last {
		q.reply(resp)
	}
}

// RemoteSocket is a socket on any node, as it was when asked for.
type RemoteSocket struct {
	Node      string // empty for this one
	ID        string
	Rooms     []string        // its id included
	Handshake json.RawMessage // an object as in JavaScript: headers, time, address, query, auth, ...
	Data      json.RawMessage // an object of what was kept by [Socket.Set]

	nsp *Namespace
}

func newRemoteSocket(n *Namespace, node string, i adapter.SocketInfo) RemoteSocket {
	return RemoteSocket{Node: node, ID: i.ID, Rooms: i.Rooms, Handshake: i.Handshake, Data: i.Data, nsp: n}
}

func (r RemoteSocket) broadcast() Broadcast { return r.nsp.To(r.ID) }

// Emit sends an event to the socket, wherever it is.
func (r RemoteSocket) Emit(event string, args ...any) error {
	return r.broadcast().Emit(event, args...)
}

// EmitWithAck sends an event to the socket and waits for its acknowledgement,
// until ctx ends.
func (r RemoteSocket) EmitWithAck(ctx context.Context, event string, args ...any) (*Reply, error) {
	replies, err := r.broadcast().EmitWithAck(ctx, event, args...)
	if len(replies) > 0 {
		return &replies[0], nil
	}
	if err == nil {
		err = ErrDisconnected
	}
	return nil, err
}

// Join adds the socket to rooms, and returns when the cluster knows.
func (r RemoteSocket) Join(ctx context.Context, rooms ...string) error {
	return r.broadcast().Join(ctx, rooms...)
}

// Leave takes the socket out of rooms, and returns when it is done.
func (r RemoteSocket) Leave(ctx context.Context, rooms ...string) error {
	return r.broadcast().Leave(ctx, rooms...)
}

// Disconnect disconnects the socket. With close, its connection is closed too.
func (r RemoteSocket) Disconnect(ctx context.Context, close bool) error {
	return r.broadcast().Disconnect(ctx, close)
}
