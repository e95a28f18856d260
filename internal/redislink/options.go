package redislink

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Defaults of [Options].
const (
	DefaultPrefix         = "socket.io"
	DefaultQueueBytes     = 64 << 20
	DefaultBacklogBytes   = 64 << 20
	DefaultProbeInterval  = 5 * time.Second
	DefaultDialTimeout    = 3 * time.Second
	DefaultPublishTimeout = 2 * time.Second
	DefaultGather         = 2 * time.Millisecond
)

// Options of a link. Only URLs is required.
type Options struct {
	// URLs of Redis: one, or several nodes of a Redis Cluster.
	//
	//	redis://user:password@host:6379/0      rediss:// for TLS
	//	unix://user:password@/run/redis.sock?db=0
	//	redis-sentinel://user:password@host1:26379,host2:26379/mymaster?db=0
	//
	// The last one may name sentinel_user and sentinel_password in its query,
	// and is rediss-sentinel:// when both sentinels and servers speak TLS. A
	// host may be a list separated by commas everywhere.
	URLs []string
	// TLS configures connections of rediss:// URLs. With it set, redis:// URLs
	// speak TLS too. The server's name is the host connected to, unless set.
	// Default: the system's certificate authorities.
	TLS *tls.Config
	// Prefix begins the name of the channel that probes use. Default
	// "socket.io".
	Prefix string
	// ClientName is what CLIENT LIST shows. Default "socketeer".
	ClientName string
	// Logger gets outages and recoveries, once each. Default: silent.
	Logger *slog.Logger

	// PublishOnly makes a link without subscriptions, whose user needs no rights
	// to any channel but those that are published to. It is not probed; its
	// server is asked for its role every ProbeInterval all the same.
	PublishOnly bool
	// Receive gets every message, one at a time, in the order of arrival. It
	// may take its time; see QueueBytes. Default: messages are dropped.
	Receive func(Message)
	// OnResubscribed is called, on a goroutine of the link that waits for it,
	// when subscriptions are back after an outage: messages published meanwhile
	// are lost. It must not call Subscribe and its kin. Default: nobody is told.
	OnResubscribed func(Outage)

	// QueueBytes bounds what has been received and not been taken by Receive.
	// What exceeds it is dropped and counted. Default 64 MiB.
	QueueBytes int
	// BacklogBytes bounds what waits to be sent, for each connection that
	// publishes. What exceeds it is refused and counted. Default 64 MiB.
	BacklogBytes int
	// ProbeInterval is how long a silence may last before the link checks
	// whether it hears itself, within 10 %. An outage that no error announces
	// is noticed after two to three of them. Default 5 s.
	ProbeInterval time.Duration
	// DialTimeout bounds the making of a connection, with TLS and
	// authentication. Default 3 s.
	DialTimeout time.Duration
	// PublishTimeout bounds how long a publish may take, queueing included,
	// until it counts as lost. Default 2 s.
	PublishTimeout time.Duration
	// Gather is how long a message waits for others to travel with, where they
	// come more often than twice in that time. Default 2 ms; negative: it does
	// not wait.
	Gather time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if len(o.URLs) == 0 {
		return o, errors.New("socketeer: redis: no URL is given")
	}
	o.Prefix = cmp.Or(o.Prefix, DefaultPrefix)
	o.ClientName = cmp.Or(o.ClientName, "socketeer")
	o.QueueBytes = cmp.Or(o.QueueBytes, DefaultQueueBytes)
	o.BacklogBytes = cmp.Or(o.BacklogBytes, DefaultBacklogBytes)
	o.ProbeInterval = cmp.Or(o.ProbeInterval, DefaultProbeInterval)
	o.DialTimeout = cmp.Or(o.DialTimeout, DefaultDialTimeout)
	o.PublishTimeout = cmp.Or(o.PublishTimeout, DefaultPublishTimeout)
	o.Gather = cmp.Or(o.Gather, DefaultGather)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Receive == nil {
		o.Receive = func(Message) {}
	}
	if o.OnResubscribed == nil {
		o.OnResubscribed = func(Outage) {}
	}
	if o.QueueBytes < 0 || o.BacklogBytes < 0 {
		return o, errors.New("socketeer: redis: negative queue bytes")
	}
	for _, d := range []time.Duration{o.ProbeInterval, o.DialTimeout, o.PublishTimeout} {
		if d < time.Millisecond {
			return o, fmt.Errorf("socketeer: redis: an interval of %v is too short", d)
		}
	}
	return o, nil
}

// Kind says how a message was subscribed to.
type Kind uint8

// The kinds of subscriptions.
const (
	Channel Kind = iota // Subscribe
	Pattern             // PSubscribe
	Shard               // SSubscribe
	kinds
)

// Message is one that was received.
type Message struct {
	Kind Kind
	// Pattern is the one that matched; empty for other kinds.
	Pattern string
	Channel string
	// Data must not be modified. It belongs to the receiver, who may keep it.
	Data []byte
}

// Outage is a time in which subscriptions were not there.
type Outage struct {
	// Shard: they were shard channels, those of one master.
	Shard bool
	// Start is the last sign of life before, so that what is missing was
	// published between Start and End.
	Start, End time.Time
	// Names is how many subscriptions were made again.
	Names int
}
