package emitter

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Mode is a wire: the adapter that the nodes use.
type Mode uint8

// The modes.
const (
	// Classic is createAdapter of @socket.io/redis-adapter, and redis.Classic of
	// adapter/redis: PUBLISH.
	Classic Mode = iota
	// Sharded is createShardedAdapter, and redis.Sharded: SPUBLISH, with Redis 7
	// or later.
	Sharded
	// Streams is createAdapter of @socket.io/redis-streams-adapter 0.3, and
	// adapter/redisstream: XADD.
	Streams
)

// String returns the mode's name.
func (m Mode) String() string {
	switch m {
	case Classic:
		return "classic"
	case Sharded:
		return "sharded"
	case Streams:
		return "streams"
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// Subscription says which rooms have a channel of their own in the mode
// Sharded: the nodes' subscriptionMode.
type Subscription uint8

// The subscription modes.
const (
	Dynamic        Subscription = iota // rooms, but not the rooms of single sockets; the default of Node.js
	Static                             // none
	DynamicPrivate                     // rooms and single sockets
)

// String returns the subscription mode's name in Node.js.
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
	DefaultPrefix         = "socket.io"
	DefaultStreamCount    = 1
	DefaultMaxLen         = 10_000
	DefaultPublishTimeout = 5 * time.Second
	DefaultBacklogBytes   = 64 << 20
)

// maxStreams bounds Options.StreamCount, as the nodes do.
const maxStreams = 1024

// Options configure an [Emitter]. Only URLs is required. Mode, Prefix and what
// belongs to the mode must be those of the nodes: nobody notices if they are
// not, except that nothing arrives.
type Options struct {
	// URLs of Redis: one, or several nodes of a Redis Cluster.
	//
	//	redis://user:password@host:6379/0      rediss:// for TLS
	//	unix://user:password@/run/redis.sock?db=0
	//	redis-sentinel://user:password@host1:26379,host2:26379/mymaster?db=0
	URLs []string
	// TLS configures rediss:// connections. Default: the system's certificate
	// authorities.
	TLS *tls.Config
	// Logger gets outages and recoveries, and that Redis refuses messages, once
	// each. Default: silent.
	Logger *slog.Logger

	// Mode is the nodes' wire. Default Classic.
	Mode Mode
	// Prefix begins the names of channels: key of createAdapter, channelPrefix
	// of createShardedAdapter. With Streams it is the name of the stream:
	// streamName. Default "socket.io".
	Prefix string
	// Subscription is used with Sharded. Default Dynamic.
	Subscription Subscription
	// StreamCount is over how many streams the nodes spread namespaces, 1 to
	// 1024. With more than one, Node.js nodes do not read those of about half of
	// all namespaces: see redisstream.Options. Used with Streams. Default 1.
	StreamCount int
	// MaxLen is how many entries a stream keeps, about; the oldest go. Used
	// with Streams, where it should be that of the nodes. Default 10,000;
	// negative: no bound.
	MaxLen int
	// Parser encodes events, where the nodes of Node.js were given a parser
	// with which to decode them. Used with Classic, whose other messages are
	// always JSON. It gets what Node.js gives it, []any{"emitter", packet,
	// options}, made of maps, slices, strings, float64, bool, nil and, for
	// binary, []byte; so [encoding/json.Marshal] can be one. It may be called
	// concurrently. Our nodes do not understand it. Default: MessagePack.
	Parser func(message any) ([]byte, error)

	// PublishTimeout is how long a message may wait for Redis, until it is
	// dropped. While Redis is away for longer, messages are refused at once.
	// Default 5 s.
	PublishTimeout time.Duration
	// BacklogBytes bounds what waits to be sent, for each master of a Redis
	// Cluster. What exceeds it is refused. Default 64 MiB.
	BacklogBytes int
}

func (o Options) withDefaults() (Options, error) {
	o.Prefix = cmp.Or(o.Prefix, DefaultPrefix)
	o.StreamCount = cmp.Or(o.StreamCount, DefaultStreamCount)
	o.MaxLen = cmp.Or(o.MaxLen, DefaultMaxLen)
	o.PublishTimeout = cmp.Or(o.PublishTimeout, DefaultPublishTimeout)
	o.BacklogBytes = cmp.Or(o.BacklogBytes, DefaultBacklogBytes)
	switch {
	case len(o.URLs) == 0:
		return o, errors.New("socketeer: emitter options: no URL of Redis is given")
	case o.Mode > Streams || o.Subscription > DynamicPrivate:
		return o, fmt.Errorf("socketeer: emitter options: %s, %s", o.Mode, o.Subscription)
	case o.Mode != Sharded && o.Subscription != Dynamic:
		return o, fmt.Errorf("socketeer: emitter options: subscription mode %s needs the mode sharded", o.Subscription)
	case o.Mode != Streams && (o.StreamCount != DefaultStreamCount || o.MaxLen != DefaultMaxLen):
		return o, fmt.Errorf("socketeer: emitter options: StreamCount and MaxLen need the mode streams, it is %s", o.Mode)
	case o.Mode != Classic && o.Parser != nil:
		return o, fmt.Errorf("socketeer: emitter options: Parser needs the mode classic, it is %s", o.Mode)
	case o.StreamCount < 1 || o.StreamCount > maxStreams:
		return o, fmt.Errorf("socketeer: emitter options: %d streams are not 1 to %d", o.StreamCount, maxStreams)
	case o.PublishTimeout < time.Millisecond:
		return o, fmt.Errorf("socketeer: emitter options: a timeout of %v", o.PublishTimeout)
	case o.BacklogBytes < 1<<16:
		return o, fmt.Errorf("socketeer: emitter options: a backlog of %d bytes", o.BacklogBytes)
	}
	return o, nil
}
