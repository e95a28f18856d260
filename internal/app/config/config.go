// Package config is what one node can be told: its keys, their defaults, and
// how values from a YAML file, the environment and the command line are laid
// over each other.
//
// A key has one name everywhere. "ping-interval" is --ping-interval on the
// command line, SOCKETEER_PING_INTERVAL in the environment and ping-interval
// in the file. Later sources win: defaults < file < environment < flags.
package config

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The built-in applications a node can run.
const (
	AppChat  = "chat"
	AppBench = "bench"
)

// The adapters a node can use.
const (
	AdapterMemory       = "memory"        // a single node
	AdapterNATS         = "nats"          // a cluster over NATS, embedded or external
	AdapterRedis        = "redis"         // over Redis pub/sub
	AdapterRedisSharded = "redis-sharded" // over sharded pub/sub of Redis 7
	AdapterRedisStreams = "redis-streams" // over Redis Streams
	AdapterMesh         = "mesh"          // a cluster over connections of its own
)

// Off is the value that switches a listener off.
const Off = "off"

// Config is the effective configuration of one node. The values of [Load] are
// checked; a Config made by hand is not.
type Config struct {
	Name      string // node name, default the host name; may be reused by a later incarnation
	Addr      string // public listener, default ":3000"
	AdminAddr string // operators' listener, default "127.0.0.1:3900"; "" when off
	Advertise string // host:port under which other nodes and pages reach Addr; default Addr
	App       string // AppChat or AppBench, default AppChat
	Pprof     bool   // serve /debug/pprof/ on the operators' listener, default false

	// Drain is how long a graceful stop may take before what is left is cut;
	// default 10 s.
	Drain time.Duration
	// DrainDelay is how long a node goes on as before when it is to stop, but
	// for saying that it is not ready, so that load balancers get to know;
	// default 0. It comes on top of Drain.
	DrainDelay time.Duration
	// DrainRate is how many clients a second are sent away at least; default
	// 2,000; 0: as many as Drain leaves time for.
	DrainRate int

	Engine  Engine
	Cluster Cluster
	Log     Log
}

// Engine is how a node talks to clients. The defaults are Socket.IO's, but for
// SendBuffer, which Socket.IO does not bound.
type Engine struct {
	Path         string        // default "/socket.io/"
	Transports   []string      // default polling and websocket
	PingInterval time.Duration // default 25 s
	PingTimeout  time.Duration // default 20 s
	MaxPayload   int64         // bytes a client may send at once, default 1,000,000
	SendBuffer   int64         // bytes queued for a slow client before it is closed, default 1 MiB
	CORSOrigins  []string      // origins other than the cluster's own nodes; "*" for all
	Recovery     time.Duration // how long a client may be away and recover, at least 1 s; default 0: no recovery
}

// Cluster is how a node finds the others.
type Cluster struct {
	Adapter string        // one of the Adapter constants; default: what a key below calls for, else memory
	NATS    string        // URLs of external NATS servers, comma-separated
	Redis   string        // URLs of Redis, comma-separated: see RedisURLs
	Prefix  string        // of channels, streams and keys in Redis, default "socket.io"
	Addr    string        // host:port of this node's cluster listener
	Peers   []string      // host:port of other nodes' cluster listeners
	Name    string        // default "socketeer"; clusters of other names stay apart
	Token   string        // shared secret of the cluster's nodes
	Wait    time.Duration // how long a start may wait for a first peer, default 15 s; 0: start alone

	JetStream JetStream
}

// JetStream is whether what recovery needs is kept there, and how.
type JetStream struct {
	On       bool
	Dir      string        // of the embedded server; only without NATS
	Replicas int           // default 0: three, on a single NATS server one
	Storage  string        // "file" or "memory", default "file"
	Wait     time.Duration // how long an event may wait to be kept, default 0: 1 s, with Dir 15 s
}

// Log is how a node logs to standard error.
type Log struct {
	Format string // "text" or "json", default "text"
	Level  string // "debug", "info", "warn" or "error", default "info"
}

// finish fills in what depends on other values, and checks what no single key
// can tell.
func (c *Config) finish(together bool) error {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("socketeer: no host name to call the node by, set name: %w", err)
		}
		c.Name = host
	}
	if c.AdminAddr == Off {
		c.AdminAddr = ""
	}
	if !strings.HasSuffix(c.Engine.Path, "/") {
		c.Engine.Path += "/"
	}
	if c.Engine.PingTimeout <= 0 || c.Engine.PingInterval <= 0 {
		return fmt.Errorf("socketeer: ping-interval and ping-timeout must be above zero")
	}
	if r := c.Engine.Recovery; r > 0 && r < time.Second {
		return fmt.Errorf("socketeer: recovery of %v is too short: at least 1s, or 0s for none", r)
	}
	return c.finishCluster(together)
}

