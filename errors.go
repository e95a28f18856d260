package socketeer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

var (
	// ErrDisconnected says that the socket is not connected any more. It is a
	// net.ErrClosed.
	ErrDisconnected error = fmt.Errorf("socketeer: socket is disconnected: %w", net.ErrClosed)
	// ErrServerClosed is what [Server.Open] returns once the server has been
	// closed, by Close or at the end of Shutdown. It is a net.ErrClosed. Sockets
	// then return ErrDisconnected.
	ErrServerClosed error = fmt.Errorf("socketeer: server is closed: %w", net.ErrClosed)
	// ErrTooManyRooms says that a socket is in as many rooms as it may be.
	ErrTooManyRooms = errors.New("socketeer: socket is in too many rooms; see WithMaxRooms")
	// ErrReserved says that an event's name is reserved: connect,
	// connect_error, disconnect, disconnecting, newListener, removeListener.
	ErrReserved = errors.New("socketeer: event name is reserved")
	// ErrAcknowledged says that an event has been acknowledged before.
	ErrAcknowledged = errors.New("socketeer: event is acknowledged already")
	// ErrNoSuchArgument says that an event or a reply has fewer arguments.
	ErrNoSuchArgument = sio.ErrNoSuchArgument
)

// Error is an error that is meant for the client: from a connect middleware
// it becomes the connect_error, from a [Call] the answer. All other errors stay
// on the server, and the client learns only that there was one.
type Error struct {
	Code    string // for programs; optional; the JavaScript client hides that of a connect_error
	Message string // for people
	Data    any    // anything that becomes JSON; optional
}

// Error returns "code: message", or the message alone when there is no code.
func (e *Error) Error() string {
	if e.Code != "" {
		return e.Code + ": " + e.Message
	}
	return e.Message
}

// errInternal is what a client sees of an error that is not meant for it.
var errInternal = &Error{Code: "internal", Message: "internal error"}

// forClient returns the part of err that a client may see.
func forClient(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return errInternal
}

// wireError is how an Error looks to a client.
type wireError struct {
	Code    string          `json:"code,omitempty"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *Error) wire() wireError {
	w := wireError{Code: e.Code, Message: e.Message}
	if e.Data != nil {
		if data, err := json.Marshal(e.Data); err == nil {
			w.Data = data
		}
	}
	return w
}

// AckError says that not everyone acknowledged. The replies that came are
// returned beside it.
type AckError struct {
	Expected int // clients that were asked, as far as is known
	Received int // replies
	// Missing are the names of other nodes that did not answer in full, sorted.
	// This node is never among them: who of its clients did not answer shows in
	// Expected and Received.
	Missing []string
	Cause   error // why the wait ended; nil when clients left without an answer
}

// Error tells how many and who.
func (e *AckError) Error() string {
	s := fmt.Sprintf("socketeer: %d of %d clients acknowledged", e.Received, e.Expected)
	if len(e.Missing) > 0 {
		s += ", no complete answer from " + strings.Join(e.Missing, ", ")
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *AckError) Unwrap() error { return e.Cause }

// Timeout reports whether time ran out.
func (e *AckError) Timeout() bool { return errors.Is(e.Cause, context.DeadlineExceeded) }

// PartialError says that some nodes did not answer a request. What the others
// answered has been delivered all the same.
type PartialError = adapter.PartialError
