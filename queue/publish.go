package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

// publishScript stores a job, unless the queue is full.
// KEYS: queue. ARGV: most entries (0: any number), fields.
var publishScript = rueidis.NewLuaScript(`
local most = tonumber(ARGV[1])
if most > 0 and redis.call('XLEN', KEYS[1]) >= most then return false end
return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))`)

// Publish stores a job in the queue called name, and returns its id. The
// arguments become JSON; []byte anywhere in them stays binary. When it returns
// without an error, the job is in Redis. Errors: [ErrFull], [ErrTooLarge], what
// the network or Redis says, ctx's; those of the network leave open whether it
// was stored.
func (q *Queue) Publish(ctx context.Context, name, event string, args ...any) (id string, err error) {
	data, attachments, err := sio.Encode(args...)
	if err != nil {
		return "", err
	}
	return q.put(ctx, name, &Job{Event: event, args: data, attachments: attachments})
}

// Source is where a job came from.
type Source struct {
	Namespace string // of a client's event
	SID       string // the socket's id
	User      string
}

// PublishRaw is Publish for an event that has come in: args is a JSON array,
// with placeholders for the attachments.
func (q *Queue) PublishRaw(ctx context.Context, name, event string, from Source, args json.RawMessage, attachments [][]byte) (id string, err error) {
	if _, err := sio.Args(args); err != nil {
		return "", err
	}
	return q.put(ctx, name, &Job{
		Event: event, Namespace: from.Namespace, SID: from.SID, User: from.User,
		args: args, attachments: attachments,
	})
}

func (q *Queue) put(ctx context.Context, name string, j *Job) (string, error) {
	if err := checkName("queue", name); err != nil {
		return "", err
	}
	fields, err := j.fields(q.o.MaxPayload)
	if err != nil {
		return "", err
	}
	args := append([]string{strconv.Itoa(max(q.o.MaxLen, 0))}, fields...)
	store := func() (string, error) {
		return publishScript.Exec(ctx, q.redis, []string{q.key(name)}, args).ToString()
	}
	id, err := store()
	for rueidis.IsRedisNil(err) && q.makeRoom(ctx, name) {
		id, err = store()
	}
	switch {
	case rueidis.IsRedisNil(err):
		q.count.refused.Add(1)
		return "", fmt.Errorf("%w: %q has %d jobs", ErrFull, name, q.o.MaxLen)
	case err != nil:
		q.count.publishErrors.Add(1)
		return "", failed("publish", err)
	}
	q.count.published.Add(1)
	return id, nil
}

// failed wraps an error of Redis.
func failed(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("socketeer: queue: %s: %w", what, err)
	}
	return fmt.Errorf("socketeer: queue: %s: redis: %w", what, err)
}
