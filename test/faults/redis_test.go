package faults_test

import (
	"slices"
	"testing"

	"github.com/socketeer-io/socketeer/adapter/redis"
)

// modes are those of sharded clusters that are not the default one. They differ
// in what has a channel of its own, so they are of interest where subscriptions
// have to be made again, one by one.
var modes = []kind{
	{"sharded static", false, startRedis(redis.Options{Mode: redis.Sharded, Subscription: redis.Static})},
	{"sharded dynamic-private", false, startRedis(redis.Options{Mode: redis.Sharded, Subscription: redis.DynamicPrivate})},
}

// TestRedisFaults breaks Redis under two nodes of each kind.
func TestRedisFaults(t *testing.T) {
	t.Parallel()
	every := append(slices.Clone(kinds), modes...)
	for name, c := range map[string]struct {
		prepare func(testing.TB) place
		under   []kind
	}{
		"killed": {killed, every}, "paused": {paused, kinds}, "blackholed": {blackholed, kinds},
		"sentinel failover": {sentinelFailover, kinds}, "master hangs": {masterHangs, kinds}, "cluster failover": {clusterFailover, every},
		"subscribers killed": {subscribersKilled, every}, "connections killed": {allKilled, every},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.prepare(t)
			var clusters []*cluster
			for _, k := range c.under {
				clusters = append(clusters, startCluster(t, k, p.urls...))
			}
			strikeAndCheck(t, p, clusters)
		})
	}
}
