package client

import (
	"context"
	"fmt"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/client/internal/engine"
	"github.com/socketeer-io/socketeer/protocol/eio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Client is a connection to a server, kept alive, and shared by the sockets of
// its namespaces. It embeds the socket of the main namespace: that of the URL's
// path, "/" by default. All methods may be called by any goroutine at any time.
//
// A connection exists while a socket wants one: from the first Connect until
// the last socket is disconnected by either side.
type Client struct {
	*Socket

	// immutable
	cfg    config
	base   *url.URL
	ctx    context.Context //nolint:containedctx // of the handlers; done at Close
	cancel context.CancelCauseFunc
	done   chan struct{}

	network  sync.WaitGroup // the goroutine of run
	handlers sync.WaitGroup // inboxes and auth functions
	room     chan struct{}  // see inbox.push
	awaited  atomic.Int64   // acknowledgements, of all sockets
	counts   counts

	decoder sio.Decoder // owned by run

	// Guards what follows, and the sockets' state. Below it in lock order are
	// the connection's queue and the inboxes.
	mu        sync.Mutex
	sockets   map[string]*Socket
	active    int // sockets that want a connection
	running   bool
	abort     context.CancelFunc // ends run's wait or opening; nil when it does neither
	conn      *engine.Conn       // nil while there is none
	failure   error              // of the last attempt to open one
	closed    bool
	listeners listeners
}

// New returns a client that does nothing yet: register handlers, then Connect.
// The URL is http(s)://host:port or ws(s)://host:port; its path, if any, names
// the main namespace, its query is added to all requests.
func New(rawURL string, opts ...Option) (*Client, error) {
	cfg := defaults()
	for _, o := range opts {
		o.client(&cfg)
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	base, namespace, err := parseURL(rawURL, &cfg)
	if err != nil {
		return nil, err
	}
	if cfg.jar == nil {
		if cfg.jar, err = cookiejar.New(nil); err != nil {
			return nil, fmt.Errorf("socketeer: %w", err)
		}
	}
	c := &Client{
		cfg:     cfg,
		base:    base,
		done:    make(chan struct{}),
		room:    make(chan struct{}, 1),
		sockets: map[string]*Socket{},
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.Socket = newSocket(c, namespace, cfg.main)
	c.sockets[namespace] = c.Socket
	return c, nil
}

// Dial is New and Connect. Events that come before a handler is registered find
// none, so use New when the server speaks first.
func Dial(ctx context.Context, rawURL string, opts ...Option) (*Client, error) {
	c, err := New(rawURL, opts...)
	if err != nil {
		return nil, err
	}
	if err := c.Connect(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Of returns the socket of a namespace, which has to be connected by its own
// Connect and shares this client's connection. The options count at the first
// call for a namespace.
func (c *Client) Of(namespace string, opts ...SocketOption) *Socket {
	if !strings.HasPrefix(namespace, "/") {
		namespace = "/" + namespace
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.sockets[namespace]
	if !ok {
		var cfg socketConfig
		for _, o := range opts {
			o.socket(&cfg)
		}
		s = newSocket(c, namespace, cfg)
		c.sockets[namespace] = s
	}
	return s
}

// Transport returns the name of the transport in use, "" when there is no
// connection.
func (c *Client) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return ""
	}
	return c.conn.Transport()
}

// Close disconnects all sockets and ends the client for good: events on their
// way out leave within WithCloseTimeout, events that no handler has begun with
// are dropped, and the context of the running handlers ends. Close does not
// wait for these, so that a handler may call it; Done does. It always returns nil.
func (c *Client) Close() error {
	c.leave(c.cfg.closeTimeout)
	c.cut()
	c.network.Wait()
	return nil
}

// Shutdown is Close that lets everything finish first: it returns when what was
// emitted has left and the handlers of all events received have returned, or
// cuts when the context is done and returns its cause.
func (c *Client) Shutdown(ctx context.Context) error {
	c.leave(0)
	var err error
	select {
	case <-c.done:
	case <-ctx.Done():
		err = fmt.Errorf("socketeer: shutdown: %w", context.Cause(ctx))
	}
	_ = c.Close()
	return err
}

// Done is closed when the client was closed and all of its goroutines, those of
// the handlers included, have ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// leave says goodbye and lets nothing new begin.
func (c *Client) leave(patience time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		for _, s := range c.sockets {
			s.leaveLocked(ErrClosed)
			s.failAllLocked(ErrClosed)
		}
		c.closed = true
		go func() {
			c.network.Wait()
			c.handlers.Wait()
			close(c.done)
		}()
	}
	c.quitLocked(patience)
}

// cut drops what handlers have not begun with and ends the context of the rest.
func (c *Client) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets {
		s.inbox.close()
	}
	c.cancel(ErrClosed)
}

// quitLocked ends the connection, or the attempt to get one.
func (c *Client) quitLocked(patience time.Duration) {
	if c.conn != nil {
		c.conn.Close(patience)
	}
	if c.abort != nil {
		c.abort()
	}
}

// encode makes the Engine.IO packets of a Socket.IO packet.
func encode(p sio.Packet) []eio.Packet {
	ps := make([]eio.Packet, 1, 1+len(p.Attachments))
	ps[0] = eio.Packet{Type: eio.Message, Data: p.AppendText(make([]byte, 0, len(p.Namespace)+len(p.Data)+24))}
	for _, a := range p.Attachments {
		ps = append(ps, eio.Packet{Type: eio.Message, Data: a, Binary: true})
	}
	return ps
}
