package jslog

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Overhead is how much smaller a message has to be than Config.MaxPayload, in
// bytes: for the headers and what is around it in a batch.
const Overhead = 1 << 10

// Defaults of [Config].
const (
	DefaultMaxBytes       = 256 << 20
	DefaultRetain         = 2 * time.Minute
	DefaultGrace          = time.Minute // as long as it may take until a broken connection is known to be
	DefaultKeepTimeout    = time.Second
	DefaultPublishTimeout = 30 * time.Second
	DefaultHistoryBytes   = 128 << 20
	DefaultBacklogBytes   = 64 << 20
)

// Config is what a [Log] is made of. JS, Self, Stream and MaxPayload are
// required; zero values of the others mean the defaults.
type Config struct {
	JS     jetstream.JetStream
	Self   string // this node's incarnation
	Stream string // the streams are called this and -log and -sessions
	// MaxPayload is the largest message that the server takes, headers included,
	// in bytes. What is kept is smaller by Overhead.
	MaxPayload int
	// Starting says that JetStream may not be enabled yet.
	Starting bool

	// Replicas, Storage and MaxBytes are of streams that are made. Default: three
	// on servers that are a cluster and one on others, files, 256 MiB each.
	Replicas int
	Storage  jetstream.StorageType
	MaxBytes int64
	// Retain is for how long messages are kept until the method of this name is
	// called. Default 2 min.
	Retain time.Duration
	// Grace is how much longer than Retain says messages are kept. Default 1 min.
	Grace time.Duration
	// KeepTimeout is how long a message may take to be kept. Default 1 s.
	KeepTimeout time.Duration
	// PublishTimeout is how long a message may wait for JetStream. Default 30 s.
	PublishTimeout time.Duration
	// HistoryBytes bounds what is remembered of what was read. Default 128 MiB.
	HistoryBytes int
	// BacklogBytes bounds what waits for JetStream, and as much again what waits
	// for the stream. When there is more, what has waited for longer than
	// KeepTimeout does not reach the other nodes any more; if that does not help,
	// what is new is refused. Default 64 MiB.
	BacklogBytes int
	Logger       *slog.Logger // default silent
}

func (c Config) withDefaults() (Config, error) {
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.Retain = cmp.Or(c.Retain, DefaultRetain)
	c.Grace = cmp.Or(c.Grace, DefaultGrace)
	c.KeepTimeout = cmp.Or(c.KeepTimeout, DefaultKeepTimeout)
	c.PublishTimeout = cmp.Or(c.PublishTimeout, DefaultPublishTimeout)
	c.HistoryBytes = cmp.Or(c.HistoryBytes, DefaultHistoryBytes)
	c.BacklogBytes = cmp.Or(c.BacklogBytes, DefaultBacklogBytes)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(c.Self) != incarnationLen:
		return c, errors.New("socketeer: jetstream log: no incarnation")
	case c.Replicas < 0 || c.Replicas > 5:
		return c, fmt.Errorf("socketeer: jetstream: %d replicas are not 1 to 5", c.Replicas)
	case c.MaxBytes < 64<<10:
		return c, fmt.Errorf("socketeer: jetstream: a stream of %d bytes is too small", c.MaxBytes)
	case c.KeepTimeout < time.Millisecond || c.PublishTimeout < c.KeepTimeout:
		return c, fmt.Errorf("socketeer: jetstream: to keep a message within %v is not possible", c.KeepTimeout)
	case c.MaxPayload < 2*Overhead:
		return c, fmt.Errorf("socketeer: jetstream: messages of %d bytes are too small", c.MaxPayload)
	}
	return c, nil
}
