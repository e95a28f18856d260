package queue

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/redis/rueidis"
)

// Further fields of a dead letter.
const (
	fieldID    = "id"
	fieldGroup = "group"
	fieldTries = "tries"
	fieldError = "error"
)

// maxBuried bounds a dead letter, which may have been published with another
// limit, in bytes.
const maxBuried = 512 << 20

// DeadLetter is a job that was given up.
type DeadLetter struct {
	Job           // its ID is what it had in the queue
	Letter string // its own id
	Group  string // of the worker that gave it up
	Error  string // of the last try
}

// Dead yields the dead letters of a queue, the oldest first. It ends with an
// error when Redis fails.
func (q *Queue) Dead(ctx context.Context, name string) iter.Seq2[*DeadLetter, error] {
	return func(yield func(*DeadLetter, error) bool) {
		if err := checkName("queue", name); err != nil {
			yield(nil, err)
			return
		}
		for from := "-"; ; {
			entries, err := q.redis.Do(ctx, q.redis.B().Xrange().Key(q.deadKey(name)).
				Start(from).End("+").Count(batch).Build()).AsXRange()
			if err != nil {
				yield(nil, failed("dead letters", err))
				return
			}
			for _, e := range entries {
				if !yield(letter(name, e), nil) {
					return
				}
			}
			if len(entries) < batch {
				return
			}
			from = after(entries[len(entries)-1].ID)
		}
	}
}

// letter decodes a dead letter. What was given up because it is no job yields
// what is left of it.
func letter(name string, e rueidis.XRangeEntry) *DeadLetter {
	f := e.FieldValues
	j, _ := decode(f[fieldID], f)
	j.Queue = name
	j.Tries, _ = strconv.Atoi(f[fieldTries])
	return &DeadLetter{Job: *j, Letter: e.ID, Group: f[fieldGroup], Error: f[fieldError]}
}

// reviveScript puts a dead letter back into its queue.
// KEYS: queue, dead letters. ARGV: id of the letter, fields.
var reviveScript = rueidis.NewLuaScript(`
if redis.call('XDEL', KEYS[2], ARGV[1]) == 0 then return false end
return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))`)

// Revive puts a dead letter back into its queue, as a new job, and returns the
// job's id. It is put back once, however many do it at the same time: the
// others get an error. The bound on the queue's length does not apply.
func (q *Queue) Revive(ctx context.Context, d *DeadLetter) (id string, err error) {
	fields, err := d.fields(maxBuried)
	if err != nil {
		return "", err
	}
	id, err = reviveScript.Exec(ctx, q.redis, []string{q.key(d.Queue), q.deadKey(d.Queue)},
		append([]string{d.Letter}, fields...)).ToString()
	if rueidis.IsRedisNil(err) {
		return "", fmt.Errorf("socketeer: queue %q has no dead letter %s any more", d.Queue, d.Letter)
	}
	if err != nil {
		return "", failed("revive", err)
	}
	return id, nil
}
