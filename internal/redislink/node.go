package redislink

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/rawconn"
)

// bufferSize is that of rueidis' buffers, two for each connection. Larger
// messages pass them by.
const bufferSize = 64 << 10

// keepAlive has the kernel notice connections whose other end is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// node is one server: a rueidis client bound to its address, whose pipeline
// belongs to a lane and whose dedicated connections to subscribers.
type node struct {
	addr   string
	client rueidis.Client

	pipeline atomic.Pointer[socket] // what the client sends on
	opening  atomic.Bool            // NewClient is under way
	lazy     bool                   // the client has no pipeline

	mu      sync.Mutex
	sockets map[*socket]struct{}
	closed  bool
}

// socket is a connection that its node can cut.
type socket struct {
	net.Conn
	raw  net.Conn // below TLS
	node *node
}

// Close implements net.Conn.
func (s *socket) Close() error {
	s.node.mu.Lock()
	delete(s.node.sockets, s)
	s.node.mu.Unlock()
	return s.Conn.Close()
}

// laneKey marks the contexts of a lane, whose connection is the pipeline.
type laneKey struct{}

// config is how connections are made.
type config struct {
	target target
	tls    *tls.Config
	name   string
	dial   time.Duration // timeout of dialing
	answer time.Duration // timeout of answers
}

func newConfig(t target, o *Options) config {
	c := config{target: t, name: o.ClientName, dial: o.DialTimeout, answer: o.PublishTimeout}
	if t.tls || o.TLS != nil {
		c.tls = o.TLS
		if c.tls == nil {
			c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	return c
}

// options returns those common to all clients.
func (c *config) options() rueidis.ClientOption {
	return rueidis.ClientOption{
		Username: c.target.user, Password: c.target.password, SelectDB: c.target.db,
		ClientName: c.name, ClientSetInfo: []string{"socketeer", "1"},
		DisableCache:       true,
		ReadBufferEachConn: bufferSize, WriteBufferEachConn: bufferSize,
		ConnWriteTimeout: c.answer,
		// Negative: no pings in the background, which a lane's connection must
		// not have (see lane).
		Dialer: net.Dialer{Timeout: c.dial, KeepAlive: -1},
	}
}

// newNode connects to a server. With an error there may be a node too, which
// is to be closed.
func (c *config) newNode(addr string) (*node, error) { return c.start(&node{addr: addr}) }

// newListener returns a node for dedicated connections, which it does not yet
// make.
func (c *config) newListener(addr string) (*node, error) {
	n, err := c.start(&node{addr: addr, lazy: true})
	if n != nil {
		err = nil
	}
	return n, err
}

var errLazy = errors.New("not yet")

func (c *config) start(n *node) (*node, error) {
	n.sockets = make(map[*socket]struct{})
	o := c.options()
	o.InitAddress = []string{n.addr}
	o.ForceSingleClient = true
	o.DisableRetry = true // a message is never sent twice
	o.PipelineMultiplex = -1
	o.DialCtxFn = func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
		if n.lazy && n.opening.Load() {
			return nil, errLazy
		}
		s, err := c.connect(ctx, addr, c.tls)
		if err != nil {
			return nil, err
		}
		s.node = n
		if !n.add(s) {
			return nil, errors.Join(net.ErrClosed, s.Conn.Close())
		}
		if n.opening.Load() || ctx.Value(laneKey{}) != nil {
			n.pipeline.Store(s)
		}
		return s, nil
	}
	n.opening.Store(true)
	client, err := rueidis.NewClient(o)
	n.opening.Store(false)
	if client == nil {
		return nil, err
	}
	n.client = client
	return n, err
}

// connect dials an address and speaks TLS if asked to.
func (c *config) connect(ctx context.Context, addr string, config *tls.Config) (*socket, error) {
	ctx, cancel := context.WithTimeout(ctx, c.dial)
	defer cancel()
	d := net.Dialer{KeepAliveConfig: keepAlive}
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		network, addr = "unix", path
	}
	raw, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s := &socket{Conn: rawconn.Wrap(raw), raw: raw}
	if config == nil || network == "unix" {
		return s, nil
	}
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secure := tls.Client(s.Conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, tlsError{err}
	}
	s.Conn = secure
	return s, nil
}

func (n *node) add(s *socket) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.sockets[s] = struct{}{}
	}
	return !n.closed
}

// cut closes the connections that there are, so that new ones are made.
func (n *node) cut() {
	n.mu.Lock()
	list := make([]*socket, 0, len(n.sockets))
	for s := range n.sockets {
		list = append(list, s)
	}
	n.mu.Unlock()
	for _, s := range list {
		_ = s.Conn.Close() // whoever uses it sees the error
	}
}

// close ends the node for good.
func (n *node) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.cut()
	n.client.Close()
}

// about is what a server says of itself.
type about struct {
	role string // "master", "replica"; empty if it does not say
	mode string // "standalone", "cluster", "sentinel"; empty if it does not say
}

// hello asks a server who it is. Servers too old for HELLO are masters on
// their own, as far as one can see.
func hello(ctx context.Context, client rueidis.CommandClient) (a about, err error) {
	m, err := client.Do(ctx, client.B().Arbitrary("HELLO").Build()).ToMessage()
	if err != nil {
		if _, ok := rueidis.IsRedisErr(err); ok && !loading(err) && !denied(err) {
			return about{}, nil
		}
		return a, err
	}
	return readHello(m), nil
}

// readHello reads the answer to HELLO.
func readHello(m rueidis.RedisMessage) (a about) {
	fields, err := m.AsMap()
	if err != nil {
		return a
	}
	role, mode := fields["role"], fields["mode"]
	a.role, _ = role.ToString()
	a.mode, _ = mode.ToString()
	if a.role == "slave" {
		a.role = "replica"
	}
	return a
}
