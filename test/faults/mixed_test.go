package faults_test

import "testing"

// mixture is a kind of cluster of Go nodes and Node.js servers.
type mixture struct {
	kind
	adapter string // of Node.js
}

// mixtures returns clusters, by the names of adapters for Node.js.
func mixtures(adapters ...string) (list []mixture) {
	for _, a := range adapters {
		for _, k := range kinds {
			name := nodeAdapters[k.name]
			if a == name || a == name+"-ioredis" {
				k.name = a
				list = append(list, mixture{k, a})
			}
		}
	}
	return list
}

// TestMixedFaults breaks Redis under two Go nodes and two Node.js servers of each
// kind.
func TestMixedFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(testing.TB) place
		with    []mixture
	}{
		"killed":             {killed, mixtures("redis", "redis-ioredis", "redis-sharded", "redis-streams")},
		"paused":             {paused, mixtures("redis", "redis-sharded", "redis-streams")},
		"sentinel failover":  {sentinelFailover, mixtures("redis-ioredis", "redis-sharded-ioredis", "redis-streams-ioredis")},
		"cluster failover":   {clusterFailover, mixtures("redis", "redis-sharded", "redis-streams", "redis-streams-ioredis")},
		"subscribers killed": {subscribersKilled, mixtures("redis", "redis-sharded", "redis-streams")},
		"connections killed": {allKilled, mixtures("redis-ioredis", "redis-sharded", "redis-streams-ioredis")},
		"blackholed":         {blackholed, mixtures("redis", "redis-sharded", "redis-streams")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.prepare(t)
			strikeAndCheck(t, p, startMixtures(t, p, c.with))
		})
	}
}
