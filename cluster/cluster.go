// Package cluster says which nodes there are: identity, and membership by
// heartbeat.
//
// Each node has an [Identity]: a name, which may be reused by the next process
// in its place, and an incarnation, which never is. Every node announces
// itself about once a second over a [Transport] and remembers whom it hears.
// A [Membership] is that memory. It does no I/O of its own, starts one
// goroutine and knows nothing of sockets, rooms or messages.
//
// # How long it takes to notice
//
// A peer that says goodbye is gone when the goodbye arrives. A peer that says
// nothing is declared dead when Timeout has passed since its last heartbeat,
// by default 5 intervals of one second. With heartbeats sent every Interval,
// give or take a tenth, a node that dies is noticed after
//
//	Timeout - 1.1 x Interval  to  Timeout
//
// that is 3.9 to 5 seconds, and at least three heartbeats in a row must be
// lost before a live one is taken for dead. If that happens all the same, its
// next heartbeat makes it a member again. Who learns in another way that a node
// has ended tells by [Membership.Gone], and it is dead an Interval later.
//
// A node that joins announces itself at 0, 1/20, 2/20, 4/20 ... of an interval
// until the usual pace is reached, and is answered by everyone at once, so it
// knows all within a round trip of being connected.
package cluster

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"
)

const (
	// TagLen is the length of a node's tag in characters.
	TagLen = 4
	// IncarnationLen is the length of an incarnation in characters.
	IncarnationLen = 16
	// MaxNameLen bounds a node's name and address, in bytes.
	MaxNameLen = 255
)

// Identity tells a node from every other, past ones included. It is immutable.
type Identity struct {
	// Name is for people and logs; a later node may have the same.
	Name string
	// Incarnation is 16 random characters of [A-Za-z0-9_-], new for every
	// start and never reused.
	Incarnation string
}

// NewIdentity returns an identity with a fresh random incarnation. An empty
// name becomes "node-" and the tag. A name longer than [MaxNameLen] is an
// error.
func NewIdentity(name string) (Identity, error) {
	if len(name) > MaxNameLen {
		return Identity{}, fmt.Errorf("socketeer: node name of %d bytes is longer than %d", len(name), MaxNameLen)
	}
	var b [IncarnationLen / 4 * 3]byte
	rand.Read(b[:])
	id := Identity{Name: name, Incarnation: base64.RawURLEncoding.EncodeToString(b[:])}
	id.Name = cmp.Or(id.Name, "node-"+id.Tag())
	return id, nil
}

// Tag is the first three bytes of the incarnation as four characters of
// [A-Za-z0-9_-]: what the ids of this node's sockets and sessions begin with.
// Two of n live nodes share a tag with a probability of about n*n/2^25.
func (i Identity) Tag() string { return tagOf(i.Incarnation) }

func tagOf(incarnation string) string {
	if len(incarnation) < TagLen {
		return ""
	}
	return incarnation[:TagLen]
}

// State is what a node is ready for. Values this version does not know are
// passed on as they are.
type State uint8

// The states of a node.
const (
	Ready    State = iota + 1 // takes new connections
	Draining                  // keeps what it has for a while, takes nothing new
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Ready:
		return "ready"
	case Draining:
		return "draining"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Counts is the load of a node, as of its last heartbeat.
type Counts struct {
	Connections int // Engine.IO sessions
	Sockets     int // Socket.IO sockets, of all namespaces
}

// Member is what is known about one live node.
type Member struct {
	Identity
	Addr    string // public address for clients and operators; may be empty
	State   State
	Counts  Counts
	Started time.Time // by the member's own clock, to the millisecond
	Seen    time.Time // last heartbeat, by this node's clock; now for itself
	Self    bool
}

// EventKind says what became of a member.
type EventKind uint8

// The kinds of events.
const (
	Joined  EventKind = iota + 1 // heard for the first time, or again after it was declared dead
	Changed                      // its state or address changed; counts alone are no event
	Left                         // said goodbye
	Died                         // declared dead: silent, or replaced by a new node of the same name
)

// String returns the event kind's name.
func (k EventKind) String() string {
	names := [...]string{"", "joined", "changed", "left", "died"}
	if k > 0 && int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// Event tells a watcher of a change.
type Event struct {
	Kind   EventKind
	Member Member
}

// Transport carries announcements. Both methods may be called concurrently,
// keep no reference to frame, and do not wait for the receiver. Lost frames
// are made good by the next; an error is logged at debug level only, because
// the transport's owner knows better what it means.
type Transport interface {
	// Announce sends frame to all nodes. It may or may not come back to this
	// one.
	Announce(frame []byte) error
	// Send sends frame to the node of the given incarnation.
	Send(incarnation string, frame []byte) error
}

// TagConflictError says that an older live node has this node's tag, so ids
// made here do not say where they were made. It is as unlikely as
// [Identity.Tag] tells; starting the node again cures it.
type TagConflictError struct {
	Tag  string
	Name string // of this node
	With string // name of the older one
}

// Error names both nodes.
func (e *TagConflictError) Error() string {
	return fmt.Sprintf("socketeer: nodes %q and %q have the same tag %q; restart %q", e.Name, e.With, e.Tag, e.Name)
}
