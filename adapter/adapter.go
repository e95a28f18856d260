// Package adapter is the contract between a namespace and a cluster.
//
// A namespace delivers to its own sockets by itself. What concerns sockets of
// other nodes it hands to its [Adapter] as a [Message]; what other nodes ask
// of it arrives at its [Local] side. An adapter therefore knows nodes, rooms
// and messages, and never a connection.
//
// [Memory] is the adapter of a single node. The package adaptertest holds the
// conformance suite that every adapter passes.
package adapter

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Kind says what a [Message] asks for.
type Kind uint8

// The kinds of messages. The values are part of the cluster's wire format.
const (
	Broadcast      Kind = iota + 1 // send an event to the target's sockets
	Join                           // let the target's sockets join Rooms
	Leave                          // let the target's sockets leave Rooms
	Disconnect                     // disconnect the target's sockets
	Fetch                          // describe the target's sockets (request only)
	ServerSideEmit                 // raise an event on the other nodes' namespaces
)

// String returns the kind's name, for logs.
func (k Kind) String() string {
	names := [...]string{"", "broadcast", "join", "leave", "disconnect", "fetch", "server-side-emit"}
	if int(k) < len(names) && k > 0 {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Target selects sockets of a namespace: those in any of Rooms (all, when
// Rooms is empty), less those in any of Except. A socket's id is a room that
// only this socket is in.
type Target struct {
	Rooms  []string
	Except []string
}

// Flags modify a broadcast.
type Flags struct {
	Volatile   bool          // may be dropped by a receiver whose connection is not writable
	NoCompress bool          // do not compress on the way to the client
	Timeout    time.Duration // how long clients have to acknowledge; 0 when no ack is asked for
}

// Message is one operation on the sockets of a namespace. It is immutable
// once handed over, byte slices included.
type Message struct {
	Kind   Kind
	Target Target
	Flags  Flags

	// Data is the raw JSON array [event, args...] of a Broadcast or
	// ServerSideEmit, with binary arguments as Socket.IO placeholders.
	Data        []byte
	Attachments [][]byte // what the placeholders in Data stand for

	Rooms []string // of a Join or Leave
	Close bool     // of a Disconnect: close the connection underneath too

	// Moved is set on a Disconnect of one socket whose client has come back on
	// the sender's node: its session goes on there, and is not to be saved or
	// dropped by the node that had it. Node.js peers do not know it and need not.
	Moved bool

	// Offset is where a [Log] keeps a Broadcast; empty when none does. Set by
	// the adapter, on what it hands to Local and on what it restores.
	Offset string
}

// Response is one part of a node's answer to a request.
//
//   - Broadcast: first one with Count, the number of clients asked; then one
//     with SID, Data (the raw JSON array of the acknowledgement's arguments)
//     and Attachments for each client that answers in time.
//   - Fetch: any number of responses with Sockets.
//   - ServerSideEmit: one with Data and Attachments.
//   - Join, Leave, Disconnect: one empty response when it is done.
type Response struct {
	Node        string // name of the answering node, set by the adapter
	Last        bool   // nothing more will come from this node
	Count       int
	SID         string
	Data        []byte
	Attachments [][]byte
	Sockets     []SocketInfo
}

// SocketInfo describes a socket to other nodes. Handshake and Data are raw
// JSON, passed on undecoded.
type SocketInfo struct {
	ID        string
	Rooms     []string // its own id included
	Handshake []byte
	Data      []byte
}

// Local is the side of the adapter that carries out what other nodes ask: the
// namespace. The adapter calls it in the order in which one sender's messages
// were published, from one goroutine per sender at a time. Neither method
// waits for a client or for the network.
type Local interface {
	// Handle carries out a message that wants no answer.
	Handle(m *Message)
	// Answer starts to carry out a request. It calls reply, from any
	// goroutine but never from two at once, for each response; the last one
	// has Last set. Nothing is replied after ctx has ended.
	Answer(ctx context.Context, m *Message, reply func(Response))
}

// Rooms is optionally implemented by a [Local] that can tell whether a room has
// members. An adapter asks before it stops to receive a left room, so that Join
// and Leave calls for one room that overtake each other do no harm: add a
// socket to the room before calling Join, remove it before calling Leave.
// Without Rooms the last call of the two counts.
type Rooms interface {
	// HasRoom reports whether the room has members here. It must not wait for
	// a call of Join or Leave to return.
	HasRoom(room string) bool
}

// Adapter connects one namespace of one node to the same namespace of the
// other nodes. All methods may be called concurrently.
type Adapter interface {
	// Publish hands m to the other nodes that need it. It does not wait for
	// them, and keeps the order of calls made one after the other. An error
	// says that m was not sent at all.
	Publish(m *Message) error
	// Request asks the other nodes and calls each for every response, one at
	// a time. It returns when every node that was alive has answered: nil, or
	// a *PartialError naming those that did not before ctx ended, died or
	// could not be reached. It asks nobody but the nodes live at the call.
	Request(ctx context.Context, m *Message, each func(Response)) error
	// Join announces that this node now has members in room, and returns when
	// what other nodes publish to the room from now on will arrive here.
	// Concurrent and repeated calls for one room are allowed.
	Join(ctx context.Context, room string) error
	// Leave announces that the room has no members here any more.
	Leave(room string)
	// Close detaches the namespace from the cluster.
	Close() error
}

// IDs is optionally implemented by an [Adapter] that cannot tell a socket's node
// by its id. If NeedsIDs returns true, Join is called for the id of every
// socket before its client learns it, and Leave when the socket is gone.
type IDs interface {
	NeedsIDs() bool
}

// Factory makes the adapters of one node, one for each namespace. It is what
// a server is configured with, and usually owns the node's connection to the
// cluster.
type Factory interface {
	// Open attaches the namespace called nsp ("/" or "/name") to the cluster.
	// It returns when messages from other nodes can arrive at local.
	Open(ctx context.Context, nsp string, local Local) (Adapter, error)
}

// Node is optionally implemented by a [Factory] that gives its node an
// identity in the cluster.
type Node interface {
	// Name is the node's name, which a later incarnation may reuse.
	Name() string
	// Tag is four characters of [A-Za-z0-9_-], unique to this incarnation of
	// the node: the first four characters of the ids it hands out.
	Tag() string
}

// Health is optionally implemented by a [Factory] that can lose its cluster.
type Health interface {
	// Ready returns nil while the node takes part in the cluster, else why
	// it does not.
	Ready() error
}

// PartialError says that a request was not answered by everyone. What was
// answered has been delivered all the same.
type PartialError struct {
	Missing []string // names of the nodes that did not answer (in full), sorted
	Cause   error    // why the wait ended, e.g. context.DeadlineExceeded
}

// Error names the missing nodes.
func (e *PartialError) Error() string {
	return fmt.Sprintf("socketeer: no complete answer from %s: %v", strings.Join(e.Missing, ", "), e.Cause)
}

// Unwrap returns the cause.
func (e *PartialError) Unwrap() error { return e.Cause }

// Timeout reports whether time ran out.
func (e *PartialError) Timeout() bool {
	t, ok := e.Cause.(interface{ Timeout() bool })
	return ok && t.Timeout()
}
