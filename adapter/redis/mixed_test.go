package redis_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter/internal/mixedtest"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

type args = map[string]any

// mixture is a kind of cluster of Go and Node.js servers.
type mixture struct {
	name    string
	adapter string // of redistest
	options redis.Options
	cluster bool // a Redis Cluster
}

var mixtures = []mixture{
	{"classic", "redis", redis.Options{}, false},
	{"classic ioredis", "redis-ioredis", redis.Options{}, false},
	{"classic in a cluster", "redis", redis.Options{}, true},
	{"classic ioredis in a cluster", "redis-ioredis", redis.Options{}, true},
	{"sharded dynamic", "redis-sharded", redis.Options{Mode: redis.Sharded}, false},
	{"sharded dynamic ioredis", "redis-sharded-ioredis", redis.Options{Mode: redis.Sharded}, false},
	{"sharded static", "redis-sharded", redis.Options{Mode: redis.Sharded, Subscription: redis.Static}, false},
	{"sharded dynamic-private", "redis-sharded", redis.Options{Mode: redis.Sharded, Subscription: redis.DynamicPrivate}, false},
	{"sharded in a cluster", "redis-sharded", redis.Options{Mode: redis.Sharded}, true},
	{"sharded static in a cluster", "redis-sharded", redis.Options{Mode: redis.Sharded, Subscription: redis.Static}, true},
	{"sharded dynamic-private in a cluster", "redis-sharded", redis.Options{Mode: redis.Sharded, Subscription: redis.DynamicPrivate}, true},
	{"sharded ioredis in a cluster", "redis-sharded-ioredis", redis.Options{Mode: redis.Sharded}, true},
}

func mixed(name string) mixture {
	return mixtures[slices.IndexFunc(mixtures, func(m mixture) bool { return m.name == name })]
}

// among returns the cluster that a mixture is.
func (m mixture) among(urls []string) mixedtest.Cluster {
	o := m.options
	o.URLs, o.Prefix = urls, fmt.Sprint("world", clusters.Add(1))
	o.HeartbeatTimeout, o.LeaveDelay = 2*time.Second, 50*time.Millisecond
	c := mixedtest.Cluster{
		Start: func(tb testing.TB, name string) mixedtest.Member {
			o := o
			o.Name = name
			return node(tb, o)
		},
		Adapter: m.adapter, URLs: urls, Options: args{"key": o.Prefix, "channelPrefix": o.Prefix},
		Confirmed: true,
		Healthy: func(tb testing.TB, m mixedtest.Member) {
			if s := m.(*redis.Cluster).Stats(); s.Drops != (redis.Drops{}) || s.Gaps != 0 {
				tb.Errorf("%+v", s)
			}
		},
	}
	if o.Mode == redis.Sharded {
		c.Options["subscriptionMode"] = o.Subscription.String()
	} else {
		c.AllRooms, c.Emitter = true, args{"key": o.Prefix}
	}
	return c
}

// TestMixed: Go and Node.js servers are one cluster, whoever does what.
func TestMixed(t *testing.T) {
	single, outer := redistest.Standalone(t), t
	var cluster *redistest.RedisCluster
	for _, m := range mixtures {
		t.Run(m.name, func(t *testing.T) {
			urls := []string{single.URL()}
			if m.cluster {
				if cluster == nil {
					cluster = redistest.Cluster(outer, 0)
				}
				urls = cluster.URLs()
			}
			mixedtest.Run(t, m.among(urls))
		})
	}
}
