package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

var (
	errAnswer     = errors.New("socketeer: queue: Redis answered something else than expected")
	errWorkerDied = errors.New("socketeer: the workers that had this job died, or their leases ended")
)

// maxError bounds the text of an error in a dead letter, in bytes.
const maxError = 4096

// ackPatience is how long a done job is tried to be acknowledged.
const ackPatience = time.Minute

var (
	// deadScript moves a job to the dead letters, if nobody has acknowledged
	// it. KEYS: queue, dead letters. ARGV: group, id, most dead letters, fields.
	deadScript = rueidis.NewLuaScript(doneLua + `
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
local most = tonumber(ARGV[3])
if most > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', most, '*', unpack(ARGV, 4))
else
  redis.call('XADD', KEYS[2], '*', unpack(ARGV, 4))
end
acked(KEYS[1], ARGV[2])
return 1`)

	// leaveScript ends the lease of a job after a time, if it is still this
	// worker's. KEYS: queue. ARGV: group, worker, id, how long the lease is to
	// have been idle in ms, how often it has been handed out.
	leaveScript = rueidis.NewLuaScript(`
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'IDLE', ARGV[4], 'RETRYCOUNT', ARGV[5], 'JUSTID')
return 1`)
)

// handle runs the handler for a job and settles what becomes of the job.
func (c *consumer) handle(working context.Context, h *held) {
	if h.bad != nil {
		c.bury(working, h, h.bad)
		return
	}
	ctx, cancel := context.WithCancelCause(working)
	defer cancel(nil)
	c.mu.Lock()
	lost := c.hand[h.job.ID] != h
	h.cancel = cancel
	c.mu.Unlock()
	if lost { // before it began
		return
	}
	err := c.protect(ctx, h.job)
	var p permanent
	switch {
	case err == nil:
		c.ack(working, h)
	case errors.Is(context.Cause(ctx), ErrLost):
		c.log.Warn("a handler failed whose job had been taken over", "event", h.job.Event, "id", h.job.ID, "err", err)
	case working.Err() != nil: // interrupted
		c.giveBack(working, h)
	case errors.As(err, &p), h.job.Tries >= c.o.MaxTries:
		c.q.count.failed.Add(1)
		c.bury(working, h, err)
	default:
		c.q.count.failed.Add(1)
		c.retry(working, h, err)
	}
}

// protect turns a panic of the handler into an error.
func (c *consumer) protect(ctx context.Context, j *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("a handler panicked", "event", j.Event, "id", j.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("socketeer: handler panicked: %v", p)
		}
	}()
	return c.handler(ctx, j)
}

// ack removes a job that is done from the queue.
func (c *consumer) ack(working context.Context, h *held) {
	n, err := c.insist(working, func(ctx context.Context) rueidis.RedisResult {
		return ackScript.Exec(ctx, c.q.redis, []string{c.key}, []string{c.group, h.job.ID})
	})
	mine := c.drop(h)
	switch {
	case err != nil:
		c.q.count.acks.Add(1)
		c.log.Error("a job is done and will be handled again: Redis could not be told", "event", h.job.Event, "id", h.job.ID, "err", err)
	case n == 0 && !mine: // has been told
	case n == 0:
		c.q.count.lost.Add(1)
		c.log.Warn("a job had been done by another worker, or deleted", "event", h.job.Event, "id", h.job.ID)
	default:
		c.q.count.handled.Add(1)
		c.mayTrim()
	}
}

// retry leaves a job in the queue to be taken over after a pause. If that
// fails, it happens when the lease ends.
func (c *consumer) retry(working context.Context, h *held, cause error) {
	pause := c.o.MinIdle
	if n := h.job.Tries - 1; n < 30 {
		pause = min(c.o.Backoff<<n, pause)
	}
	c.log.Warn("a job failed and will be tried again", "event", h.job.Event, "id", h.job.ID, "tries", h.job.Tries, "pause", pause, "err", cause)
	c.drop(h) // no renewal any more
	if err := c.leaveJob(working, h.job, c.o.MinIdle-pause, h.job.Tries); err != nil {
		c.log.Warn("a failed job waits until its lease ends", "id", h.job.ID, "err", err)
	}
	c.q.count.retried.Add(1)
	c.lookAt(time.Now().Add(pause + time.Millisecond))
}

// giveBack lets others take a job at once, as if this worker had never had it.
func (c *consumer) giveBack(ctx context.Context, h *held) {
	if !c.drop(h) {
		return
	}
	if err := c.leaveJob(ctx, h.job, c.o.MinIdle, h.job.Tries-1); err != nil {
		c.log.Warn("a job could not be given back, and waits until its lease ends", "id", h.job.ID, "err", err)
		return
	}
	c.q.count.released.Add(1)
}

// leaveJob lets others take a job over when its lease, which has been idle for
// the given time, ends.
func (c *consumer) leaveJob(ctx context.Context, j *Job, idle time.Duration, tries int) error {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return leaveScript.Exec(ask, c.q.redis, []string{c.key},
		[]string{c.group, c.o.Name, j.ID, millis(max(idle, 0)), strconv.Itoa(tries)}).Error()
}

// bury makes a job a dead letter.
func (c *consumer) bury(working context.Context, h *held, cause error) {
	text := cause.Error()
	if len(text) > maxError {
		text = text[:maxError]
	}
	fields, err := h.job.fields(maxBuried)
	if err != nil { // not a job: what can be kept of it
		fields = []string{fieldEvent, h.job.Event, fieldArgs, string(h.job.args)}
	}
	args := append([]string{c.group, h.job.ID, strconv.Itoa(max(c.q.o.MaxDead, 0))}, fields...)
	args = append(args, fieldID, h.job.ID, fieldGroup, c.group, fieldTries, strconv.Itoa(h.job.Tries), fieldError, text)
	n, err := c.insist(working, func(ctx context.Context) rueidis.RedisResult {
		return deadScript.Exec(ctx, c.q.redis, []string{c.key, c.q.deadKey(c.queue)}, args)
	})
	mine := c.drop(h)
	switch {
	case err != nil:
		c.q.count.acks.Add(1)
		c.log.Error("a job could not be moved to the dead letters, and will be tried again", "id", h.job.ID, "err", err)
	case n == 0 && !mine: // has been told
	case n == 0:
		c.q.count.lost.Add(1)
	default:
		c.q.count.dead.Add(1)
		c.log.Error("a job is given up: it is a dead letter now", "event", h.job.Event, "id", h.job.ID, "tries", h.job.Tries, "err", cause)
		c.mayTrim()
	}
}

// insist does something until Redis has answered, or working or ackPatience
// has ended: then for one last time.
func (c *consumer) insist(working context.Context, do func(context.Context) rueidis.RedisResult) (int64, error) {
	ctx, cancel := context.WithTimeout(working, ackPatience)
	defer cancel()
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		n, err := do(ask).AsInt64()
		cancel()
		if err == nil {
			return n, nil
		}
		if isNoGroup(err) {
			return 0, nil
		}
		if !sleep(ctx, jitter(pause)) {
			return 0, err
		}
	}
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
