package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"github.com/socketeer-io/socketeer/client/internal/engine"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Why a socket was disconnected: the reasons that [Socket.OnDisconnect] reports,
// in the words of the JavaScript client. After the first two the socket stays
// disconnected until Connect is called; after the others it reconnects.
const (
	ReasonServerDisconnect = "io server disconnect"      // the server disconnected this socket
	ReasonClientDisconnect = "io client disconnect"      // Disconnect, Shutdown or Close was called
	ReasonPingTimeout      = engine.ReasonPingTimeout    // the server has been silent for too long
	ReasonTransportClose   = engine.ReasonTransportClose // the connection was closed
	ReasonTransportError   = engine.ReasonTransportError // the connection broke
	ReasonParseError       = engine.ReasonParseError     // the server sent something malformed
)

var (
	// ErrClosed says that the client has been closed. It is a net.ErrClosed.
	ErrClosed error = fmt.Errorf("socketeer: client is closed: %w", net.ErrClosed)
	// ErrDisconnected says that the socket was disconnected before what was
	// asked for was done. It is a net.ErrClosed.
	ErrDisconnected error = fmt.Errorf("socketeer: socket is disconnected: %w", net.ErrClosed)
	// ErrBufferFull says that a socket that is not connected has no room for
	// another event: see [WithSendBuffer].
	ErrBufferFull = errors.New("socketeer: buffer of the disconnected socket is full")
	// ErrTooLarge says that an event is larger than the server accepts.
	ErrTooLarge = errors.New("socketeer: event is larger than the server accepts")
	// ErrReserved says that an event's name is reserved: connect,
	// connect_error, disconnect, disconnecting, newListener, removeListener.
	ErrReserved = errors.New("socketeer: event name is reserved")
	// ErrAcknowledged says that an event has been acknowledged before.
	ErrAcknowledged = errors.New("socketeer: event is acknowledged already")
	// ErrNoSuchArgument says that an event or a reply has fewer arguments.
	ErrNoSuchArgument = sio.ErrNoSuchArgument
	// errHandlerPanic stands for the error of a handler that panicked.
	errHandlerPanic = errors.New("socketeer: handler panicked")
)

// HTTPError says that the server, or something before it, answered a request
// of the connection with an HTTP error. It has Status, Code and Message, the
// server's, which may be empty. Code is Engine.IO's: 0 unknown
// transport, 1 unknown session, 2 bad method, 3 bad request, 4 forbidden, 5
// unsupported protocol; -1 when the answer was not Engine.IO's.
type HTTPError = engine.HTTPError

// Error is an error that the other side sent, or is meant to see: the refusal
// of a namespace, the answer of a call, or what a handler returns to answer an
// event with an error.
type Error struct {
	Code    string          `json:"code,omitempty"` // for programs; may be empty
	Message string          `json:"message"`        // for people
	Data    json.RawMessage `json:"data,omitempty"` // may be nil
}

func (e *Error) Error() string {
	if e.Code != "" {
		return e.Code + ": " + e.Message
	}
	return e.Message
}

// parseRefusal reads the data of a CONNECT_ERROR packet: an object with a
// message and perhaps data, or the message alone (from old servers).
func parseRefusal(data []byte) *Error {
	e := &Error{}
	if json.Unmarshal(data, &e.Message) == nil {
		return e
	}
	*e = Error{}
	// What does not fit is left out: the refusal stands in any case.
	var parts struct{ Code, Message, Data json.RawMessage }
	_ = json.Unmarshal(data, &parts)
	_ = json.Unmarshal(parts.Code, &e.Code)
	_ = json.Unmarshal(parts.Message, &e.Message)
	e.Data = parts.Data
	return e
}
