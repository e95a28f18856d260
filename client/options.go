package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/client/internal/engine"
)

// The names of the transports, for [WithTransports].
const (
	Polling   = engine.Polling
	WebSocket = engine.WebSocket
)

// Option configures a [Client].
type Option interface{ client(*config) }

// SocketOption configures a [Socket]: given to [New] or [Dial] that of the main
// namespace, given to [Client.Of] that of the namespace named.
type SocketOption interface {
	Option
	socket(*socketConfig)
}

type config struct {
	main       socketConfig
	path       string
	query      url.Values
	header     http.Header
	jar        http.CookieJar
	tls        *tls.Config
	netDial    func(ctx context.Context, network, addr string) (net.Conn, error)
	transports []string
	upgrade    bool
	logger     *slog.Logger

	connectTimeout time.Duration
	closeTimeout   time.Duration
	readLimit      int64
	sendBuffer     int
	receiveBuffer  int
	maxAttachments int

	retryFirst bool
	reconnect  bool
	attempts   int
	delay      time.Duration
	maxDelay   time.Duration
	jitter     float64
}

type socketConfig struct {
	auth     any
	authFunc func(ctx context.Context) (any, error)
}

func defaults() config {
	return config{
		path:           "/socket.io/",
		query:          url.Values{},
		header:         http.Header{},
		transports:     []string{Polling, WebSocket},
		upgrade:        true,
		logger:         slog.New(slog.DiscardHandler),
		connectTimeout: 20 * time.Second,
		closeTimeout:   time.Second,
		readLimit:      16 << 20,
		sendBuffer:     1 << 20,
		receiveBuffer:  4 << 20,
		reconnect:      true,
		delay:          time.Second,
		maxDelay:       5 * time.Second,
		jitter:         0.5,
	}
}

type option func(*config)

func (o option) client(c *config) { o(c) }

type socketOption func(*socketConfig)

func (o socketOption) client(c *config)       { o(&c.main) }
func (o socketOption) socket(c *socketConfig) { o(c) }

// WithAuth sets what the server's connect middlewares see as handshake.auth:
// anything that becomes a JSON object. Default: nothing.
func WithAuth(v any) SocketOption {
	return socketOption(func(c *socketConfig) { c.auth, c.authFunc = v, nil })
}

// WithAuthFunc is WithAuth for what changes, such as a token that expires: f is
// called at each connect and reconnect. An error at the first connect is what
// Connect returns; later it is reported to OnConnectError and f called again
// after a delay. The context ends with the connection.
func WithAuthFunc(f func(ctx context.Context) (any, error)) SocketOption {
	return socketOption(func(c *socketConfig) { c.auth, c.authFunc = nil, f })
}

// WithPath sets the path of all requests. Default "/socket.io/".
func WithPath(path string) Option { return option(func(c *config) { c.path = path }) }

// WithQuery adds parameters to the query of all requests.
func WithQuery(q url.Values) Option {
	return option(func(c *config) {
		for k, v := range q {
			c.query[k] = append([]string(nil), v...)
		}
	})
}

// WithHeader adds headers to all requests. "Host" replaces the URL's host in
// requests, not in the address that is dialled.
func WithHeader(h http.Header) Option {
	return option(func(c *config) {
		for k, v := range h {
			c.header[http.CanonicalHeaderKey(k)] = append([]string(nil), v...)
		}
	})
}

// WithCookieJar sets where the server's cookies are kept. Default: a jar of the
// client's own, so that a load balancer's stickiness by cookie works.
func WithCookieJar(jar http.CookieJar) Option { return option(func(c *config) { c.jar = jar }) }

// WithTLSConfig sets the TLS configuration for https. It is not modified.
// Default: that of crypto/tls.
func WithTLSConfig(cfg *tls.Config) Option { return option(func(c *config) { c.tls = cfg }) }

// WithDialer sets how connections are opened, as through a proxy. Default: a
// net.Dialer. Proxies named by the environment are not used.
func WithDialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return option(func(c *config) { c.netDial = dial })
}

// WithTransports sets the allowed transports. The first opens the connection;
// Polling moves to WebSocket when that is allowed too and the server offers it.
// Default: Polling, WebSocket.
func WithTransports(names ...string) Option {
	return option(func(c *config) { c.transports = append([]string(nil), names...) })
}

// WithUpgrade sets whether polling moves to WebSocket. Default true.
func WithUpgrade(on bool) Option { return option(func(c *config) { c.upgrade = on }) }

// WithLogger sets where the client logs: handlers' errors and panics, and at
// debug level what the connection does. Default: nowhere.
func WithLogger(l *slog.Logger) Option { return option(func(c *config) { c.logger = l }) }

