package queue

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

// claim takes over up to n jobs whose leases have ended, if it is time to look:
// those of dead workers, and those that failed and have waited long enough.
// It reports whether there may be more.
func (c *consumer) claim(ctx context.Context, n int) (got int, more bool, err error) {
	c.mu.Lock()
	due := !time.Now().Before(c.due)
	c.mu.Unlock()
	if !due {
		return 0, false, nil
	}
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	b := c.q.redis.B()
	r, err := c.q.redis.Do(ask, b.Xautoclaim().Key(c.key).Group(c.group).Consumer(c.o.Name).
		MinIdleTime(millis(c.o.MinIdle)).Start(c.cursor).Count(int64(n)).Build()).ToArray()
	if err != nil {
		return 0, false, err
	}
	if len(r) < 2 {
		return 0, false, errAnswer
	}
	if c.cursor, err = r[0].ToString(); err != nil {
		c.cursor = "0-0"
		return 0, false, err
	}
	entries, err := r[1].AsXRange()
	if err != nil {
		return 0, false, err
	}
	if len(r) > 2 {
		if deleted, err := r[2].AsStrSlice(); err == nil && len(deleted) > 0 {
			c.q.count.vanished.Add(uint64(len(deleted)))
			c.log.Error("jobs were deleted before they were handled", "count", len(deleted), "first", deleted[0])
		}
	}
	tries := c.deliveries(ask, entries)
	for i, e := range entries {
		c.take(e, tries[i])
	}
	c.q.count.claimed.Add(uint64(len(entries)))
	if c.cursor != "0-0" {
		return len(entries), true, nil
	}
	c.mu.Lock()
	c.due = time.Now().Add(jitter(c.o.MinIdle / 4))
	c.mu.Unlock()
	return len(entries), false, nil
}

// deliveries asks how often entries have been handed out. Where there is no
// answer, it says once: the job is tried rather than given up.
func (c *consumer) deliveries(ctx context.Context, entries []rueidis.XRangeEntry) []int {
	tries := make([]int, len(entries))
	ask := make(rueidis.Commands, len(entries))
	for i, e := range entries {
		tries[i] = 1
		ask[i] = c.q.redis.B().Xpending().Key(c.key).Group(c.group).Start(e.ID).End(e.ID).Count(1).Build()
	}
	if len(ask) == 0 {
		return nil
	}
	for i, r := range c.q.redis.DoMulti(ctx, ask...) {
		list, err := r.ToArray()
		if err != nil || len(list) != 1 {
			continue
		}
		if one, err := list[0].ToArray(); err == nil && len(one) == 4 {
			if n, err := one[3].AsInt64(); err == nil {
				tries[i] = int(max(n, 1))
			}
		}
	}
	return tries
}

// lookAt makes the consumer look for jobs to take over at t, if it would do so
// later. While it waits for new jobs it looks up to blockTime later.
func (c *consumer) lookAt(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Before(c.due) {
		c.due = t
	}
}
