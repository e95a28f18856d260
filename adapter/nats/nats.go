package nats

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/adapter/internal/jslog"
	"github.com/socketeer-io/socketeer/cluster"
)

// Defaults of [Options].
const (
	DefaultClusterName = "socketeer"
	DefaultClusterAddr = "127.0.0.1:0"
	DefaultMaxMessage  = 8 << 20
)

// connectTimeout is how long a NATS server may take to welcome a connection, now
// and whenever it is made again. Meanwhile whoever sends waits.
const connectTimeout = natsgo.DefaultTimeout

// writeTimeout is how long a NATS server may take nothing of what it is sent.
// Meanwhile whoever sends waits; then the connection is given up.
const writeTimeout = 5 * time.Second

// flushTime bounds how long Close waits for the goodbye to leave.
const flushTime = 2 * time.Second

// Options configure a [Cluster]. The zero value is an embedded node that is
// alone.
type Options struct {
	// Name of this node, which a later node in its place may reuse. Default:
	// a random one.
	Name string
	// URL of existing NATS servers, such as "nats://user:pw@host:4222", several
	// separated by commas. Empty: a server is embedded.
	URL string
	// ClusterName: nodes form a cluster with those of the same name only.
	// Default "socketeer".
	ClusterName string
	// AdvertiseAddr is the node's public address, for clients and operators:
	// Member.Addr on all nodes.
	AdvertiseAddr string
	// Logger also gets what the embedded server logs. Each line has the key "node"
	// with this node's name, and those that are about another node the key "peer".
	// Default: silent.
	Logger *slog.Logger

	// ClusterAddr is where the embedded server listens for peers, host:port.
	// Default "127.0.0.1:0", a free port for peers on this machine only.
	ClusterAddr string
	// ClusterAdvertise is the address at which peers reach ClusterAddr, if it
	// is not the same, host:port.
	ClusterAdvertise string
	// Peers are cluster addresses of other nodes, host:port; one that is live
	// suffices. This node's own address may be among them.
	Peers []string
	// Token is a secret that peers must share. Default: none is asked for.
	Token string
	// TLS secures the connections between nodes, each of which is server and
	// client: set Certificates, RootCAs, ClientCAs and ClientAuth. With a URL
	// it is used to connect there. Default: none.
	TLS *tls.Config
	// MaxMessage bounds a message between nodes, in bytes. Default 8 MiB. It
	// should be the same on all nodes. With a URL the server's limit applies
	// too, which is 1 MiB unless configured otherwise.
	MaxMessage int

	// HeartbeatInterval and HeartbeatTimeout are explained in package cluster.
	// Default 1 s and 5 s.
	HeartbeatInterval, HeartbeatTimeout time.Duration
	// LeaveDelay, ProbeInterval and QueueBytes are explained at Config in
	// package adapter/cluster. Default 5 s, 5 s and 64 MiB.
	LeaveDelay, ProbeInterval time.Duration
	QueueBytes                int
	// Recovery and LogBytes are explained there, too: nodes keep each other's
	// messages, for clients that come back. It must be the same on all nodes.
	// Default off, and 128 MiB.
	Recovery bool
	LogBytes int
	// JetStream has that kept in JetStream instead. LogBytes then bounds what a
	// node remembers of what it has read, and as much again is remembered while
	// clients come back who missed more, until none has for 10 s; who missed more
	// than both together starts over. Default nil: in the nodes' memory.
	JetStream *JetStreamOptions
}

