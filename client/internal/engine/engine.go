// Package engine is the client's side of an Engine.IO connection: polling,
// WebSocket and the upgrade from the one to the other.
//
// A [Conn] is opened, run by one goroutine that handles what arrives, and used
// for sending by any number of others. It knows no Socket.IO.
package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

// The transports' names, as in the query of a request.
const (
	Polling   = "polling"
	WebSocket = "websocket"
)

// Why a connection ended, in the words of the JavaScript client.
const (
	ReasonTransportClose = "transport close" // the server, or something on the way, hung up
	ReasonTransportError = "transport error" // a request or a write failed
	ReasonPingTimeout    = "ping timeout"    // nothing came for too long
	ReasonParseError     = "parse error"     // what came made no sense
	ReasonForcedClose    = "forced close"    // this side closed
)

// ErrFull says that the send queue has no room.
var ErrFull = errors.New("socketeer: send queue is full")

// Options say how to open a connection. URL, Transports, ReadLimit, SendBuffer
// and Logger must be set.
type Options struct {
	URL        *url.URL // http or https, with path and query; not modified
	Transports []string // in order of preference; the first one opens
	Upgrade    bool     // move from polling to WebSocket, when both sides can
	Header     http.Header
	Jar        http.CookieJar // what the server sets, as a load balancer's cookie, is sent back
	TLS        *tls.Config
	NetDial    func(ctx context.Context, network, addr string) (net.Conn, error)

	ReadLimit      int64         // bytes, of a WebSocket message or a poll's response
	SendBuffer     int           // bytes, queued for sending
	UpgradeTimeout time.Duration // of the probe and the hand-over; 0 means 10 s

	OnUpgrade func() // called once, by the running goroutine
	Logger    *slog.Logger
}

// CloseError says why a connection ended. It unwraps to its cause.
type CloseError struct {
	Reason string // one of the Reason constants
	Err    error  // nil when there is nothing more to say
}

func (e *CloseError) Error() string {
	if e.Err == nil {
		return "socketeer: connection ended: " + e.Reason
	}
	return fmt.Sprintf("socketeer: connection ended: %s: %v", e.Reason, e.Err)
}

func (e *CloseError) Unwrap() []error {
	if e.Err == nil {
		return []error{net.ErrClosed}
	}
	return []error{net.ErrClosed, e.Err}
}

// HTTPError is an HTTP answer that is not a success.
type HTTPError struct {
	Status  int
	Code    int    // of Engine.IO's own errors; -1 when the answer is none
	Message string // as the server put it; may be empty
}

func (e *HTTPError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("socketeer: server answered with status %d", e.Status)
	}
	return fmt.Sprintf("socketeer: server answered with status %d: %s", e.Status, e.Message)
}

// endpoint returns the URL of a transport's request.
func endpoint(base *url.URL, transport, sid string) *url.URL {
	u := *base
	q := u.Query()
	q.Set("EIO", "4")
	q.Set("transport", transport)
	if sid != "" {
		q.Set("sid", sid)
	}
	u.RawQuery = q.Encode()
	return &u
}
