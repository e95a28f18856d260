package queue_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/queue"
)

// TestSentinelFailover kills the master of a queue while jobs are in hand.
func TestSentinelFailover(t *testing.T) {
	set := redistest.Sentinel(t)
	failOver(t, set.URL(), set.Master, set.Replica, func() bool { return set.Current() == set.Replica.Addr() })
}

// TestClusterFailover kills the master that has the queue's slot.
func TestClusterFailover(t *testing.T) {
	c := redistest.Cluster(t, 1)
	slot, _ := c.Nodes[0].Must("CLUSTER", "KEYSLOT", fullKey).(int64)
	master := c.Owner(uint16(slot))
	for i, s := range c.Nodes[:3] {
		if s == master {
			url := c.Nodes[(i+1)%3].URL() + "," + c.Nodes[(i+2)%3].Addr()
			failOver(t, url, master, c.Nodes[3+i], func() bool { return c.Owner(uint16(slot)) == c.Nodes[3+i] })
			return
		}
	}
	t.Fatal("nobody has the slot")
}

// failOver does a third of the jobs, has a third in hand or waiting when the
// master dies, and publishes a third to the replica that has replaced it. All
// that the replica had got is done: the first third is not handled again.
func failOver(t *testing.T, url string, master, replica *redistest.Server, over func() bool) {
	t.Helper()
	const third, lease = 50, 2 * time.Second
	q := open(t, url, queue.Options{})
	got, begun := tally{newNotes()}, newNotes()
	gate := make(chan struct{})
	for range 2 {
		consume(t, q, "w", "g", func(ctx context.Context, j *queue.Job) error {
			n, err := number(j)
			if err != nil {
				return err
			}
			begun.add(j.ID)
			if n >= third {
				select {
				case <-gate:
				case <-ctx.Done(): // the lease was lost, perhaps
					return ctx.Err()
				}
			}
			got.done(n)
			return nil
		}, queue.ConsumeOptions{Concurrency: 5, MinIdle: lease, MaxTries: 100})
	}
	insist(t, q, 0, third)
	eventually(t, "the first jobs to be done", func() bool { return q.Counters().Handled == third })
	insist(t, q, third, 2*third)
	begun.waitLen(t, third+10)
	replicated(t, master, replica)
	master.Kill()
	eventually(t, "a failover", over)
	close(gate)
	insist(t, q, 2*third, 3*third)
	got.wait(t, func([]string) bool { return len(got.times()) == 3*third })
	settles(t, q, lease)
	// What was published while Redis was away may be stored twice.
	got.check(t, 3*third, func(n int) bool { return n >= third })
	t.Logf("%d handled, %+v", len(got.seen), q.Counters())
}

var offsets = regexp.MustCompile(`(?:master|slave)_repl_offset:(\d+)`)

// replicated waits until a replica has what its master has now.
func replicated(t *testing.T, master, replica *redistest.Server) {
	t.Helper()
	offset := func(s *redistest.Server, match int) int {
		m := offsets.FindAllStringSubmatch(fmt.Sprint(s.Must("INFO", "REPLICATION")), -1)
		if len(m) <= match {
			return -1
		}
		n, err := strconv.Atoi(m[match][1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := offset(master, 0)
	eventually(t, "the replica", func() bool { return offset(replica, 0) >= want })
}
