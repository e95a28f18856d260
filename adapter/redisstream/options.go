package redisstream

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Defaults of [Options]. Those that Node.js has too are the same.
const (
	DefaultStreamName       = "socket.io"
	DefaultChannelPrefix    = "socket.io"
	DefaultSessionKeyPrefix = "sio:session:"
	DefaultMaxLen           = 10_000
	DefaultReadCount        = 100
	DefaultBlockTime        = 5 * time.Second
	DefaultKeepTimeout      = time.Second
	DefaultPublishTimeout   = 30 * time.Second
	DefaultHistoryBytes     = 16 << 20
	DefaultBacklogBytes     = 64 << 20
)

// Options configure a [Cluster]. Only URLs is required; zero values of the
// others mean the defaults, which are those of the adapter for Node.js where it
// has the option.
type Options struct {
	// URLs of Redis: one, or several nodes of a Redis Cluster.
	//
	//	redis://user:password@host:6379/0      rediss:// for TLS
	//	unix://user:password@/run/redis.sock?db=0
	//	redis-sentinel://user:password@host1:26379,host2:26379/mymaster?db=0
	URLs []string
	// TLS of connections. Default: the system's certificate authorities, for
	// rediss://.
	TLS *tls.Config
	// Name of this node, which a later node in its place may reuse. Default: a
	// random one.
	Name string
	// AdvertiseAddr is the node's public address, for clients and operators:
	// Member.Addr on all nodes.
	AdvertiseAddr string
	// Logger: each line has the key "node" with this node's name, and those that
	// are about another node the key "peer". Default silent.
	Logger *slog.Logger

	// StreamName is the key of the stream. Default "socket.io".
	StreamName string
	// StreamCount spreads namespaces over this many streams, "socket.io-0" and
	// so on, as Node.js does it. About half of all namespaces get a name like
	// "socket.io--3" there, which Node.js nodes write and do not read: these
	// hear Go nodes in such a namespace as little as each other. Default 1.
	StreamCount int
	// MaxLen is how many entries a stream keeps, about; the oldest go. It is
	// what bounds how long clients may be away, all namespaces and rooms
	// together. It should be the same on all nodes. Default 10,000; negative:
	// no bound.
	MaxLen int
	// ReadCount is how many entries are read at once. Default 100.
	ReadCount int
	// BlockTime is how long a read waits in Redis for something new. Default
	// 5 s.
	BlockTime time.Duration
	// ChannelPrefix begins the names of the channels for requests and answers.
	// Default "socket.io".
	ChannelPrefix string
	// UseShardedPubSub has them use sharded channels, of Redis 7. It must be
	// the same on all nodes.
	UseShardedPubSub bool
	// SessionKeyPrefix begins the keys of sessions. Default "sio:session:".
	SessionKeyPrefix string

	// KeepTimeout is how long a message may wait for its place in the stream.
	// It is delivered on this node then, and nobody recovers across it. Default
	// 1 s.
	KeepTimeout time.Duration
	// PublishTimeout is how long a message to other nodes may wait while Redis
	// is away, until it is dropped: shorter outages lose nothing. Questions,
	// which do not go through the stream, wait for at most 2 s. Default 30 s.
	PublishTimeout time.Duration
	// HistoryBytes bounds what each namespace keeps in memory of what was read,
	// for clients that come back. Others need Redis. Default 16 MiB.
	HistoryBytes int
	// BacklogBytes bounds what waits for Redis. When there is more, what has
	// waited for longer than KeepTimeout does not reach the other nodes any more;
	// if that does not help, what is new is refused. Default 64 MiB.
	BacklogBytes int
	// ProbeInterval is how long a silence of the channels may last before the
	// node checks whether it hears itself. Default 5 s.
	ProbeInterval time.Duration
	// HeartbeatInterval and HeartbeatTimeout, between Go nodes, are explained in
	// package cluster. Default 1 s and 5 s.
	HeartbeatInterval, HeartbeatTimeout time.Duration
}

func (o Options) withDefaults() (Options, error) {
	o.StreamName = cmp.Or(o.StreamName, DefaultStreamName)
	o.StreamCount = cmp.Or(o.StreamCount, 1)
	o.MaxLen = cmp.Or(o.MaxLen, DefaultMaxLen)
	o.ReadCount = cmp.Or(o.ReadCount, DefaultReadCount)
	o.BlockTime = cmp.Or(o.BlockTime, DefaultBlockTime)
	o.ChannelPrefix = cmp.Or(o.ChannelPrefix, DefaultChannelPrefix)
	o.SessionKeyPrefix = cmp.Or(o.SessionKeyPrefix, DefaultSessionKeyPrefix)
	o.KeepTimeout = cmp.Or(o.KeepTimeout, DefaultKeepTimeout)
	o.PublishTimeout = cmp.Or(o.PublishTimeout, DefaultPublishTimeout)
	o.HistoryBytes = cmp.Or(o.HistoryBytes, DefaultHistoryBytes)
	o.BacklogBytes = cmp.Or(o.BacklogBytes, DefaultBacklogBytes)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(o.URLs) == 0:
		return o, errors.New("socketeer: redis streams options: no URL")
	case strings.ContainsAny(o.StreamName, "{}") && !tagged(o.StreamName):
		return o, fmt.Errorf("socketeer: redis streams options: the stream name %q has braces that are no hash tag", o.StreamName)
	case o.StreamCount < 1 || o.StreamCount > 1024:
		return o, fmt.Errorf("socketeer: redis streams options: %d streams are not 1 to 1024", o.StreamCount)
	case o.ReadCount < 1 || o.ReadCount > 10_000:
		return o, fmt.Errorf("socketeer: redis streams options: %d entries at once are not 1 to 10000", o.ReadCount)
	case o.BlockTime < time.Millisecond || o.KeepTimeout < time.Millisecond || o.PublishTimeout < 10*time.Millisecond:
		return o, errors.New("socketeer: redis streams options: a time is too short")
	case min(o.HistoryBytes, o.BacklogBytes) < 0:
		return o, errors.New("socketeer: redis streams options: a bound is negative")
	}
	return o, nil
}
