package config

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/internal/redislink"
)

// size is a number of bytes.
type size int64

// Key describes one setting to whoever builds flags or documentation.
type Key struct {
	Name    string // as a flag and in the file
	Usage   string // one line
	Default string // "" for none
	Type    string // "string", "duration", "size", "list", "urls", "int" or "bool"

	field func(*Config) any   // *string, *time.Duration, *size, *[]string, *int or *bool
	check func(string) error  // nil when the type says it all
	mask  func(string) string // what is printed for a value that holds a secret
}

// Env returns the key's environment variable.
func (k Key) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.Name, "-", "_"))
}

// Check reports whether value, as written on a command line, is one that the
// key can take.
func (k Key) Check(value string) error {
	var c Config
	return k.set(&c, value)
}

// Keys returns every key, in the order in which a person would read them.
func Keys() []Key {
	return append(append(nodeKeys(), engineKeys()...), append(clusterKeys(), logKeys()...)...)
}

func nodeKeys() []Key {
	return []Key{
		{Name: "name", Type: "string", Usage: "node name, unique in the cluster (default the host name)",
			field: func(c *Config) any { return &c.Name }, check: checkName},
		{Name: "addr", Type: "string", Default: ":3000", Usage: "address for clients",
			field: func(c *Config) any { return &c.Addr }, check: checkHostPort},
		{Name: "admin-addr", Type: "string", Default: "127.0.0.1:3900", Usage: `address for operators: /healthz, /readyz, /v1/nodes; "off" for none`,
			field: func(c *Config) any { return &c.AdminAddr }, check: unlessOff(checkHostPort)},
		{Name: "advertise", Type: "string", Usage: "HOST:PORT under which the others reach this node's addr (default addr, with the host name for a wildcard)",
			field: func(c *Config) any { return &c.Advertise }, check: checkHostPort},
		{Name: "app", Type: "string", Default: AppChat, Usage: "what to serve: chat or bench",
			field: func(c *Config) any { return &c.App }, check: oneOf(AppChat, AppBench)},
		{Name: "drain", Type: "duration", Default: "10s", Usage: "how long a graceful stop may take before connections are cut",
			field: func(c *Config) any { return &c.Drain }},
		{Name: "drain-delay", Type: "duration", Default: "0s", Usage: "how long a node that is to stop only says that it is not ready, before it sends clients away",
			field: func(c *Config) any { return &c.DrainDelay }},
		{Name: "drain-rate", Type: "int", Default: "2000", Usage: "clients a second that are sent away at least; 0 takes all the time of drain",
			field: func(c *Config) any { return &c.DrainRate }},
		{Name: "pprof", Type: "bool", Default: "false", Usage: "serve /debug/pprof/ at admin-addr",
			field: func(c *Config) any { return &c.Pprof }},
	}
}

func engineKeys() []Key {
	return []Key{
		{Name: "path", Type: "string", Default: "/socket.io/", Usage: "where Socket.IO clients connect",
			field: func(c *Config) any { return &c.Engine.Path }, check: checkPath},
		{Name: "transports", Type: "list", Default: "polling,websocket", Usage: "transports clients may use",
			field: func(c *Config) any { return &c.Engine.Transports }, check: each(oneOf("polling", "websocket"))},
		{Name: "ping-interval", Type: "duration", Default: "25s", Usage: "time between two pings to a client",
			field: func(c *Config) any { return &c.Engine.PingInterval }},
		{Name: "ping-timeout", Type: "duration", Default: "20s", Usage: "time a client has to answer a ping",
			field: func(c *Config) any { return &c.Engine.PingTimeout }},
		{Name: "max-payload", Type: "size", Default: "1000000", Usage: "bytes a client may send at once",
			field: func(c *Config) any { return (*size)(&c.Engine.MaxPayload) }},
		{Name: "send-buffer", Type: "size", Default: "1MiB", Usage: "bytes queued for a slow client before it is closed",
			field: func(c *Config) any { return (*size)(&c.Engine.SendBuffer) }},
		{Name: "recovery", Type: "duration", Default: "0s", Usage: "how long a client may be away and still get what it missed, such as 2m; 0s for no recovery",
			field: func(c *Config) any { return &c.Engine.Recovery }},
		{Name: "cors-origin", Type: "list", Usage: `origins of pages that may connect, besides the cluster's own nodes; "*" for all`,
			field: func(c *Config) any { return &c.Engine.CORSOrigins }, check: each(checkOrigin)},
	}
}

