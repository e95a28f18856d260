package queue

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// What is done must not count as a job. A worker that acknowledges removes the
// entry at once if it was the last group that had to, so that one job that takes
// long holds one place. Workers in other languages only acknowledge; what they
// leave is trimmed up to the oldest job in hand (trim), and where that is not
// enough, a publisher that finds the queue full looks for the rest (sweep).

// doneLua holds functions for scripts. before orders ids. info returns what XINFO
// GROUPS says of a queue. doneBy reports whether a group has done an entry: was
// handed it, and does not have it in hand any more. drop removes an entry that
// all have done, and acked one that was just acknowledged: of a single group all
// others are none.
const doneLua = `
local function before(a, b)
  local am, as = string.match(a, '(%d+)-(%d+)')
  local bm, bs = string.match(b, '(%d+)-(%d+)')
  if am == bm then am, bm = as, bs end
  if #am ~= #bm then return #am < #bm end
  return am < bm
end
local function info(groups)
  for n, flat in ipairs(groups) do
    local g = {}
    for i = 1, #flat, 2 do g[flat[i]] = flat[i + 1] end
    groups[n] = g
  end
  return groups
end
local function doneBy(key, g, id)
  if before(g['last-delivered-id'], id) then return false end
  return g.pending == 0 or #redis.call('XPENDING', key, g.name, id, id, 1) == 0
end
local function drop(key, groups, id)
  for _, g in ipairs(groups) do
    if not doneBy(key, g, id) then return 0 end
  end
  return redis.call('XDEL', key, id)
end
local function acked(key, id)
  local groups = redis.call('XINFO', 'GROUPS', key)
  if #groups == 1 then return redis.call('XDEL', key, id) end
  return drop(key, info(groups), id)
end
`

var (
	// ackScript acknowledges a job, and removes it when no group needs it any
	// more. It returns 0 if somebody has acknowledged it before.
	// KEYS: queue. ARGV: group, id.
	ackScript = rueidis.NewLuaScript(doneLua + `
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
acked(KEYS[1], ARGV[2])
return 1`)

	// sweepScript removes entries that all groups have done, among some of those
	// that all have been handed. It returns how many, and where to go on; "" at
	// the end. KEYS: queue. ARGV: from which id, how many entries to look at.
	sweepScript = rueidis.NewLuaScript(doneLua + `
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, ''} end
local groups, to, most = info(redis.call('XINFO', 'GROUPS', KEYS[1])), nil, 0
for _, g in ipairs(groups) do
  local last = g['last-delivered-id']
  if not to or before(last, to) then to = last end
  most = math.max(most, g.pending + (g.lag or 0))
end
if not to or redis.call('XLEN', KEYS[1]) <= most then return {0, ''} end
local from, left, dropped = ARGV[1], tonumber(ARGV[2]), 0
while left > 0 do
  local part = redis.call('XRANGE', KEYS[1], from, to, 'COUNT', math.min(left, 16))
  if #part == 0 then return {dropped, ''} end
  for _, e in ipairs(part) do
    dropped = dropped + drop(KEYS[1], groups, e[1])
    from = '(' .. e[1]
  end
  left = left - #part
end
return {dropped, from}`)
)

// Bounds of a sweep.
const (
	sweepPart = 1024                   // entries that one script looks at
	sweepRest = 200 * time.Millisecond // after one that found nothing
)

// makeRoom removes entries of a full queue that are done, and reports whether
// there were any. One that is full of work costs Redis no more than a search in
// sweepRest by each process.
func (q *Queue) makeRoom(ctx context.Context, name string) bool {
	select {
	case q.sweeping <- struct{}{}:
		defer func() { <-q.sweeping }()
	case <-ctx.Done():
		return false
	}
	now := time.Now()
	maps.DeleteFunc(q.swept, func(_ string, at time.Time) bool { return now.Sub(at) >= sweepRest })
	if _, resting := q.swept[name]; resting {
		return false
	}
	found, err := q.sweep(ctx, q.key(name))
	if err != nil {
		q.log.Warn("a full queue could not be searched for what is done", "queue", name, "err", err)
	}
	if !found {
		q.swept[name] = time.Now()
	}
	return found
}

// sweep looks at entries from the oldest on, until it has removed some.
func (q *Queue) sweep(ctx context.Context, key string) (found bool, err error) {
	for from := "-"; from != ""; {
		r, err := sweepScript.Exec(ctx, q.redis, []string{key}, []string{from, strconv.Itoa(sweepPart)}).ToArray()
		if err != nil {
			return false, err
		}
		if len(r) != 2 {
			return false, errAnswer
		}
		if dropped, err := r[0].AsInt64(); err != nil || dropped > 0 {
			return err == nil, err
		}
		if from, err = r[1].ToString(); err != nil {
			return false, err
		}
	}
	return false, nil
}
