package socketeer

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/rs/cors"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/engineio"
)

// Option configures a [Server]. Those of the connection (ping interval and
// timeout, upgrade timeout, payload, send buffer, attachments) take 0 for the
// default, and refuse what is negative; of the other limits and timeouts each
// says what 0 means.
type Option func(*options)

type options struct {
	path           string
	adapter        adapter.Factory
	logger         *slog.Logger
	connectTimeout time.Duration
	maxAttachments int
	maxPending     int
	maxNamespaces  int
	maxRooms       int
	requestTimeout time.Duration
	shutdownRate   int
	cleanup        bool
	client         fs.FS
	recovery       *Recovery // nil: off
	engine         engineio.Options
}

func defaults() options {
	return options{
		path:           "/socket.io/",
		adapter:        adapter.Memory{},
		logger:         slog.New(slog.DiscardHandler),
		connectTimeout: 45 * time.Second,
		maxPending:     256,
		maxNamespaces:  10_000,
		maxRooms:       10_000,
		requestTimeout: 5 * time.Second,
		shutdownRate:   2000,
	}
}

// validate completes the options, or says what is wrong with them.
func (o *options) validate() error {
	if o.path = "/" + strings.Trim(o.path, "/") + "/"; o.path == "//" {
		o.path = "/"
	}
	switch {
	case o.adapter == nil:
		return errors.New("socketeer: adapter is nil")
	case o.logger == nil:
		return errors.New("socketeer: logger is nil")
	case o.connectTimeout <= 0 || o.requestTimeout <= 0:
		return errors.New("socketeer: timeouts must be positive")
	case o.maxPending <= 0:
		return errors.New("socketeer: the limit on pending events must be positive")
	case o.maxAttachments < 0 || o.maxNamespaces < 0 || o.maxRooms < 0 || o.shutdownRate < 0:
		return errors.New("socketeer: limits must not be negative")
	}
	return o.recovery.validate()
}

// WithPath sets the path of all requests, between slashes. Default
// "/socket.io/".
func WithPath(path string) Option { return func(o *options) { o.path = path } }

// WithAdapter connects the server's namespaces to a cluster. Default
// [adapter.Memory]: the server is alone.
func WithAdapter(f adapter.Factory) Option { return func(o *options) { o.adapter = f } }

// WithLogger sets where the server logs. Keys: "sid" (a socket's or a session's
// id), "nsp", "event", "err". The server does not say which node it is;
// adapters add the key "node" to their own lines. Default: nowhere.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithConnectTimeout sets how long a client may stay without joining a
// namespace; it must be positive. Default 45 s.
func WithConnectTimeout(d time.Duration) Option { return func(o *options) { o.connectTimeout = d } }

// WithPingInterval sets the time between heartbeats. Default 25 s.
func WithPingInterval(d time.Duration) Option { return func(o *options) { o.engine.PingInterval = d } }

// WithPingTimeout sets how long a client may take to answer a heartbeat.
// Default 20 s.
func WithPingTimeout(d time.Duration) Option { return func(o *options) { o.engine.PingTimeout = d } }

// WithUpgradeTimeout bounds an unfinished upgrade to WebSocket. Default 10 s.
func WithUpgradeTimeout(d time.Duration) Option {
	return func(o *options) { o.engine.UpgradeTimeout = d }
}

// WithMaxPayload sets the largest message accepted, in bytes, also for a
// message with all its attachments. Default 1,000,000 (maxHttpBufferSize in
// JavaScript).
func WithMaxPayload(n int64) Option { return func(o *options) { o.engine.MaxPayload = n } }

// WithMaxAttachments sets how many binary attachments a packet may have.
// Default 10.
func WithMaxAttachments(n int) Option { return func(o *options) { o.maxAttachments = n } }

// WithMaxPending sets how many events of one socket may wait for its handlers.
// When there are more, or they hold more bytes than WithMaxPayload allows for
// one, nothing is read from its client until there are fewer.
// While an acknowledgement of the client is awaited, four times as many may
// wait, for it comes by the same way. It must be positive. Default 256.
func WithMaxPending(n int) Option { return func(o *options) { o.maxPending = n } }

