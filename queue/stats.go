package queue

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Counters count what this process did since New.
type Counters struct {
	Published     uint64 // jobs stored
	Refused       uint64 // jobs not stored because the queue was full
	PublishErrors uint64 // jobs of which it is not known whether they are stored

	Handled    uint64 // jobs done
	Failed     uint64 // handlers that returned an error or panicked
	Retried    uint64 // of those, jobs left for another try
	Dead       uint64 // of those, and of jobs that no handler could take, dead letters
	Claimed    uint64 // jobs taken over: failed ones, and those of dead workers
	Released   uint64 // jobs given back at the end of Consume, untouched
	Lost       uint64 // jobs that were taken over by others, or deleted, while they were handled here
	Vanished   uint64 // jobs that somebody deleted from the stream before they were handled
	AckErrors  uint64 // jobs that are done and will be handled again, because Redis was not told
	ReadErrors uint64 // failed reads; they are repeated
}

type counters struct {
	published, refused, publishErrors         atomic.Uint64
	handled, failed, retried, dead, claimed   atomic.Uint64
	released, lost, vanished, acks, readError atomic.Uint64
}

// Counters returns the counters.
func (q *Queue) Counters() Counters {
	c := &q.count
	return Counters{
		Published: c.published.Load(), Refused: c.refused.Load(), PublishErrors: c.publishErrors.Load(),
		Handled: c.handled.Load(), Failed: c.failed.Load(), Retried: c.retried.Load(), Dead: c.dead.Load(),
		Claimed: c.claimed.Load(), Released: c.released.Load(), Lost: c.lost.Load(), Vanished: c.vanished.Load(),
		AckErrors: c.acks.Load(), ReadErrors: c.readError.Load(),
	}
}

// Stats is the state of a queue, for one group of workers.
//
// Redis does not always know the lag: before version 7, and while entries are
// missing in the middle of the stream because a job before them takes long. Lag
// is then what is neither done nor in hand: what workers in other languages or
// other groups have done and left in the stream counts.
type Stats struct {
	Length    int64         // entries of the stream: jobs, and what is done and not yet trimmed
	Lag       int64         // jobs never handed out; see below
	Pending   int64         // jobs handed out and not done
	Consumers int64         // workers known to the group
	Dead      int64         // dead letters
	Oldest    time.Duration // age of the oldest job handed out and not done; 0 without one
}

// Stats asks Redis for the state of a queue. A group that does not exist has
// not been handed anything.
func (q *Queue) Stats(ctx context.Context, name, group string) (Stats, error) {
	if err := errors.Join(checkName("queue", name), checkName("group", group)); err != nil {
		return Stats{}, err
	}
	key, b := q.key(name), q.redis.B()
	r := q.redis.DoMulti(ctx,
		b.Xlen().Key(key).Build(), q.redis.B().Xlen().Key(q.deadKey(name)).Build(),
		q.redis.B().XinfoGroups().Key(key).Build(), q.redis.B().Time().Build())
	var s Stats
	var err error
	if s.Length, err = r[0].AsInt64(); err != nil {
		return Stats{}, failed("stats", err)
	}
	if s.Dead, err = r[1].AsInt64(); err != nil {
		return Stats{}, failed("stats", err)
	}
	groups, err := parseGroups(r[2])
	if err != nil {
		return Stats{}, failed("stats", err)
	}
	g, ok := groups[group]
	if !ok {
		s.Lag = s.Length
		return s, nil
	}
	s.Lag, s.Pending, s.Consumers = g.lag, g.pending, g.consumers
	if s.Lag < 0 {
		s.Lag = max(s.Length-s.Pending, 0)
	}
	if g.pending == 0 {
		return s, nil
	}
	oldest, err := q.oldest(ctx, key, group)
	if err != nil {
		return Stats{}, err
	}
	if now, err := r[3].AsIntSlice(); err == nil && len(now) > 0 && oldest != "" {
		s.Oldest = max(time.Unix(now[0], 0).Sub(idTime(oldest)), 0)
	}
	return s, nil
}

// groupInfo is what XINFO GROUPS tells.
type groupInfo struct {
	consumers, pending, lag int64  // lag is -1 if Redis does not know it
	last                    string // id that was handed out last
}

// parseGroups reads the answer to XINFO GROUPS. A stream that does not exist
// has none.
func parseGroups(r rueidis.RedisResult) (map[string]groupInfo, error) {
	list, err := r.ToArray()
	if re, ok := rueidis.IsRedisErr(err); ok && strings.Contains(re.Error(), "no such key") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	groups := make(map[string]groupInfo, len(list))
	for _, item := range list {
		m, err := item.AsMap()
		if err != nil {
			return nil, err
		}
		g := groupInfo{lag: -1}
		name, last, lag := m["name"], m["last-delivered-id"], m["lag"]
		g.last, _ = last.ToString()
		pending, consumers := m["pending"], m["consumers"]
		g.pending, _ = pending.AsInt64()
		g.consumers, _ = consumers.AsInt64()
		if n, err := lag.AsInt64(); err == nil {
			g.lag = n
		}
		s, err := name.ToString()
		if err != nil {
			return nil, err
		}
		groups[s] = g
	}
	return groups, nil
}

// oldest returns the oldest id that a group has been handed and not done.
func (q *Queue) oldest(ctx context.Context, key, group string) (string, error) {
	r, err := q.redis.Do(ctx, q.redis.B().Xpending().Key(key).Group(group).Build()).ToArray()
	if err != nil {
		return "", failed("pending", err)
	}
	if len(r) < 2 || r[1].IsNil() {
		return "", nil
	}
	return r[1].ToString()
}
