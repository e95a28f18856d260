package queue

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

var (
	// renewScript renews the leases that are still this worker's, and returns
	// the ids of the others. KEYS: queue. ARGV: group, worker, ids.
	renewScript = rueidis.NewLuaScript(`
local lost = {}
for i = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 0 then
    lost[#lost + 1] = ARGV[i]
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  end
end
return lost`)

	// retireScript removes workers that have nothing and have been idle for
	// some time. KEYS: queue. ARGV: group, idle in ms, workers.
	retireScript = rueidis.NewLuaScript(`
for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local m = {}
  for i = 1, #c, 2 do m[c[i]] = c[i + 1] end
  local named = false
  for i = 3, #ARGV do named = named or ARGV[i] == m.name end
  if m.pending == 0 and (named or m.idle >= tonumber(ARGV[2])) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], m.name)
  end
end
return 0`)
)

// retireAfter is how long a worker that has nothing may be silent before the
// others remove it from the group, in leases.
const retireAfter = 100

// renewLoop renews the leases of what is in hand.
func (c *consumer) renewLoop(ctx context.Context) {
	for sleep(ctx, jitter(c.o.MinIdle/3)) {
		list := c.inHand()
		for part := range slices.Chunk(list, batch) {
			c.renew(ctx, part)
		}
	}
}

func (c *consumer) renew(ctx context.Context, list []*held) {
	args := []string{c.group, c.o.Name}
	for _, h := range list {
		args = append(args, h.job.ID)
	}
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lost, err := renewScript.Exec(ask, c.q.redis, []string{c.key}, args).AsStrSlice()
	switch {
	case err != nil && isNoGroup(err):
		lost = args[2:] // Redis lost the stream
	case err != nil:
		if ctx.Err() == nil {
			c.log.Warn("leases could not be renewed", "jobs", len(list), "err", err)
		}
		return
	}
	for _, id := range lost {
		c.lose(id)
	}
}

// lose tells the handler of a job that is not this worker's any more, unless
// it has been settled meanwhile.
func (c *consumer) lose(id string) {
	c.mu.Lock()
	h := c.hand[id]
	if h == nil {
		c.mu.Unlock()
		return
	}
	delete(c.hand, id)
	cancel := h.cancel
	c.mu.Unlock()
	c.q.count.lost.Add(1)
	c.log.Warn("a job's lease was lost", "event", h.job.Event, "id", id)
	if cancel != nil {
		cancel(ErrLost)
	}
}

// leave takes this worker out of the group if it has nothing left there: what
// it gave back is still in its name until others take it.
func (c *consumer) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.retire(ctx, c.o.Name)
}

// retire removes workers that have nothing: those named, and those that have
// been silent for long.
func (c *consumer) retire(ctx context.Context, names ...string) {
	args := append([]string{c.group, millis(retireAfter * c.o.MinIdle)}, names...)
	if err := retireScript.Exec(ctx, c.q.redis, []string{c.key}, args).Error(); err != nil && !isNoGroup(err) &&
		!strings.Contains(err.Error(), "no such key") {
		c.log.Warn("idle workers could not be removed from the group", "err", err)
	}
}

// mayTrim says that there may be something to trim.
func (c *consumer) mayTrim() {
	select {
	case c.done <- struct{}{}:
	default:
	}
}

// trimLoop keeps the stream to what some group still has to do, and the group
// to workers that live.
func (c *consumer) trimLoop(ctx context.Context) {
	const pace = 200 * time.Millisecond
	retire := time.NewTicker(max(c.o.MinIdle, time.Second))
	defer retire.Stop()
	for {
		select {
		case <-ctx.Done():
			c.trim() // what was done last
			return
		case <-retire.C:
			ask, cancel := context.WithTimeout(ctx, patience)
			c.retire(ask)
			cancel()
		case <-c.done:
			c.trim()
			sleep(ctx, pace)
		}
	}
}

func (c *consumer) trim() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.q.trim(ctx, c.key); err != nil {
		c.log.Warn("jobs that are done could not be trimmed", "err", err)
	}
}

// trim removes entries that all groups have done: those before the oldest that
// any has in hand or has not been handed. All that moves meanwhile moves up, so
// nothing is removed that is needed.
func (q *Queue) trim(ctx context.Context, key string) error {
	groups, err := parseGroups(q.redis.Do(ctx, q.redis.B().XinfoGroups().Key(key).Build()))
	if err != nil {
		return err
	}
	keep := ""
	for name, g := range groups {
		first := after(g.last)
		if g.pending > 0 {
			oldest, err := q.oldest(ctx, key, name)
			if err != nil {
				return err
			}
			if oldest != "" {
				first = oldest
			}
		}
		if keep == "" || compareIDs(first, keep) < 0 {
			keep = first
		}
	}
	if keep == "" {
		return nil
	}
	return q.redis.Do(ctx, q.redis.B().Xtrim().Key(key).Minid().Exact().Threshold(keep).Build()).Error()
}
