package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/adapter/internal/jslog"
)

// DefaultStreamBytes bounds a stream; see [JetStreamOptions].MaxBytes.
const DefaultStreamBytes = jslog.DefaultMaxBytes

// Storage says where JetStream keeps a stream.
type Storage = jetstream.StorageType

// Where JetStream keeps a stream.
const (
	File   = jetstream.FileStorage
	Memory = jetstream.MemoryStorage
)

// JetStreamStats are counters of what is kept in JetStream, uint64 each: Written,
// Batches and Attempts (what this node gave to be kept), Read, Kept, Unkept (own
// messages without an offset, from which nobody can recover), Repeated, Gaps,
// Lost (messages known to be missing), Resumed, Replaced (connections), Ends, Scans, Replayed, Taken
// (sessions), Overtaken, Unfenced, Malformed; and Drops, messages that other
// nodes do not get: Backlog, Late, Unsure, Held.
type JetStreamStats = jslog.Stats

// JetStreamOptions have what recovery needs kept in JetStream, in place of the
// memory of the nodes: it then survives the end of all nodes. All nodes of a
// cluster must have them. With Options.URL the NATS servers there must have
// JetStream; without, the embedded servers get it, which takes StoreDir, a Name
// that stays the same, and three nodes or more. Zero values mean the defaults.
//
// Two streams are made, one for messages and one for sessions. Streams that are
// there are used as they are; only MaxAge is raised if it is less than recovery
// needs, which is how long clients may be away and a minute.
type JetStreamOptions struct {
	// Stream begins the names of the streams, which end in -log and -sessions,
	// and of their subjects. Default "socketeer-" and the ClusterName.
	Stream string
	// Replicas is on how many servers a stream is kept, 1 to 5. With three, one
	// server may die. Default 3, on a single server 1.
	Replicas int
	// Storage of the streams. Default File. In Memory they survive the end of
	// the nodes, and of a server if there are replicas.
	Storage Storage
	// MaxBytes bounds each of the streams; the oldest goes when it is full, and
	// clients cannot come back to what has gone. Default 256 MiB.
	MaxBytes int64
	// Domain of JetStream, as in its configuration. Default none.
	Domain string
	// KeepTimeout is how long an event may wait to be kept. Then it is delivered
	// to this node's clients all the same, and nobody recovers across it. When
	// the server that leads a stream dies, its cluster needs about 5 s, up to
	// 10 s, to agree on another: with more than that, events are late meanwhile
	// and everybody recovers; with less they are on time, and clients that lose
	// their connection meanwhile start over. Default 1 s, and 15 s between
	// embedded servers, of which one dies with each node; at most 30 s.
	KeepTimeout time.Duration

	// StoreDir is where an embedded server keeps its part, a directory of this
	// node alone. Only without Options.URL, and required there.
	StoreDir string
}

// How long JetStream may take until it can be used: embedded servers wait for
// each other, and then agree on a leader.
const (
	externalStart = 20 * time.Second
	embeddedStart = 90 * time.Second
)

// What KeepTimeout is between embedded servers, and what it may be.
const (
	embeddedKeepTimeout = 15 * time.Second
	maxKeepTimeout      = 30 * time.Second
)

// minJetStreamNodes is how many servers JetStream needs so that one may die.
const minJetStreamNodes = 3

// check finds what cannot work.
func (j *JetStreamOptions) check(o *Options) error {
	switch {
	case j == nil:
		return nil
	case !o.Recovery:
		return errors.New("socketeer: nats options: JetStream is for Recovery, which is off")
	case j.Stream == "" || strings.ContainsFunc(j.Stream, func(r rune) bool { return r <= ' ' || strings.ContainsRune(".*>/\\", r) }):
		return fmt.Errorf("socketeer: nats options: %q cannot begin the name of a stream", j.Stream)
	case j.KeepTimeout < 0 || j.KeepTimeout > maxKeepTimeout:
		return fmt.Errorf("socketeer: nats options: KeepTimeout of %v is not up to %v", j.KeepTimeout, maxKeepTimeout)
	case j.Storage != File && j.Storage != Memory:
		return fmt.Errorf("socketeer: nats options: storage %v is neither File nor Memory", j.Storage)
	case o.URL != "" && j.StoreDir != "":
		return errors.New("socketeer: nats options: StoreDir is for embedded servers, and URL names others")
	case o.URL != "":
		return nil
	case j.StoreDir == "":
		return errors.New("socketeer: nats options: JetStream of embedded servers needs a StoreDir; or name NATS servers that have JetStream by URL")
	case o.Name == "":
		return errors.New("socketeer: nats options: JetStream of embedded servers needs a Name that this node keeps when it is started again: replicas are known by it")
	}
	return j.checkPeers(o)
}