func clusterKeys() []Key {
	return []Key{
		{Name: "adapter", Type: "string", Usage: "memory (a single node), nats, mesh (nodes connect to each other without NATS, which is cheaper), redis, redis-sharded or redis-streams (default what the keys below call for, else memory)",
			field: func(c *Config) any { return &c.Cluster.Adapter },
			check: oneOf(AdapterMemory, AdapterNATS, AdapterMesh, AdapterRedis, AdapterRedisSharded, AdapterRedisStreams)},
		{Name: "nats", Type: "string", mask: maskURLs, Usage: "URLs of NATS servers to cluster through, comma-separated",
			field: func(c *Config) any { return &c.Cluster.NATS }, check: each(checkNATS)},
		{Name: "nats-jetstream", Type: "bool", Default: "false", Usage: "keep what recovery needs in JetStream, so that it survives the end of all nodes: of the servers at nats, or of at least three nodes with nats-jetstream-dir",
			field: func(c *Config) any { return &c.Cluster.JetStream.On }},
		{Name: "nats-jetstream-dir", Type: "string", Usage: "directory of this node's JetStream, for nodes that cluster by themselves; name and cluster-peers have to stay the same",
			field: func(c *Config) any { return &c.Cluster.JetStream.Dir }},
		{Name: "nats-jetstream-replicas", Type: "int", Default: "0", Usage: "servers that have what is kept, 1 to 5; 0 is three, or one if there is only one server",
			field: func(c *Config) any { return &c.Cluster.JetStream.Replicas }},
		{Name: "nats-jetstream-storage", Type: "string", Default: "file", Usage: "where JetStream keeps it: file or memory",
			field: func(c *Config) any { return &c.Cluster.JetStream.Storage }, check: oneOf("file", "memory")},
		{Name: "nats-jetstream-wait", Type: "duration", Default: "0s", Usage: "how long an event may wait to be kept, at most 30s; then it is delivered, and who is cut off meanwhile starts over. With 10s everybody recovers even when JetStream loses a leader, and events may come that late. 0 is 1s with the servers at nats, and 15s with nats-jetstream-dir, where a server dies with each node",
			field: func(c *Config) any { return &c.Cluster.JetStream.Wait }},
		{Name: "redis", Type: "urls", mask: maskRedis, Usage: "URL of Redis to cluster through: redis://, rediss://, unix:// or redis-sentinel://HOST:PORT,.../MASTER; several nodes of a Redis Cluster by repeating it",
			field: func(c *Config) any { return &c.Cluster.Redis }, check: checkRedis},
		{Name: "redis-prefix", Type: "string", Default: "socket.io", Usage: "what channels, streams and keys in Redis begin with, as on the Node.js servers of the same cluster",
			field: func(c *Config) any { return &c.Cluster.Prefix }, check: checkName},
		{Name: "cluster-addr", Type: "string", Usage: "address for other nodes, to cluster without any NATS server",
			field: func(c *Config) any { return &c.Cluster.Addr }, check: checkHostPort},
		{Name: "cluster-peers", Type: "list", Usage: "cluster-addr of other nodes, comma-separated; one's own does no harm",
			field: func(c *Config) any { return &c.Cluster.Peers }, check: each(checkHostPort)},
		{Name: "cluster-name", Type: "string", Default: "socketeer", Usage: "clusters of other names stay apart",
			field: func(c *Config) any { return &c.Cluster.Name }, check: checkName},
		{Name: "cluster-token", Type: "string", mask: maskAll, Usage: "secret shared by the nodes; better in the environment than in a flag",
			field: func(c *Config) any { return &c.Cluster.Token }},
		{Name: "cluster-wait", Type: "duration", Default: "15s", Usage: "how long to wait at start for one of cluster-peers before giving up; 0s starts alone",
			field: func(c *Config) any { return &c.Cluster.Wait }},
	}
}

func logKeys() []Key {
	return []Key{
		{Name: "log-format", Type: "string", Default: "text", Usage: "text or json",
			field: func(c *Config) any { return &c.Log.Format }, check: oneOf("text", "json")},
		{Name: "log-level", Type: "string", Default: "info", Usage: "debug, info, warn or error",
			field: func(c *Config) any { return &c.Log.Level }, check: oneOf("debug", "info", "warn", "error")},
	}
}

