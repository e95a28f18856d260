package mesh

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/cluster"
)

// Defaults of [Options].
const (
	DefaultClusterName = "socketeer"
	DefaultClusterAddr = "127.0.0.1:0"
	DefaultMaxMessage  = 8 << 20
	DefaultSendBytes   = 64 << 20
	DefaultSilence     = 9 * time.Second
)

const (
	// flushTime bounds how long Close waits for the goodbye to leave.
	flushTime  = 2 * time.Second
	minSilence = 30 * time.Millisecond
	// maxName is the longest name of a cluster, in bytes.
	maxName = 256
)

// Options configure a [Cluster]. The zero value is a node that is alone.
type Options struct {
	// Name of this node, which a later node in its place may reuse. Default:
	// a random one.
	Name string
	// ClusterName: nodes form a cluster with those of the same name only.
	// Default "socketeer".
	ClusterName string
	// AdvertiseAddr is the node's public address, for clients and operators:
	// Member.Addr on all nodes.
	AdvertiseAddr string
	// Logger: each line has the key "node" with this node's name, and those that
	// are about another node the key "peer". Default silent.
	Logger *slog.Logger

	// ClusterAddr is where this node listens for peers, host:port. Default
	// "127.0.0.1:0", a free port for peers on this machine only.
	ClusterAddr string
	// ClusterAdvertise is the address at which peers reach ClusterAddr,
	// host:port. Default: ClusterAddr with the actual port, or nothing if it
	// names no host; peers then cannot tell others of this node.
	ClusterAdvertise string
	// Peers are cluster addresses of other nodes, host:port; one that is live
	// suffices. This node's own address may be among them.
	Peers []string
	// Token is a secret that peers must share. It does not cross the network.
	// Default: none is asked for.
	Token string
	// TLS secures the connections between nodes, each of which is server and
	// client: set Certificates, RootCAs, ClientCAs and ClientAuth. Default:
	// none.
	TLS *tls.Config
	// MaxMessage bounds a message between nodes, in bytes. Default 8 MiB. It
	// should be the same on all nodes.
	MaxMessage int
	// SendBytes bounds what may be queued for one peer, in bytes. Default 64
	// MiB.
	SendBytes int
	// Silence is how long nothing may be heard from a peer before the
	// connection is given up and made anew; a third longer at the most. Nodes
	// that have nothing to say, say so three times in that time. Default 9 s;
	// at least 30 ms; it should be the same on all nodes.
	Silence time.Duration

	// HeartbeatInterval and HeartbeatTimeout are explained in package cluster.
	// Default 1 s and 5 s.
	HeartbeatInterval, HeartbeatTimeout time.Duration
	// LeaveDelay and QueueBytes are explained at Config in package
	// adapter/cluster. Default 5 s and 64 MiB.
	LeaveDelay time.Duration
	QueueBytes int
	// Recovery and LogBytes are explained there, too: nodes keep each other's
	// messages, for clients that come back. It must be the same on all nodes.
	// Default off, and 128 MiB.
	Recovery bool
	LogBytes int
}

func (o Options) withDefaults() (Options, error) {
	o.ClusterName = cmp.Or(o.ClusterName, DefaultClusterName)
	o.ClusterAddr = cmp.Or(o.ClusterAddr, DefaultClusterAddr)
	o.MaxMessage = cmp.Or(o.MaxMessage, DefaultMaxMessage)
	o.SendBytes = cmp.Or(o.SendBytes, DefaultSendBytes)
	o.Silence = cmp.Or(o.Silence, DefaultSilence)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxMessage < 1024 || o.SendBytes < o.MaxMessage {
		return o, fmt.Errorf("socketeer: mesh limits: message %d bytes, queue %d bytes", o.MaxMessage, o.SendBytes)
	}
	if o.Silence < minSilence {
		return o, fmt.Errorf("socketeer: a mesh that gives up after %v of silence", o.Silence)
	}
	if len(o.ClusterName) > maxName {
		return o, fmt.Errorf("socketeer: cluster name of %d bytes", len(o.ClusterName))
	}
	for _, addr := range append([]string{o.ClusterAddr}, o.Peers...) {
		if _, _, err := net.SplitHostPort(addr); err != nil || len(addr) > maxAddr {
			return o, fmt.Errorf("socketeer: cluster address %q is not host:port", addr)
		}
	}
	return o, nil
}

// Cluster is this node's place in the cluster: what a server takes as its
// adapter. All methods may be called concurrently.
type Cluster struct {
	*buscluster.Node
	bus   *bus
	peers *peers

	closing sync.Once
}

var (
	_ adapter.Factory = (*Cluster)(nil)
	_ adapter.Node    = (*Cluster)(nil)
	_ adapter.Health  = (*Cluster)(nil)
)

// New starts a node. ctx bounds only the start. New does not wait for other
// nodes, since the first one would wait for ever; see WaitPeers.
//
// Errors: the options, the cluster address being in use.
func New(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	id, err := cluster.NewIdentity(o.Name)
	if err != nil {
		return nil, err
	}
	log := o.Logger.With("node", id.Name)
	b := newBus(log, o.SendBytes, o.MaxMessage)
	node, err := buscluster.New(b, buscluster.Config{
		Identity: id, Prefix: "socketeer", Addr: o.AdvertiseAddr,
		Interval: o.HeartbeatInterval, Timeout: o.HeartbeatTimeout, LeaveDelay: o.LeaveDelay,
		MaxMessage: o.MaxMessage, QueueBytes: o.QueueBytes,
		Recovery: o.Recovery, LogBytes: o.LogBytes, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.ClusterAddr)
	if err != nil {
		return nil, fmt.Errorf("socketeer: cluster address %s: %w", o.ClusterAddr, err)
	}
	if err := node.Start(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	warnOpen(&o)
	self := hello{cluster: o.ClusterName, incarnation: id.Incarnation, addr: advertised(&o, l.Addr())}
	c := &Cluster{Node: node, bus: b, peers: newPeers(&o, log, b, self, l)}
	c.peers.start(o.Peers)
	return c, nil
}

// advertised is the address that others are told.
func advertised(o *Options, actual net.Addr) string {
	if o.ClusterAdvertise != "" {
		return o.ClusterAdvertise
	}
	host, _, _ := net.SplitHostPort(o.ClusterAddr)
	_, port, err := net.SplitHostPort(actual.String())
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		return ""
	}
	return net.JoinHostPort(host, port)
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

// ClusterAddr is where this node listens for peers, host:port.
func (c *Cluster) ClusterAddr() string { return c.peers.listener.Addr().String() }

// Close leaves the cluster: it says goodbye, closes all adapters and ends the
// links. Close the server that uses the adapters first. When ctx ends, or has
// ended before, the rest is cut short: without a goodbye the peers notice
// after their timeout, as after a crash. It is idempotent; all calls return
// when it is done. The error is always nil.
func (c *Cluster) Close(ctx context.Context) error {
	c.closing.Do(func() {
		_ = c.Node.Close(ctx) // it is always nil
		flush, cancel := context.WithTimeout(ctx, flushTime)
		c.bus.drain(flush)
		cancel()
		c.peers.stop()
	})
	return nil
}