// WithConnectTimeout bounds each attempt to open a connection. Default 20 s.
func WithConnectTimeout(d time.Duration) Option {
	return option(func(c *config) { c.connectTimeout = d })
}

// WithCloseTimeout bounds the farewell at a Close or Disconnect: what is queued
// leaves within it, or not at all. Default 1 s.
func WithCloseTimeout(d time.Duration) Option {
	return option(func(c *config) { c.closeTimeout = d })
}

// WithReadLimit sets the largest WebSocket message or poll response that is
// accepted, in bytes. A larger one ends the connection. Default 16 MiB.
func WithReadLimit(n int64) Option { return option(func(c *config) { c.readLimit = n }) }

// WithSendBuffer sets how many bytes of events may wait for being sent. A
// connected socket's Emit waits for room; a disconnected socket keeps as much
// again, for the reconnect, and then refuses with ErrBufferFull. Default 1 MiB.
func WithSendBuffer(n int) Option { return option(func(c *config) { c.sendBuffer = n }) }

// WithReceiveBuffer sets how many bytes of events may wait for the handlers of
// a namespace; then the client stops reading, until there is room or the
// server's patience ends. While acknowledgements are awaited, which come by the
// same way, and before a namespace is connected it is four times as much.
// Default 4 MiB.
func WithReceiveBuffer(n int) Option { return option(func(c *config) { c.receiveBuffer = n }) }

// WithMaxAttachments sets how many binary values an event or an acknowledgement
// from the server may hold. More end the connection. Default 10.
func WithMaxAttachments(n int) Option { return option(func(c *config) { c.maxAttachments = n }) }

// WithReconnect sets whether a lost connection is opened anew. Default true.
func WithReconnect(on bool) Option { return option(func(c *config) { c.reconnect = on }) }

// WithReconnectAttempts sets how many attempts are made before the client gives
// up. Default 0: no limit.
func WithReconnectAttempts(n int) Option { return option(func(c *config) { c.attempts = n }) }

// WithReconnectDelay sets the wait before an attempt: first after the first
// failure, doubled with each, at most most, spread by jitter (0 to 1) of itself
// to both sides. Default 1 s, 5 s, 0.5.
func WithReconnectDelay(first, most time.Duration, jitter float64) Option {
	return option(func(c *config) { c.delay, c.maxDelay, c.jitter = first, most, jitter })
}

// WithRetry makes the first connect as persistent as a reconnect: Connect and
// Dial then wait for a server that is not there yet, for as long as their
// context and WithReconnectAttempts allow. Default false: the first failure is
// returned.
func WithRetry() Option { return option(func(c *config) { c.retryFirst = true }) }

func (c *config) validate() error {
	switch {
	case len(c.transports) == 0:
		return errors.New("socketeer: no transports")
	case c.jitter < 0 || c.jitter > 1:
		return errors.New("socketeer: reconnect jitter is not within 0 and 1")
	case c.delay <= 0 || c.maxDelay < c.delay:
		return errors.New("socketeer: reconnect delays must be positive, the first not above the most")
	case c.connectTimeout <= 0 || c.closeTimeout <= 0:
		return errors.New("socketeer: timeouts must be positive")
	case c.readLimit <= 0 || c.sendBuffer <= 0 || c.receiveBuffer <= 0:
		return errors.New("socketeer: limits must be positive")
	case c.attempts < 0:
		return errors.New("socketeer: reconnect attempts must not be negative")
	}
	for _, t := range c.transports {
		if t != Polling && t != WebSocket {
			return fmt.Errorf("socketeer: unknown transport %q", t)
		}
	}
	return nil
}

// parseURL splits what a caller dials into the URL of the requests and the main
// namespace, which is the path, as for the JavaScript client.
func parseURL(raw string, c *config) (base *url.URL, namespace string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "", fmt.Errorf("socketeer: %w", err)
	}
	switch u.Scheme {
	case "http", "https":
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return nil, "", fmt.Errorf("socketeer: url %q: scheme is not http, https, ws or wss", raw)
	}
	if u.Host == "" {
		return nil, "", fmt.Errorf("socketeer: url %q has no host", raw)
	}
	if namespace = u.Path; namespace == "" {
		namespace = "/"
	}
	q := u.Query()
	for k, v := range c.query {
		q[k] = v
	}
	base = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: slashed(c.path), RawQuery: q.Encode()}
	return base, namespace, nil
}

// slashed puts the path between two slashes, which the JavaScript server wants.
func slashed(path string) string {
	if path = strings.Trim(path, "/"); path == "" {
		return "/"
	}
	return "/" + path + "/"
}