// set parses v, which comes from any source, into the key's field of c.
func (k Key) set(c *Config, v any) error {
	if k.mask != nil {
		if s, err := text(v); err == nil && strings.Contains(s, masked) {
			return fmt.Errorf("%s stands for a secret that was not printed: write the secret itself, or leave the key out and set %s", masked, k.Env())
		}
	}
	if k.check != nil {
		s, err := text(v)
		if err != nil {
			return err
		}
		if s == "" && k.Default != "" {
			return errors.New("needs a value")
		}
		if s != "" {
			if err := k.check(s); err != nil {
				return err
			}
		}
	}
	switch p := k.field(c).(type) {
	case *string:
		s, err := text(v)
		*p = s
		return err
	case *[]string:
		s, err := text(v)
		*p = split(s)
		return err
	case *bool:
		s, err := text(v)
		if err != nil {
			return err
		}
		if *p, err = strconv.ParseBool(s); err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
	case *int:
		return setInt(p, v)
	case *time.Duration:
		return setDuration(p, v)
	case *size:
		return setSize(p, v)
	}
	return nil
}

// text turns a scalar, or a list of scalars, into the form it would have on a
// command line.
func text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return strings.TrimSpace(v), nil
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			s, err := text(e)
			if err != nil {
				return "", err
			}
			parts[i] = s
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("takes a single value or a list of them")
}

func split(s string) []string {
	var out []string
	for e := range strings.SplitSeq(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

func setInt(p *int, v any) error {
	s, err := text(v)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is no number from 0 on", s)
	}
	*p = int(n)
	return nil
}

func setDuration(p *time.Duration, v any) error {
	s, err := text(v)
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		if _, nerr := strconv.ParseFloat(s, 64); nerr == nil {
			return fmt.Errorf("%q is no duration without a unit, such as %ss or %sms", s, s, s)
		}
		return fmt.Errorf("%q is no duration, such as 25s, 500ms or 2m", s)
	}
	if d < 0 {
		return fmt.Errorf("%q is below zero", s)
	}
	*p = d
	return nil
}

func setSize(p *size, v any) error {
	s, err := text(v)
	if err != nil {
		return err
	}
	digits := strings.TrimRight(s, "kKMGiB ")
	n, err := strconv.ParseInt(digits, 10, 64)
	factor, ok := map[string]int64{
		"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[strings.TrimSpace(s[len(digits):])]
	if err != nil || !ok {
		return fmt.Errorf("%q is no size, such as 1000000, 512KiB or 1MB", s)
	}
	if n <= 0 || n > math.MaxInt64/factor {
		return fmt.Errorf("%q is out of range", s)
	}
	*p = size(n * factor)
	return nil
}

func checkName(s string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	if len(s) > 64 || strings.Trim(s, allowed) != "" {
		return fmt.Errorf("%q is no name: at most 64 letters, digits, '-', '_' and '.'", s)
	}
	return nil
}

func checkPath(s string) error {
	if !strings.HasPrefix(s, "/") || s == "/" || strings.ContainsAny(s, "?# {}") {
		return fmt.Errorf("%q is no path, such as /socket.io/", s)
	}
	return nil
}

func checkNATS(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss") {
		return errors.New("is no NATS URL, such as nats://127.0.0.1:4222")
	}
	return nil
}

func checkRedis(s string) error {
	if err := redislink.CheckURLs(splitURLs(s)); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "socketeer: redis: "))
	}
	return nil
}

func checkOrigin(s string) error {
	if s == "*" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" {
		return fmt.Errorf("%q is no origin, such as https://example.com", s)
	}
	return nil
}

func oneOf(values ...string) func(string) error {
	return func(s string) error {
		for _, v := range values {
			if s == v {
				return nil
			}
		}
		if v := nearest(s, values); v != "" {
			return fmt.Errorf("%q is not one of %s (did you mean %q?)", s, strings.Join(values, ", "), v)
		}
		return fmt.Errorf("%q is not one of %s", s, strings.Join(values, ", "))
	}
}

func unlessOff(check func(string) error) func(string) error {
	return func(s string) error {
		if s == Off {
			return nil
		}
		return check(s)
	}
}

func each(check func(string) error) func(string) error {
	return func(s string) error {
		for _, e := range split(s) {
			if err := check(e); err != nil {
				return err
			}
		}
		return nil
	}
}