// clusterKey is one of the keys by which a node finds others, and the adapters
// that it is for; the first is taken when none is named.
type clusterKey struct {
	name     string
	set      bool
	adapters []string
}

func (c *Config) finishCluster(together bool) error {
	cl := &c.Cluster
	keys := []clusterKey{
		{"nats", cl.NATS != "", []string{AdapterNATS}},
		{"redis", cl.Redis != "", []string{AdapterRedis, AdapterRedisSharded, AdapterRedisStreams}},
		{"cluster-addr", cl.Addr != "", []string{AdapterNATS, AdapterMesh}},
		{"cluster-peers", len(cl.Peers) > 0, []string{AdapterNATS, AdapterMesh}},
	}
	keys = slices.DeleteFunc(keys, func(k clusterKey) bool { return !k.set })
	if cl.Adapter == "" {
		switch {
		case len(keys) > 0:
			cl.Adapter = keys[0].adapters[0]
		case together:
			cl.Adapter = AdapterNATS
		default:
			cl.Adapter = AdapterMemory
		}
	}
	for _, k := range keys {
		if !slices.Contains(k.adapters, cl.Adapter) {
			return fmt.Errorf("socketeer: %s is of no use to adapter %q: leave one of them out", k.name, cl.Adapter)
		}
	}
	switch {
	case cl.Adapter == AdapterMesh && cl.Addr == "" && !together:
		return fmt.Errorf("socketeer: adapter %q needs cluster-addr, where the peers reach this node", cl.Adapter)
	case cl.Adapter == AdapterNATS && len(keys) == 0 && !together:
		return fmt.Errorf("socketeer: adapter %q needs nats (servers to connect to) or cluster-addr (to cluster by itself)", cl.Adapter)
	case cl.UsesRedis() && len(keys) == 0 && !together:
		return fmt.Errorf("socketeer: adapter %q needs redis, such as redis://127.0.0.1:6379", cl.Adapter)
	case cl.NATS != "" && len(keys) > 1:
		return fmt.Errorf("socketeer: nats and %s exclude each other: connect to NATS servers or cluster by yourself", keys[1].name)
	case len(cl.Peers) > 0 && cl.Addr == "":
		return fmt.Errorf("socketeer: cluster-peers needs cluster-addr, where the peers reach this node")
	}
	if err := c.checkJetStream(); err != nil {
		return err
	}
	if c.Engine.Recovery > 0 && (cl.Adapter == AdapterRedis || cl.Adapter == AdapterRedisSharded) {
		return fmt.Errorf("socketeer: recovery is of no use to adapter %q, which keeps no messages: take %s, %s or %s, or leave recovery out",
			cl.Adapter, AdapterRedisStreams, AdapterNATS, AdapterMesh)
	}
	return nil
}

func (c *Config) checkJetStream() error {
	cl, j := &c.Cluster, &c.Cluster.JetStream
	switch {
	case !j.On && j.Dir != "":
		return fmt.Errorf("socketeer: nats-jetstream-dir is for nats-jetstream, which is off")
	case !j.On:
		return nil
	case cl.Adapter != AdapterNATS:
		return fmt.Errorf("socketeer: nats-jetstream is of no use to adapter %q: leave one of them out", cl.Adapter)
	case c.Engine.Recovery == 0:
		return fmt.Errorf("socketeer: nats-jetstream keeps what recovery needs: set recovery, such as 2m")
	case cl.NATS != "" && j.Dir != "":
		return fmt.Errorf("socketeer: nats-jetstream-dir is for nodes that cluster by themselves: the servers at nats have their own")
	case cl.NATS == "" && j.Dir == "":
		return fmt.Errorf("socketeer: nats-jetstream needs nats (servers that have JetStream) or nats-jetstream-dir (where this node keeps its part)")
	}
	return nil
}

// UsesRedis reports whether the adapter is one of those over Redis.
func (c *Cluster) UsesRedis() bool { return strings.HasPrefix(c.Adapter, AdapterRedis) }

// RedisURLs returns the single URLs of Redis. One for Sentinel has commas of
// its own.
func (c *Cluster) RedisURLs() []string { return splitURLs(c.Redis) }

// splitURLs splits at the commas that a scheme follows.
func splitURLs(s string) []string {
	var urls []string
	for _, part := range split(s) {
		if len(urls) > 0 && !strings.Contains(part, "://") {
			urls[len(urls)-1] += "," + part
			continue
		}
		urls = append(urls, part)
	}
	return urls
}

// checkHostPort refuses what is no listening address. An empty host means all
// addresses, port 0 any free one.
func checkHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT, such as 127.0.0.1:3000 or :3000", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port between 0 and 65535", s)
	}
	if strings.ContainsAny(host, " /") {
		return fmt.Errorf("%q has no valid host", s)
	}
	return nil
}