func (o Options) withDefaults() (Options, error) {
	o.ClusterName = cmp.Or(o.ClusterName, DefaultClusterName)
	o.MaxMessage = cmp.Or(o.MaxMessage, DefaultMaxMessage)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.URL != "" && (o.ClusterAddr != "" || len(o.Peers) > 0) {
		return o, errors.New("socketeer: nats options: URL excludes ClusterAddr and Peers")
	}
	o.ClusterAddr = cmp.Or(o.ClusterAddr, DefaultClusterAddr)
	if strings.ContainsAny(o.ClusterName, " \t\r\n") {
		return o, fmt.Errorf("socketeer: cluster name %q contains blanks", o.ClusterName)
	}
	if o.JetStream != nil {
		j := *o.JetStream
		j.Stream = cmp.Or(j.Stream, streamName(o.ClusterName))
		o.JetStream = &j
		if err := j.check(&o); err != nil {
			return o, err
		}
	}
	const most = 64 << 20 // what the server may have pending for one connection
	if o.MaxMessage < 1024 || o.MaxMessage > most {
		return o, fmt.Errorf("socketeer: message limit of %d bytes is not between 1024 and %d", o.MaxMessage, most)
	}
	return o, nil
}

// Cluster is this node's place in the cluster: what a server takes as its
// adapter. All methods may be called concurrently.
type Cluster struct {
	node   *buscluster.Node
	bus    *bus
	server *embedded // nil with a URL

	log     atomic.Pointer[jslog.Log] // nil without JetStream
	logConn *natsgo.Conn              // its connection

	logger  *slog.Logger
	closing sync.Once
}

var (
	_ adapter.Factory = (*Cluster)(nil)
	_ adapter.Node    = (*Cluster)(nil)
	_ adapter.Health  = (*Cluster)(nil)
)

var errClosed = fmt.Errorf("socketeer: nats: %w", net.ErrClosed)

// New starts a node: the embedded server, or the connection to an external
// one, and the announcements. ctx bounds only the start. New does not wait for
// other nodes, since the first one would wait for ever; see
// [Cluster.WaitPeers].
//
// Errors: the options, the cluster address being in use, the external server
// being out of reach.
func New(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	id, err := cluster.NewIdentity(o.Name)
	if err != nil {
		return nil, err
	}
	o.Logger = o.Logger.With("node", id.Name)
	c := &Cluster{logger: o.Logger}
	if o.URL == "" {
		if c.server, err = startServer(ctx, &o, "socketeer-"+id.Incarnation); err != nil {
			return nil, err
		}
		warnOpen(&o)
	}
	if err := c.start(ctx, &o, id); err != nil {
		c.closeLog()
		if c.bus != nil {
			c.bus.close()
		}
		if c.server != nil {
			c.server.stop()
		}
		return nil, err
	}
	return c, nil
}

// warnOpen tells when strangers can join.
func warnOpen(o *Options) {
	host, _, _ := net.SplitHostPort(o.ClusterAddr)
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	if !local && o.Token == "" && o.TLS == nil {
		o.Logger.Warn("the cluster address is open to everybody who can reach it: set a token", "addr", o.ClusterAddr)
	}
}

