package adapter

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Log is optionally implemented by an [Adapter] that keeps for some time what
// was sent, and the sessions of sockets, so that a client that comes back after
// a break gets what it missed. All methods may be called concurrently; after
// Close they fail.
//
// All that rests on one promise: a node sees what is kept in the order of the
// offsets. Calls of [Local].Handle with an Offset and calls of the functions
// given to Append are made one at a time, each offset after those before it,
// whichever node they came from. Then the last offset that a client has got
// says what it has got. (A node that only reads what others sent, and calls
// kept when its own write returns, breaks it: what another node wrote a moment
// before is still to come, and lost for a client that is cut in between.)
type Log interface {
	// Retain says for how long messages and sessions are wanted. It is called
	// once, before the other methods.
	Retain(d time.Duration)
	// Append keeps m, a Broadcast that is neither Volatile nor wants
	// acknowledgements, and sends it to the other nodes as Publish does, in the
	// same order with what Publish sends: where they get it, its Offset is set.
	// It does not wait for the network. It calls kept once, with the offset, or
	// with "" when m could not be kept in time, a second or so: then no client
	// recovers that would have to get it. It does so in the order of the calls
	// of Append, from any goroutine, possibly before it returns. kept may take
	// as long as a fan-out does, and may call methods of the adapter that do not
	// wait, except Append. An error says that m was neither kept nor sent; kept
	// is not called then, and nobody gets m: a client that is away could not be
	// told that it misses something.
	//
	// Offsets are printable ASCII without quotes and backslashes, of at most 1000
	// bytes and mostly far less, and such that hardly any other string is one.
	//
	// A socket's own messages are Appended too, with its id as the only room.
	// Other nodes hardly ever want them: an adapter that sends by interest is
	// done with that, one that does not may keep them without sending them only
	// if no other node has joined that room.
	Append(m *Message, kept func(offset string)) error
	// Newer reports whether offset a was given after b. Both are offsets, else
	// the answer may be any. Nodes need not see what different senders keep in
	// the same order: for offsets of two nodes the question is whether the
	// message at a is not among those that b tells of.
	Newer(a, b string) bool
	// SaveSession keeps s, in place of what was kept for its PID, until
	// Retain's time has passed. It returns when that has been done, so that
	// another node can take it should this one die.
	SaveSession(ctx context.Context, s *Session) error
	// DropSession forgets a session that is not to be recovered.
	DropSession(ctx context.Context, pid string) error
	// TakeSession returns the session of pid in this namespace and forgets it:
	// of several callers, on any nodes, one gets it, and saves it again. An
	// error is an [*Unrecoverable].
	TakeSession(ctx context.Context, pid string) (*Session, error)
	// Missed returns, in their order and with their Offset, the messages kept
	// after offset that s Wants: all of them, or an error, an [*Unrecoverable]
	// that says why there would be something missing. It is called when Join
	// has returned for all rooms of s. What has been sent to them since the
	// offset is returned here or handed to Local after Join returned, or both.
	Missed(ctx context.Context, s *Session, offset string) ([]*Message, error)
}

// Session is what is kept of a socket.
type Session struct {
	SID   string   // the socket's id, public
	PID   string   // what its client proves itself by, secret
	Rooms []string // its id included
	Data  []byte   // what the application keeps with it, a raw JSON object
	// Live is set while the socket is connected. TakeSession clears it if the
	// node that saved the session is known to be gone; else the socket may still
	// be there and is to be disconnected first.
	Live bool
}

// Wants reports whether a broadcast to t would have reached the socket.
func (s *Session) Wants(t *Target) bool {
	mine := func(room string) bool { return slices.Contains(s.Rooms, room) }
	return (len(t.Rooms) == 0 || slices.ContainsFunc(t.Rooms, mine)) && !slices.ContainsFunc(t.Except, mine)
}

// Unrecoverable says why a session cannot be recovered.
type Unrecoverable struct {
	Reason string // one of the constants
	Err    error  // behind it, may be nil
}

// The reasons of [Unrecoverable].
const (
	NoSession  = "session unknown or expired"
	BadOffset  = "offset is not valid"
	Trimmed    = "messages after the offset are not kept any more"
	Gap        = "messages after the offset were not kept"
	LogFailure = "log cannot be read"
)

// Error names the reason.
func (e *Unrecoverable) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("socketeer: not recoverable: %s: %v", e.Reason, e.Err)
	}
	return "socketeer: not recoverable: " + e.Reason
}

// Unwrap returns the error behind.
func (e *Unrecoverable) Unwrap() error { return e.Err }
