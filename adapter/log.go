package adapter

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Log is optionally implemented by an [Adapter] that keeps for some time what
// was sent, and the sessions of sockets, so that a client that comes back after
// a break gets what it missed. All methods may be called concurrently.
type Log interface {
	// Retain says for how long messages and sessions are wanted. It is called
	// once, before the other methods.
	Retain(d time.Duration)
	// Append keeps m, a Broadcast that is neither Volatile nor wants
	// acknowledgements, and sends it to the other nodes as Publish does: where
	// they get it, its Offset is set. It calls kept once, with the offset, or
	// with "" when m could not be kept in time: then no client recovers that
	// would have to get it. It does so in the order of the calls of Append, from
	// any goroutine, possibly before it returns. An error says that m was
	// neither kept nor sent; kept is not called then.
	Append(m *Message, kept func(offset string)) error
	// Newer reports whether offset a was given after b.
	Newer(a, b string) bool
	// SaveSession keeps s, in place of what was kept for its PID, until
	// Retain's time has passed. It returns when that has been done, so that
	// another node can restore it should this one die.
	SaveSession(ctx context.Context, s *Session) error
	// DropSession forgets a session that is not to be recovered.
	DropSession(ctx context.Context, pid string) error
	// Restore returns the session of pid, and in their order the messages kept
	// after offset for its rooms. Each session is restored for one caller only;
	// it must be saved again. An error that is an [*Unrecoverable] says why
	// there is nothing to return or something would be missing; the session is
	// untouched then.
	Restore(ctx context.Context, pid, offset string) (*Session, []*Message, error)
}

// Session is what is kept of a socket.
type Session struct {
	SID   string   // the socket's id, public
	PID   string   // what its client proves itself by, secret
	Rooms []string // its id included
	Data  []byte   // what the application keeps with it, a raw JSON object
	// Live is set while the socket is connected. Restore clears it if the node
	// that saved the session is known to be gone; else the socket may still be
	// there and is to be disconnected first.
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