// WithSendBuffer sets how many bytes may wait for one client before it is
// disconnected as a slow consumer. Default 1 MiB.
func WithSendBuffer(bytes int) Option { return func(o *options) { o.engine.SendBuffer = bytes } }

// WithTransports sets the transports allowed. Default "polling" and
// "websocket".
func WithTransports(names ...string) Option {
	return func(o *options) { o.engine.Transports = names }
}

// WithoutUpgrades keeps clients on the transport they came with.
func WithoutUpgrades() Option { return func(o *options) { o.engine.NoUpgrades = true } }

// WithCORS lets browsers in from other origins; it also decides which origins
// may open a WebSocket. Default: only pages of the server's own origin.
func WithCORS(c cors.Options) Option { return func(o *options) { o.engine.CORS = &c } }

// WithCookie sends a cookie with the session id in polling handshakes, for
// load balancers that want one. An empty name means "io".
func WithCookie(c http.Cookie) Option { return func(o *options) { o.engine.Cookie = &c } }

// WithoutHTTPCompression turns the compression of poll responses off.
func WithoutHTTPCompression() Option { return func(o *options) { o.engine.NoCompression = true } }

// WithPerMessageDeflate compresses WebSocket messages of at least threshold
// bytes (0: 1024) for clients that offer it. Default off: it costs more than
// it saves for small messages.
func WithPerMessageDeflate(threshold int) Option {
	return func(o *options) {
		o.engine.PerMessageDeflate = &engineio.PerMessageDeflate{Threshold: threshold}
	}
}

// WithAllowRequest sets a function that is asked before a session is opened.
// An error refuses it; the client sees the text only of an
// [*engineio.Refusal].
func WithAllowRequest(f func(*http.Request) error) Option {
	return func(o *options) { o.engine.AllowRequest = f }
}

// WithHeaders sets functions that may add headers: initial to the response
// that opens a session, every to each response. Either may be nil.
func WithHeaders(initial, every func(http.Header, *http.Request)) Option {
	return func(o *options) { o.engine.InitialHeaders, o.engine.Headers = initial, every }
}

// WithConnectionErrors sets a function that is told of every refused request.
func WithConnectionErrors(f func(*engineio.ConnectionError)) Option {
	return func(o *options) { o.engine.OnConnectionError = f }
}

// WithSessionID sets the function that makes Engine.IO session ids, which must
// be unguessable. Default: the node's tag and 12 random bytes.
func WithSessionID(f func(*http.Request) (string, error)) Option {
	return func(o *options) { o.engine.GenerateID = f }
}

// WithRequestTimeout bounds requests to other nodes whose context has no
// deadline; it must be positive. Default 5 s.
func WithRequestTimeout(d time.Duration) Option { return func(o *options) { o.requestTimeout = d } }

// WithShutdownRate sets how many connections a second [Server.Shutdown] closes
// at least, however much time it has: a client that is gone sooner comes back
// to the others sooner, and the server that takes this one's place starts
// sooner. Default 2,000, which the clients' own delay spreads over a second; 0
// takes all the time there is.
func WithShutdownRate(perSecond int) Option { return func(o *options) { o.shutdownRate = perSecond } }

// WithMaxRooms bounds how many rooms one socket can be in, its own id not
// counted; see [ErrTooManyRooms]. Default 10,000; 0 allows none. JavaScript has
// no bound.
func WithMaxRooms(n int) Option { return func(o *options) { o.maxRooms = n } }

// WithCleanupEmptyChildNamespaces removes the namespaces that [Server.OfFunc]
// and [Server.OfPattern] made when their last socket leaves. Default off, as
// in JavaScript.
func WithCleanupEmptyChildNamespaces() Option { return func(o *options) { o.cleanup = true } }

// WithMaxNamespaces bounds how many namespaces clients can have made by
// [Server.OfFunc] and [Server.OfPattern]. Default 10,000; 0 allows none.
func WithMaxNamespaces(n int) Option { return func(o *options) { o.maxNamespaces = n } }

// WithClient serves the JavaScript client from a file system that holds
// socket.io.js and its variants, under the server's path. Default: not served.
func WithClient(files fs.FS) Option { return func(o *options) { o.client = files } }
