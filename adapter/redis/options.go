package redis

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Mode is a wire: how messages travel between nodes.
type Mode uint8

// The wires.
const (
	// Classic is createAdapter of @socket.io/redis-adapter: PUBLISH.
	Classic Mode = iota
	// Sharded is createShardedAdapter: SPUBLISH, with Redis 7 or later.
	Sharded
)

// String returns the wire's name.
func (m Mode) String() string {
	switch m {
	case Classic:
		return "classic"
	case Sharded:
		return "sharded"
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// Subscription says which rooms have a channel of their own on the sharded
// wire: the subscriptionMode of Node.js.
type Subscription uint8

// The subscription modes.
const (
	Dynamic        Subscription = iota // rooms, but not the rooms of single sockets; the default of Node.js
	Static                             // none: every node receives everything
	DynamicPrivate                     // rooms and single sockets
)

// String returns the mode's name in Node.js.
func (s Subscription) String() string {
	switch s {
	case Dynamic:
		return "dynamic"
	case Static:
		return "static"
	case DynamicPrivate:
		return "dynamic-private"
	}
	return fmt.Sprintf("subscription(%d)", uint8(s))
}

// Defaults of [Options].
const (
	DefaultPrefix     = "socket.io"
	DefaultLeaveDelay = 5 * time.Second
	DefaultQueueBytes = 64 << 20
)

// Options configure a [Cluster]. Only URLs is required.
type Options struct {
	// URLs of Redis: one, or several nodes of a Redis Cluster.
	//
	//	redis://user:password@host:6379/0      rediss:// for TLS
	//	unix://user:password@/run/redis.sock?db=0
	//	redis-sentinel://user:password@host1:26379,host2:26379/mymaster?db=0
	URLs []string
	// TLS configures rediss:// connections. Default: the system's authorities.
	TLS *tls.Config
	// Mode is the wire. Default Classic.
	Mode Mode
	// Subscription is used with Sharded. Default Dynamic.
	Subscription Subscription
	// Prefix begins the names of all channels: the key of createAdapter, the
	// channelPrefix of createShardedAdapter. Default "socket.io".
	Prefix string

	// Name of this node, which a later node in its place may reuse. Default:
	// a random one.
	Name string
	// AdvertiseAddr is the node's public address, for clients and operators:
	// Member.Addr on all Go nodes.
	AdvertiseAddr string
	// Logger: each line has the key "node" with this node's name, and those that
	// are about another node the key "peer". Default silent.
	Logger *slog.Logger

	// HeartbeatInterval and HeartbeatTimeout, of Go nodes, are explained in
	// package cluster. Default 1 s and 5 s.
	HeartbeatInterval, HeartbeatTimeout time.Duration
	// LeaveDelay is how long a room's messages still come after its last
	// member left. Default 5 s.
	LeaveDelay time.Duration
	// ProbeInterval is the silence after which the node checks whether it hears
	// itself through Redis; when it twice does not, it is not ready and
	// connects anew. Each is up to a tenth shorter or longer. Default 5 s.
	ProbeInterval time.Duration
	// QueueBytes bounds each of: what waits to be sent, what has been received
	// and not looked at, what waits for slow namespaces, and what waits for the
	// caller of one request. What exceeds it is dropped and counted. Default
	// 64 MiB.
	QueueBytes int
	// Gather is how long a message to other nodes waits for others to travel
	// with, where this node sends more than two in that time. It saves a third
	// of the processor time of small messages. Default 2 ms; negative: it does
	// not wait.
	Gather time.Duration
}

func (o Options) withDefaults() (Options, error) {
	o.Prefix = cmp.Or(o.Prefix, DefaultPrefix)
	o.LeaveDelay = cmp.Or(o.LeaveDelay, DefaultLeaveDelay)
	o.QueueBytes = cmp.Or(o.QueueBytes, DefaultQueueBytes)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Mode > Sharded || o.Subscription > DynamicPrivate:
		return o, fmt.Errorf("socketeer: redis options: %s, %s", o.Mode, o.Subscription)
	case o.Mode == Classic && o.Subscription != Dynamic:
		return o, fmt.Errorf("socketeer: redis options: subscription mode %s needs the sharded wire", o.Subscription)
	case min(o.LeaveDelay, o.ProbeInterval, o.HeartbeatInterval, o.HeartbeatTimeout) < 0:
		return o, errors.New("socketeer: redis options: a negative duration")
	case o.QueueBytes < 1<<16:
		return o, fmt.Errorf("socketeer: redis options: queues of %d bytes", o.QueueBytes)
	}
	return o, nil
}