// checkPeers sees to it that there will be a majority when one node dies.
func (*JetStreamOptions) checkPeers(o *Options) error {
	peers := slices.Clone(o.Peers)
	for i, p := range peers {
		peers[i] = strings.TrimPrefix(p, "nats://")
	}
	slices.Sort(peers)
	peers = slices.Compact(peers)
	own := o.ClusterAddr
	if o.ClusterAdvertise != "" {
		own = o.ClusterAdvertise
	}
	n := len(peers)
	if !slices.Contains(peers, own) && !slices.Contains(peers, o.ClusterAddr) {
		n++
	}
	if n < minJetStreamNodes {
		return fmt.Errorf("socketeer: nats options: JetStream of embedded servers needs %d nodes or more, and Peers tell of %d: "+
			"what is kept has to be agreed on by more than half of them, so that a node alone cannot start and of two none may die. "+
			"Without JetStream two nodes, and one, keep it in memory", minJetStreamNodes, n)
	}
	return nil
}

// streamName makes a cluster's name one that a stream may have.
func streamName(cluster string) string {
	return "socketeer-" + strings.Map(func(r rune) rune {
		if r <= ' ' || strings.ContainsRune(".*>/\\", r) {
			return '_'
		}
		return r
	}, cluster)
}

// openLog connects to JetStream. The connection is one of its own, so that what
// is read of the stream holds up nothing else.
func (c *Cluster) openLog(ctx context.Context, o *Options, self string, extra []natsgo.Option) (buscluster.SharedLog, error) {
	j := o.JetStream
	nc, err := natsgo.Connect(o.URL, append(connectionOptions(extra), natsgo.Name("socketeer log "+self),
		natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
			o.Logger.Warn("nats connection for jetstream", "err", err)
		}),
		natsgo.ReconnectHandler(func(*natsgo.Conn) {
			if l := c.log.Load(); l != nil {
				l.Reconnected()
			}
		}))...)
	if err != nil {
		return nil, fmt.Errorf("socketeer: no connection to nats for jetstream: %w", err)
	}
	c.logConn = nc
	js, err := jetstream.New(nc)
	if j.Domain != "" {
		js, err = jetstream.NewWithDomain(nc, j.Domain)
	}
	if err != nil {
		return nil, fmt.Errorf("socketeer: jetstream: %w", err)
	}
	limit, keep := externalStart, j.KeepTimeout
	if c.server != nil {
		limit, keep = embeddedStart, cmp.Or(keep, embeddedKeepTimeout)
		o.Logger.Info("waiting for the other nodes' JetStream", "peers", o.Peers, "atMost", limit)
	}
	begin, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l, err := jslog.New(begin, jslog.Config{
		JS: js, Self: self, Stream: j.Stream, MaxPayload: int(nc.MaxPayload()), Starting: c.server != nil,
		Replicas: j.Replicas, Storage: j.Storage, MaxBytes: j.MaxBytes, KeepTimeout: keep,
		HistoryBytes: o.LogBytes, BacklogBytes: o.QueueBytes, Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	c.log.Store(l)
	return l, nil
}

// closeLog ends what openLog began. The log itself is closed by the node, if that
// was started.
func (c *Cluster) closeLog() {
	if l := c.log.Load(); l != nil {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		l.Close(over)
	}
	if c.logConn != nil {
		c.logConn.Close()
	}
}

// JetStreamStats returns counters since the start; they are zero without
// Options.JetStream.
func (c *Cluster) JetStreamStats() JetStreamStats {
	if l := c.log.Load(); l != nil {
		return l.Stats()
	}
	return JetStreamStats{}
}
