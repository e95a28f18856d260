package nodepeers

import (
	"context"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// Wire carries the messages of all namespaces of a node. All methods may be
// called concurrently.
type Wire interface {
	// Publish sends m to the adapters of the namespace m.NSP, without waiting
	// for them, and keeps the order of calls as far as the adapter promises it.
	// m.UID is set.
	Publish(m *nodewire.Message) error
	// Respond sends m, a response, to the adapter that asked: to is its uid,
	// empty if the request had none. It does not wait.
	Respond(to string, m *nodewire.Message) error
	// Listening asks Redis how many adapters of a namespace get requests now,
	// this node's included, and which of uids are among them.
	Listening(ctx context.Context, nsp string, uids []string) (total int, present []bool, err error)
	// List asks Redis for the uids of these adapters. Those of old Node.js
	// nodes may be missing.
	List(ctx context.Context, nsp string) (uids []string, err error)
}

// toWire makes the node's message of an adapter's.
func (a *Namespace) toWire(m *adapter.Message) *nodewire.Message {
	out := &nodewire.Message{
		UID: a.node.uid, NSP: a.name, Target: m.Target, Flags: m.Flags,
		Data: m.Data, Attachments: m.Attachments, Rooms: m.Rooms, Close: m.Close, Moved: m.Moved,
	}
	switch m.Kind {
	case adapter.Broadcast:
		out.Type = nodewire.Broadcast
	case adapter.Join:
		out.Type = nodewire.SocketsJoin
	case adapter.Leave:
		out.Type = nodewire.SocketsLeave
	case adapter.Disconnect:
		out.Type = nodewire.DisconnectSockets
	case adapter.Fetch:
		out.Type = nodewire.FetchSockets
	case adapter.ServerSideEmit:
		out.Type = nodewire.ServerSideEmit
	}
	return out
}

// FromWire is what a namespace is asked to do; ok is false for messages that
// are for adapters only.
func FromWire(m *nodewire.Message) (out *adapter.Message, ok bool) {
	out = &adapter.Message{
		Target: m.Target, Flags: m.Flags, Data: m.Data, Attachments: m.Attachments, Rooms: m.Rooms, Close: m.Close, Moved: m.Moved,
	}
	switch m.Type {
	case nodewire.Broadcast:
		out.Kind = adapter.Broadcast
	case nodewire.SocketsJoin:
		out.Kind = adapter.Join
	case nodewire.SocketsLeave:
		out.Kind = adapter.Leave
	case nodewire.DisconnectSockets:
		out.Kind = adapter.Disconnect
	case nodewire.FetchSockets, nodewire.ListSockets, nodewire.ListRooms:
		out.Kind = adapter.Fetch
	case nodewire.ServerSideEmit:
		out.Kind = adapter.ServerSideEmit
	default:
		return nil, false
	}
	return out, true
}
