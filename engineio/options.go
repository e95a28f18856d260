package engineio

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/rs/cors"
)

// The transports.
const (
	polling_  = "polling"
	websocket = "websocket"
)

// Options of a server. The zero value of each field means its default, which
// is the JavaScript server's unless noted. Negative values are an error.
type Options struct {
	// PingInterval is the time between heartbeats. Default 25 s.
	PingInterval time.Duration
	// PingTimeout is how long a client may take to answer one. Default 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout bounds an unfinished upgrade. Default 10 s.
	UpgradeTimeout time.Duration
	// MaxPayload is the largest message or POST body accepted, in bytes; it is
	// told to clients. Default 1,000,000.
	MaxPayload int64
	// Transports that are allowed. Default polling and websocket.
	Transports []string
	// NoUpgrades keeps the server from offering upgrades.
	NoUpgrades bool
	// SendBuffer is how many bytes may wait for one client before it is closed
	// as a SlowConsumer; each message counts 64 bytes more. A single larger
	// message may pass. Default 1 MiB; the JavaScript server has no bound.
	SendBuffer int
	// NoCompression turns the compression of poll responses off.
	NoCompression bool
	// CompressionThreshold is the smallest poll response compressed, in bytes.
	// Default 1024.
	CompressionThreshold int
	// PerMessageDeflate, when set, compresses WebSocket messages for clients
	// that offer it.
	PerMessageDeflate *PerMessageDeflate
	// Cookie, when set, is sent with a polling handshake, with the session id
	// as its value. An empty name means "io", an empty path "/".
	Cookie *http.Cookie
	// CORS, when set, answers preflights, adds the headers, and says which
	// origins may connect. Without it, a browser may connect only from the
	// server's own origin: stricter than the JavaScript server, which lets
	// WebSockets in from anywhere.
	CORS *cors.Options
	// AllowRequest, when set, is asked before a session is opened. An error
	// refuses it with code [Forbidden]; the client sees the text only of a
	// [*Refusal].
	AllowRequest func(r *http.Request) error
	// InitialHeaders may add headers to the response that opens a session,
	// Headers to every response.
	InitialHeaders, Headers func(h http.Header, r *http.Request)
	// OnConnectionError is told of every refused request.
	OnConnectionError func(e *ConnectionError)
	// NodeTag starts every session id: four characters of [A-Za-z0-9_-].
	// Default random, for each server.
	NodeTag string
	// GenerateID, when set, makes the session ids.
	GenerateID func(r *http.Request) (string, error)
	// AfterRead is called when messages have been handed to their sessions, as
	// many as there were: the moment to act on them. By any goroutine.
	AfterRead func()
	// Logger for what has no other way to be told. Default: silent.
	Logger *slog.Logger
}

// PerMessageDeflate is RFC 7692 without context takeover: nothing is kept per
// connection, and a broadcast is compressed once.
type PerMessageDeflate struct {
	// Threshold is the smallest message compressed, in bytes. Default 1024.
	Threshold int
}

func (o Options) withDefaults() Options {
	def(&o.PingInterval, 25*time.Second)
	def(&o.PingTimeout, 20*time.Second)
	def(&o.UpgradeTimeout, 10*time.Second)
	def(&o.MaxPayload, 1_000_000)
	def(&o.SendBuffer, 1<<20)
	def(&o.CompressionThreshold, 1024)
	if o.Transports == nil {
		o.Transports = []string{polling_, websocket}
	}
	if o.PerMessageDeflate != nil {
		d := *o.PerMessageDeflate
		def(&d.Threshold, 1024)
		o.PerMessageDeflate = &d
	}
	if o.Cookie != nil {
		c := *o.Cookie
		def(&c.Name, "io")
		def(&c.Path, "/")
		o.Cookie = &c
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate says what is wrong with options that have their defaults.
func (o *Options) validate() error {
	for name, v := range map[string]int64{
		"PingInterval": int64(o.PingInterval), "PingTimeout": int64(o.PingTimeout), "UpgradeTimeout": int64(o.UpgradeTimeout),
		"MaxPayload": o.MaxPayload, "SendBuffer": int64(o.SendBuffer), "CompressionThreshold": int64(o.CompressionThreshold),
		"PerMessageDeflate.Threshold": int64(o.deflateThreshold()),
	} {
		if v < 0 {
			return fmt.Errorf("socketeer: %s is negative", name)
		}
	}
	for _, t := range o.Transports {
		if t != polling_ && t != websocket {
			return fmt.Errorf("socketeer: unknown transport %q: use %q or %q", t, polling_, websocket)
		}
	}
	if !validID(o.NodeTag) || len(o.NodeTag) != tagLen {
		return fmt.Errorf("socketeer: node tag %q is not four characters of [A-Za-z0-9_-]", o.NodeTag)
	}
	return nil
}

func (o *Options) deflateThreshold() int {
	if o.PerMessageDeflate == nil {
		return 0
	}
	return o.PerMessageDeflate.Threshold
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
