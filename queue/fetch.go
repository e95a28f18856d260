package queue

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// patience is how long Redis may take to answer.
const patience = 5 * time.Second

// Back-off of reads that fail.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// fetchLoop takes jobs as handlers get free, until ctx ends: first what is to
// be taken over from others, then what is new. Both are done by one goroutine,
// so that neither takes the other's tokens.
func (c *consumer) fetchLoop(ctx context.Context) {
	pause := minPause
	ready := false // the group exists
	for {
		n := c.acquire(ctx)
		if n == 0 {
			return
		}
		var err error
		if !ready {
			err = c.makeGroup(ctx)
			ready = err == nil
		}
		got, more := 0, false
		if err == nil {
			got, more, err = c.claim(ctx, n)
		}
		if err == nil && got < n {
			var read int
			read, err = c.read(ctx, n-got, more)
			got += read
		}
		for range n - got {
			c.free <- struct{}{}
		}
		switch {
		case err == nil:
			pause = minPause
			continue
		case ctx.Err() != nil:
			return
		case isNoGroup(err): // Redis lost the stream
			c.log.Warn("the queue's group is gone and is made again", "err", err)
			ready = false
		default:
			c.q.count.readError.Add(1)
			if pause == minPause {
				c.log.Warn("cannot read the queue: trying again", "err", err)
			}
		}
		if !sleep(ctx, jitter(pause)) {
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// acquire waits for a token, and returns how many it got; 0 when ctx has
// ended.
func (c *consumer) acquire(ctx context.Context) (n int) {
	if ctx.Err() != nil {
		return 0
	}
	select {
	case <-c.free:
	case <-ctx.Done():
		return 0
	}
	for n = 1; n < batch; n++ {
		select {
		case <-c.free:
		default:
			return n
		}
	}
	return n
}

func (c *consumer) makeGroup(ctx context.Context) error {
	b := c.q.redis.B()
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := c.q.redis.Do(ask, b.XgroupCreate().Key(c.key).Group(c.group).Id("0").Mkstream().Build()).Error()
	if err != nil && strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return nil
	}
	return err
}

// read takes up to n new jobs, waiting for the first unless there is more to
// do. The wait is short and not cut by ctx: an answer that nobody heard would
// leave jobs with this worker until their leases end.
func (c *consumer) read(ctx context.Context, n int, more bool) (int, error) {
	wait := blockTime
	c.mu.Lock()
	wait = min(wait, time.Until(c.due))
	c.mu.Unlock()
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), blockTime+patience)
	defer cancel()
	b := c.q.redis.B()
	cmd := b.Xreadgroup().Group(c.group, c.o.Name).Count(int64(n))
	var r rueidis.RedisResult
	if ms := wait.Milliseconds(); more || ms < 1 {
		r = c.q.redis.Do(ask, cmd.Streams().Key(c.key).Id(">").Build())
	} else {
		r = c.q.redis.Do(ask, cmd.Block(ms).Streams().Key(c.key).Id(">").Build())
	}
	streams, err := r.AsXRead()
	if rueidis.IsRedisNil(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	entries := streams[c.key]
	for _, e := range entries {
		c.take(e, 1)
	}
	return len(entries), nil
}

// take puts an entry into the hand.
func (c *consumer) take(e rueidis.XRangeEntry, tries int) {
	j, err := decode(e.ID, e.FieldValues)
	j.Queue, j.Tries = c.queue, tries
	h := &held{job: j, bad: err}
	if err == nil && tries > c.o.MaxTries {
		h.bad = errWorkerDied
	}
	c.hold(h)
}

func isNoGroup(err error) bool { return strings.HasPrefix(err.Error(), "NOGROUP") }

func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

// sleep reports false when ctx ended before d had passed.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
