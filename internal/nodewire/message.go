package nodewire

import (
	"errors"
	"fmt"

	"github.com/socketeer-io/socketeer/adapter"
)

// Type says what a [Message] is. The values up to AdapterClose are those of
// the wire.
type Type uint8

// The types of messages. Broadcast with a RequestID wants acknowledgements.
const (
	InitialHeartbeat       Type = iota + 1 // heartbeat that everyone answers with Heartbeat
	Heartbeat                              // the sender is alive
	Broadcast                              // Data to the sockets of Target
	SocketsJoin                            // the sockets of Target join Rooms
	SocketsLeave                           // the sockets of Target leave Rooms
	DisconnectSockets                      // the sockets of Target are disconnected
	FetchSockets                           // describe the sockets of Target
	FetchSocketsResponse                   // Sockets
	ServerSideEmit                         // Data to the other nodes' namespaces
	ServerSideEmitResponse                 // Data; also answers join, leave and disconnect between Go nodes
	BroadcastClientCount                   // ClientCount clients were asked
	BroadcastAck                           // Data, the acknowledgement of one client
	AdapterClose                           // the sender leaves
)

// Types that Node.js nodes ignore.
const (
	// Gap stands in a stream where broadcasts of the namespace were sent but
	// could not be kept: nobody recovers across it.
	Gap Type = iota + 64
	// Done answers a Broadcast when fewer acknowledgements will come from this
	// node than it counted, because clients have left.
	Done
)

// Requests and responses that only the classic adapter has.
const (
	ListSockets         Type = iota + 96 // ids of the sockets in Target.Rooms
	ListRooms                            // names of all rooms
	ListSocketsResponse                  // Rooms has the ids
	ListRoomsResponse                    // Rooms
)

// String returns the type's name, for logs.
func (t Type) String() string {
	switch t {
	case InitialHeartbeat:
		return "initial-heartbeat"
	case Heartbeat:
		return "heartbeat"
	case Broadcast:
		return "broadcast"
	case SocketsJoin:
		return "sockets-join"
	case SocketsLeave:
		return "sockets-leave"
	case DisconnectSockets:
		return "disconnect-sockets"
	case FetchSockets:
		return "fetch-sockets"
	case FetchSocketsResponse:
		return "fetch-sockets-response"
	case ServerSideEmit:
		return "server-side-emit"
	case ServerSideEmitResponse:
		return "server-side-emit-response"
	case BroadcastClientCount:
		return "broadcast-client-count"
	case BroadcastAck:
		return "broadcast-ack"
	case AdapterClose:
		return "adapter-close"
	case Gap:
		return "gap"
	case Done:
		return "done"
	case ListSockets:
		return "list-sockets"
	case ListRooms:
		return "list-rooms"
	case ListSocketsResponse:
		return "list-sockets-response"
	case ListRoomsResponse:
		return "list-rooms-response"
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Response reports whether the message answers the request RequestID.
func (t Type) Response() bool {
	switch t {
	case FetchSocketsResponse, ServerSideEmitResponse, BroadcastClientCount, BroadcastAck, Done,
		ListSocketsResponse, ListRoomsResponse:
		return true
	}
	return false
}

// EmitterUID is the uid of processes that publish and receive nothing.
const EmitterUID = "emitter"

// Message is one message between nodes, whatever the adapter. Decoders return
// messages whose Data, Attachments, and the Handshake and Data of Sockets may
// share memory with what was decoded, which must not change then.
type Message struct {
	UID  string // of the sending adapter, empty if absent
	NSP  string // empty if the format leaves it to the channel
	Type Type

	// RequestID names a request and the responses to it; empty if absent.
	RequestID string

	Target adapter.Target
	Flags  adapter.Flags // of a Broadcast; Timeout of a FetchSockets too

	// Data is a raw JSON array: [event, args...] of a Broadcast or
	// ServerSideEmit, the arguments (for Node.js at most one) of a
	// ServerSideEmitResponse or BroadcastAck. It must be valid JSON; encoders
	// to JSON do not look at it.
	Data        []byte
	Attachments [][]byte // what placeholders in Data stand for

	Rooms       []string             // of SocketsJoin, SocketsLeave, ListSocketsResponse and ListRoomsResponse
	Close       bool                 // of DisconnectSockets: close the connection underneath too
	Moved       bool                 // of DisconnectSockets: see adapter.Message; the classic adapter does not carry it
	Sockets     []adapter.SocketInfo // of FetchSocketsResponse
	ClientCount int                  // of BroadcastClientCount
	SID         string               // of BroadcastAck: whose it is, if a Go node sent it

	// Legacy marks a SocketsJoin, SocketsLeave or DisconnectSockets of an old
	// classic node, for the one socket that Target names: only the node that
	// has the socket answers, with a ServerSideEmitResponse without Data.
	Legacy bool
}

// Errors of decoders.
var (
	// ErrMalformed says that the bytes are not in the format.
	ErrMalformed = errors.New("socketeer: malformed message of a Node.js adapter")
	// ErrDepth says that a value is nested deeper than MaxDepth.
	ErrDepth = errors.New("socketeer: message of a Node.js adapter is nested too deep")
)

// malformed describes what is wrong with a well-formed text.
func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// errNoAnswer is of a response that must not be taken for one that says none.
var errNoAnswer = malformed("a response without an answer")

// check finds what is missing from a decoded message.
func (m *Message) check(opts bool) error {
	switch m.Type {
	case Broadcast, ServerSideEmit:
		if !isEvent(m.Data) {
			return malformed("no event")
		}
	case FetchSockets, FetchSocketsResponse, ServerSideEmitResponse, BroadcastClientCount, BroadcastAck, Done,
		ListSockets, ListRooms, ListSocketsResponse, ListRoomsResponse:
		if m.RequestID == "" {
			return malformed("no request id")
		}
	}
	switch m.Type {
	case Broadcast, SocketsJoin, SocketsLeave, DisconnectSockets, FetchSockets:
		if !opts { // not to be taken for everyone
			return malformed("no options")
		}
	}
	if m.Type == Broadcast && m.RequestID == "" {
		m.Flags.Timeout = 0
	}
	return nil
}

// isEvent reports whether data, valid JSON, is an array that begins with a name.
func isEvent(data []byte) bool {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '[' {
		return false
	}
	i = skipSpace(data, i+1)
	return i < len(data) && (data[i] == '"' || data[i] == '-' || isDigit(data[i]))
}
