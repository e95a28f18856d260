package queue

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/redislink"
)

// Defaults of [Options].
const (
	DefaultPrefix     = "socketeer"
	DefaultMaxLen     = 100_000
	DefaultMaxDead    = 10_000
	DefaultMaxPayload = 1 << 20
)

// answerTime bounds how long Redis may take to answer a command that does not
// wait for anything, on a connection by URL.
const answerTime = 10 * time.Second

// maxName bounds the names of queues, groups and events, in bytes.
const maxName = 128

var (
	// ErrFull says that a queue holds Options.MaxLen jobs, and took no more.
	ErrFull = errors.New("socketeer: queue is full")
	// ErrTooLarge says that a job is larger than Options.MaxPayload.
	ErrTooLarge = errors.New("socketeer: job is too large for its queue")
	// ErrLost is the cause with which a handler's context ends when its job has
	// been taken over by another worker, or deleted.
	ErrLost = errors.New("socketeer: job is not this worker's any more")
)

// Options configure a [Queue]. Either Client or URL is required.
type Options struct {
	// Client is a connection to Redis that the application has, and closes.
	Client rueidis.Client
	// URL of Redis.
	//
	//	redis://user:password@host:6379/0      rediss:// for TLS
	//	redis://host1:6379,host2:6379          nodes of a Redis Cluster
	//	unix://user:password@/run/redis.sock?db=0
	//	redis-sentinel://user:password@host1:26379,host2:26379/mymaster?db=0
	URL string
	// TLS configures rediss:// connections by URL. Default: the system's
	// certificate authorities.
	TLS *tls.Config
	// Prefix of the keys. Default "socketeer".
	Prefix string
	// MaxLen is how many jobs a queue holds at most, those being handled
	// included. What is done does not count. Publish refuses more. Default
	// 100,000; negative: no bound.
	MaxLen int
	// MaxDead is how many dead letters a queue keeps, about: the oldest go.
	// Default 10,000; negative: no bound.
	MaxDead int
	// MaxPayload bounds a job's arguments and attachments together, in bytes.
	// Default 1 MiB.
	MaxPayload int
	// Logger: default silent.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	o.Prefix = cmp.Or(o.Prefix, DefaultPrefix)
	o.MaxLen = cmp.Or(o.MaxLen, DefaultMaxLen)
	o.MaxDead = cmp.Or(o.MaxDead, DefaultMaxDead)
	o.MaxPayload = cmp.Or(o.MaxPayload, DefaultMaxPayload)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case (o.Client == nil) == (o.URL == ""):
		return o, errors.New("socketeer: queue options: either Client or URL is required")
	case o.MaxPayload < 0:
		return o, fmt.Errorf("socketeer: queue options: payload of %d bytes", o.MaxPayload)
	case strings.ContainsAny(o.Prefix, "{}"):
		return o, fmt.Errorf("socketeer: queue options: prefix %q contains braces", o.Prefix)
	}
	return o, nil
}

// Queue publishes to the work queues of one Redis, and handles their jobs. All
// methods may be called concurrently.
type Queue struct {
	o     Options
	log   *slog.Logger
	redis rueidis.Client
	own   bool // redis is to be closed
	count counters

	closing sync.Once

	sweeping chan struct{}        // capacity 1: who has put something in owns swept
	swept    map[string]time.Time // when a full queue was found to be full of work
}

// New connects to Redis, or takes over the application's connection. The ctx
// bounds a connection made by URL. Errors: the options, and in one line what to
// check when Redis cannot be reached or does not let us in.
func New(ctx context.Context, o Options) (*Queue, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	q := &Queue{o: o, log: o.Logger, redis: o.Client, sweeping: make(chan struct{}, 1), swept: make(map[string]time.Time)}
	if q.redis == nil {
		if q.redis, err = dial(ctx, &o); err != nil {
			return nil, err
		}
		q.own = true
	}
	return q, nil
}

func dial(ctx context.Context, o *Options) (rueidis.Client, error) {
	c, err := redislink.Dial(ctx, redislink.Options{
		URLs: []string{o.URL}, TLS: o.TLS, ClientName: "socketeer-queue", PublishTimeout: answerTime,
	})
	if err != nil {
		return nil, fmt.Errorf("socketeer: queue: %w", err)
	}
	return c, nil
}

// Close closes the connection, if New made it. End the calls of Consume
// first. It is idempotent.
func (q *Queue) Close() {
	q.closing.Do(func() {
		if q.own {
			q.redis.Close()
		}
	})
}

// key returns the stream of a queue.
func (q *Queue) key(name string) string { return q.o.Prefix + ":queue:{" + name + "}" }

// deadKey returns the stream of a queue's dead letters.
func (q *Queue) deadKey(name string) string { return q.key(name) + ":dead" }

// checkName refuses names that keys or commands cannot hold.
func checkName(what, name string) error {
	if name == "" || len(name) > maxName || strings.ContainsAny(name, "{}\x00\r\n") {
		return fmt.Errorf("socketeer: %s %.40q is not 1 to %d bytes without braces and line ends", what, name, maxName)
	}
	return nil
}
