package engineio

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Code is the number of a refusal, as clients see it.
type Code int

// The codes of refused requests.
const (
	UnknownTransport   Code = 0
	UnknownSID         Code = 1
	BadHandshakeMethod Code = 2
	BadRequest         Code = 3
	Forbidden          Code = 4
	UnsupportedVersion Code = 5
)

var codeTexts = [...]string{
	"Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden", "Unsupported protocol version",
}

// String returns the message that goes with the code on the wire.
func (c Code) String() string {
	if c >= 0 && int(c) < len(codeTexts) {
		return codeTexts[c]
	}
	return "Code " + strconv.Itoa(int(c))
}

// ConnectionError describes a refused request.
type ConnectionError struct {
	Code    Code
	Name    string // what exactly, such as "TRANSPORT_MISMATCH"; may be empty
	Err     error  // the cause, if there is one
	Request *http.Request
}

// Error tells code, name and cause.
func (e *ConnectionError) Error() string {
	s := fmt.Sprintf("socketeer: connection refused: %s (code %d)", e.Code, int(e.Code))
	if e.Name != "" {
		s += " " + e.Name
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *ConnectionError) Unwrap() error { return e.Err }

// Refusal is an error of [Options.AllowRequest] whose message the client may
// see.
type Refusal struct{ Message string }

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

func unknownSID(sid string) *ConnectionError {
	return &ConnectionError{Code: UnknownSID, Err: fmt.Errorf("sid %.40q", sid)}
}

func mismatch(got, want string) *ConnectionError {
	return &ConnectionError{Code: BadRequest, Name: "TRANSPORT_MISMATCH",
		Err: fmt.Errorf("%s request for a session on %s", got, want)}
}

const shutting = "SHUTTING_DOWN"

func shuttingDown() *ConnectionError {
	return &ConnectionError{Code: Forbidden, Name: shutting, Err: &Refusal{Message: "Server is shutting down"}}
}

// status returns the HTTP status of the refusal: usual, unless it is that the
// server drains.
func (e *ConnectionError) status(usual int) int {
	if e.Name == shutting {
		return http.StatusServiceUnavailable
	}
	return usual
}

// refused tells the application.
func (s *Server) refused(r *http.Request, e *ConnectionError) {
	s.stats.refused.Add(1)
	if s.o.OnConnectionError != nil {
		e.Request = r
		s.o.OnConnectionError(e)
	}
}

// refuse answers a request that is not accepted, as the JavaScript server
// does: JSON for polling, a bare text for WebSocket. A server that drains
// answers 503, and closes the HTTP connection: the next request on it would
// come here again.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, e *ConnectionError) {
	s.refused(r, e)
	message := e.Code.String()
	var refusal *Refusal
	if e.Code == Forbidden && errors.As(e.Err, &refusal) {
		message = refusal.Message
	}
	h := w.Header()
	if isUpgrade(r) || s.draining.Load() {
		h.Set("Connection", "close")
	}
	if isUpgrade(r) {
		h.Set("Content-Type", "text/html")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", strconv.Itoa(len(message)))
		w.WriteHeader(e.status(http.StatusBadRequest))
		_, _ = io.WriteString(w, message)
		return
	}
	status := http.StatusBadRequest
	if e.Code == Forbidden {
		status = e.status(http.StatusForbidden)
	}
	body, err := json.Marshal(struct {
		Code    Code   `json:"code"`
		Message string `json:"message"`
	}{e.Code, message})
	if err != nil { // a number and a string
		panic(err)
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
