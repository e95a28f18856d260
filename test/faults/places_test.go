package faults_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/nettest"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// place is a Redis that can be broken.
type place struct {
	urls   [][]string // for each node
	strike func(testing.TB)
	heal   func(testing.TB)
	spared []int   // nodes that the fault does not reach; nor does it reach Node.js then
	deaths *deaths // when Redis died with what it alone had; nil: never
	empty  bool    // it came back without what some had not read yet
	split  bool    // there were two masters for a while
	moves  bool    // nodes have to ask who the masters are, which nothing may tell them to
	// masters are the servers one of which has the streams, after the fault.
	masters []*redistest.Server
}

// spares reports whether the fault does not reach a node.
func (p place) spares(node int) bool { return slices.Contains(p.spared, node) }

// deaths are the times around the ends of servers: what one has taken just
// before may not have got to anybody.
type deaths []window

func (d *deaths) kill(s *redistest.Server) {
	from := time.Now().Add(-100 * time.Millisecond)
	s.Kill()
	*d = append(*d, window{from, time.Now()})
}

// nodesOf has two nodes connect alike.
func nodesOf(urls ...string) [][]string { return [][]string{urls, urls} }

func nothing(testing.TB) {}

// pauseFor is how long Redis is frozen.
const pauseFor = 10 * time.Second

func killed(t testing.TB) place {
	r, d := redistest.Standalone(t), new(deaths)
	return place{
		urls: nodesOf(r.URL()), masters: []*redistest.Server{r}, deaths: d, empty: true,
		strike: func(testing.TB) { d.kill(r) }, heal: func(testing.TB) { r.Restart() },
	}
}

func paused(t testing.TB) place {
	r := redistest.Standalone(t)
	return place{
		urls: nodesOf(r.URL()), masters: []*redistest.Server{r},
		strike: func(testing.TB) { r.Pause(); lasts(pauseFor) }, heal: func(testing.TB) { r.Resume() },
	}
}

func sentinelFailover(t testing.TB) place {
	set, d := redistest.Sentinel(t), new(deaths)
	return place{
		urls: nodesOf(set.URL()), masters: []*redistest.Server{set.Replica}, deaths: d,
		strike: func(testing.TB) { d.kill(set.Master) },
		heal: func(t testing.TB) {
			eventually(t, "a failover", func() bool { return set.Current() == set.Replica.Addr() })
		},
	}
}

// masterHangs freezes the master until its replica has replaced it. When it goes
// on it takes itself for the master, until a sentinel tells it otherwise.
func masterHangs(t testing.TB) place {
	set := redistest.Sentinel(t)
	return place{
		urls: nodesOf(set.URL()), masters: []*redistest.Server{set.Replica}, split: true,
		strike: func(t testing.TB) {
			set.Master.Pause()
			eventually(t, "a failover", func() bool { return set.Current() == set.Replica.Addr() })
			set.Master.Resume()
		},
		heal: func(t testing.TB) {
			eventually(t, "the old master to follow", func() bool {
				info, err := set.Master.Do(t.Context(), "INFO", "REPLICATION")
				return err == nil && strings.Contains(fmt.Sprint(info), "master_link_status:up")
			})
		},
	}
}

// clusterFailover kills every master in turn, so that each kind's own is among
// them; each comes back as a replica.
func clusterFailover(t testing.TB) place {
	c, d := redistest.Cluster(t, 1), new(deaths)
	return place{
		urls: nodesOf(c.URLs()...), masters: c.Nodes, deaths: d, moves: true,
		strike: func(t testing.TB) {
			for i, s := range c.Nodes[:3] {
				d.kill(s)
				eventually(t, "the replica to take over", func() bool {
					owner := c.Owner(uint16(i*16384/3 + 100))
					return owner != nil && owner != s
				})
				s.Restart()
			}
		},
		heal: func(t testing.TB) {
			for i, s := range c.Nodes {
				eventually(t, "the servers to be one cluster again", func() bool {
					nodes, err := s.Do(t.Context(), "CLUSTER", "NODES")
					return err == nil && !strings.Contains(fmt.Sprint(nodes), "fail") && !strings.Contains(fmt.Sprint(nodes), "disconnected")
				})
				if i < 3 {
					eventually(t, "a replica to follow", func() bool {
						info, err := s.Do(t.Context(), "INFO", "REPLICATION")
						return err == nil && strings.Contains(fmt.Sprint(info), "master_link_status:up")
					})
				}
			}
		},
	}
}

// subscribersKilled cuts the connections on which nodes receive, some times.
func subscribersKilled(t testing.TB) place {
	r := redistest.Standalone(t)
	return place{
		urls: nodesOf(r.URL()), masters: []*redistest.Server{r},
		strike: func(t testing.TB) {
			for range 3 {
				r.Must("CLIENT", "KILL", "TYPE", "pubsub")
				for _, id := range readers(r) {
					_, _ = r.Do(t.Context(), "CLIENT", "KILL", "ID", id) // it may have gone
				}
				lasts(200 * time.Millisecond)
			}
		},
		heal: nothing,
	}
}

// readers returns the ids of connections that read a stream.
func readers(r *redistest.Server) (ids []string) {
	for line := range strings.Lines(r.Must("CLIENT", "LIST").(string)) {
		if id, _, ok := strings.Cut(strings.TrimPrefix(line, "id="), " "); ok && strings.Contains(line, "cmd=xread ") {
			ids = append(ids, id)
		}
	}
	return ids
}

// allKilled cuts all connections, some times.
func allKilled(t testing.TB) place {
	r := redistest.Standalone(t)
	return place{
		urls: nodesOf(r.URL()), masters: []*redistest.Server{r},
		strike: func(testing.TB) {
			for range 5 {
				r.Must("CLIENT", "KILL", "TYPE", "pubsub")
				r.Must("CLIENT", "KILL", "TYPE", "normal")
				lasts(100 * time.Millisecond)
			}
		},
		heal: nothing,
	}
}

// blackholed has the second node's connections lose every byte and stay open.
func blackholed(t testing.TB) place {
	r := redistest.Standalone(t)
	p := nettest.StartProxy(t, r.Addr())
	return place{
		urls: [][]string{{r.URL()}, {"redis://" + p.Addr()}}, masters: []*redistest.Server{r}, spared: []int{0},
		strike: func(testing.TB) { p.Blackhole(true); lasts(3 * time.Second) },
		heal:   func(testing.TB) { p.Blackhole(false) },
	}
}