// start connects and announces.
func (c *Cluster) start(ctx context.Context, o *Options, id cluster.Identity) (err error) {
	url, extra := o.URL, []natsgo.Option(nil)
	if c.server != nil {
		extra = append(extra, natsgo.InProcessServer(c.server), natsgo.UserInfo(clientUser, c.server.password))
	} else {
		extra = append(extra, natsgo.FlusherTimeout(writeTimeout), natsgo.ReconnectOnFlusherError())
		if o.TLS != nil {
			extra = append(extra, natsgo.Secure(o.TLS))
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		limit := max(time.Until(deadline), time.Millisecond)
		if c.server == nil {
			limit = min(limit, connectTimeout)
		}
		extra = append(extra, natsgo.Timeout(limit))
	}
	if c.bus, err = connect(url, o.Logger, "socketeer", id.Incarnation, extra...); err != nil {
		if c.server == nil {
			return fmt.Errorf("socketeer: no connection to nats at %s: %w", redact(url), err)
		}
		return fmt.Errorf("socketeer: embedded nats: %w", err)
	}
	limit := int(c.bus.main.MaxPayload())
	var log buscluster.SharedLog
	if o.JetStream != nil {
		limit -= jslog.Overhead
		if log, err = c.openLog(ctx, o, id.Incarnation, extra); err != nil {
			return err
		}
	}
	c.node, err = buscluster.New(c.bus, buscluster.Config{
		Identity: id, Prefix: "socketeer-" + o.ClusterName, Addr: o.AdvertiseAddr,
		Interval: o.HeartbeatInterval, Timeout: o.HeartbeatTimeout,
		LeaveDelay: o.LeaveDelay, ProbeInterval: o.ProbeInterval,
		MaxMessage: min(o.MaxMessage, limit), QueueBytes: o.QueueBytes,
		Recovery: o.Recovery && log == nil, Log: log, LogBytes: o.LogBytes,
		Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	return c.node.Start()
}

// redact removes what is secret from server URLs.
func redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		if at := strings.LastIndex(u, "@"); at >= 0 {
			scheme, _, found := strings.Cut(u, "://")
			if !found {
				scheme = "nats"
			}
			list[i] = scheme + "://***@" + u[at+1:]
		}
	}
	return strings.Join(list, ",")
}

// Open implements [adapter.Factory].
func (c *Cluster) Open(ctx context.Context, nsp string, local adapter.Local) (adapter.Adapter, error) {
	return c.node.Open(ctx, nsp, local)
}

// Name implements [adapter.Node].
func (c *Cluster) Name() string { return c.node.Name() }

// Tag implements [adapter.Node].
func (c *Cluster) Tag() string { return c.node.Tag() }

// Ready implements [adapter.Health]: nil while the node is connected to NATS
// and hears from it, and its tag is its own.
func (c *Cluster) Ready() error { return c.node.Ready() }

// Members returns the live nodes, this one included, sorted by name.
func (c *Cluster) Members() []cluster.Member { return c.node.Members() }

// Watch calls f for every node that joins, changes, leaves or dies, until stop
// is called. f must not block and must call no method but Members.
func (c *Cluster) Watch(f func(cluster.Event)) (stop func()) { return c.node.Watch(f) }

// SetState tells the cluster what this node is ready for.
func (c *Cluster) SetState(s cluster.State) { c.node.SetState(s) }

// SetAddr tells the cluster this node's public address, in place of
// Options.AdvertiseAddr.
func (c *Cluster) SetAddr(addr string) { c.node.SetAddr(addr) }

// SetCounts sets the function that is asked for this node's load at every
// heartbeat. It must be quick and safe for concurrent use.
func (c *Cluster) SetCounts(f func() cluster.Counts) { c.node.SetCounts(f) }

// WaitPeers returns when at least n other nodes are live, or an error with
// ctx's cause.
func (c *Cluster) WaitPeers(ctx context.Context, n int) error { return c.node.WaitPeers(ctx, n) }

// Stats returns counters since the start.
func (c *Cluster) Stats() buscluster.Stats { return c.node.Stats() }

// ClusterAddr is where the embedded server listens for peers, host:port; empty
// with a URL.
func (c *Cluster) ClusterAddr() string {
	if c.server == nil {
		return ""
	}
	addr := c.server.ClusterAddr()
	if addr == nil {
		return ""
	}
	return addr.String()
}

// Close leaves the cluster: it says goodbye, closes all adapters and stops the
// embedded server. Close the server that uses the adapters first. When ctx
// ends, or has ended before, the rest is cut short: without a goodbye the
// peers notice after their timeout, as after a crash. It is idempotent; all
// calls return when it is done. The error is always nil.
func (c *Cluster) Close(ctx context.Context) error {
	c.closing.Do(func() {
		c.node.Close(ctx)
		if ctx.Err() == nil && c.bus.main.IsConnected() {
			flush, cancel := context.WithTimeout(ctx, flushTime)
			if err := c.bus.main.FlushWithContext(flush); err != nil {
				c.logger.Warn("left the cluster without a goodbye", "err", err)
			}
			cancel()
		}
		c.closeLog()
		c.bus.close()
		if c.server != nil {
			c.server.stop()
		}
	})
	return nil
}
