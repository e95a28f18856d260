package queue_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/queue"
)

// tally is who handled which of the numbered jobs.
type tally struct{ *notes }

// add notes that a job has been handled.
func (l tally) done(n int) { l.add(strconv.Itoa(n)) }

// times returns how often each job was handled.
func (l tally) times() map[int]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := make(map[int]int)
	for _, s := range l.seen {
		n, _ := strconv.Atoi(s)
		times[n]++
	}
	return times
}

// number returns the number of a job.
func number(j *queue.Job) (n int, err error) {
	err = j.Decode(&n)
	return n, err
}

// insist publishes jobs from one number to before another, each until Redis
// says that it is stored: one may be stored twice.
func insist(t *testing.T, q *queue.Queue, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		eventually(t, "a stored job", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_, err := q.Publish(ctx, "w", "job", i)
			return err == nil
		})
	}
}

// settles waits until nothing is left to do, and then for leases to end that
// nobody renews: what is handled again would be by now.
func settles(t *testing.T, q *queue.Queue, lease time.Duration) {
	t.Helper()
	eventually(t, "everything to be done", func() bool {
		st, err := q.Stats(context.Background(), "w", "g")
		return err == nil && st.Pending == 0 && st.Lag == 0
	})
	<-time.After(2 * lease)
}

// check wants each of count jobs to have been handled, and those once that may
// not come again.
func (l tally) check(t *testing.T, count int, mayRepeat func(n int) bool) {
	t.Helper()
	times := l.times()
	var missing, again []string
	for i := range count {
		switch n := times[i]; {
		case n == 0:
			missing = append(missing, strconv.Itoa(i))
		case n > 1 && !mayRepeat(i):
			again = append(again, fmt.Sprintf("%d (%d times)", i, n))
		}
	}
	if len(missing)+len(again) > 0 || len(times) != count {
		t.Errorf("%d of %d different jobs handled; missing: %v; handled again: %v", len(times), count, missing, again)
	}
}
