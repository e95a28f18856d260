package queue_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/queue"
)

const fullKey = "socketeer:queue:{w}"

// slowOne handles what is called "slow" until the test ends, and notes the others.
func slowOne(t *testing.T, got *notes) queue.Handler {
	t.Helper()
	return func(ctx context.Context, j *queue.Job) error {
		got.add(j.Event)
		if j.Event == "slow" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// put publishes count jobs, and expects room for them.
func put(t *testing.T, q *queue.Queue, event string, count int) {
	t.Helper()
	for i := range count {
		if _, err := q.Publish(t.Context(), "w", event, i); err != nil {
			t.Fatalf("%s %d: %v", event, i, err)
		}
	}
}

// A job that takes long holds one place, not those of what was done after it.
func TestOneLongJob(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{MaxLen: 100})
	got := newNotes()
	o := queue.ConsumeOptions{Concurrency: 2, Prefetch: -1, StopTimeout: 1}
	consume(t, q, "w", "g", slowOne(t, got), o)
	put(t, q, "slow", 1)
	got.waitLen(t, 1)
	for round := range 3 {
		put(t, q, "fast", 99)
		got.waitLen(t, 1+99*(round+1))
		eventually(t, "all but one to be done", func() bool {
			st, err := q.Stats(t.Context(), "w", "g")
			return err == nil && st.Pending == 1 && st.Lag == 0 && st.Length == 1
		})
	}
	if c := q.Counters(); c.Refused != 0 || c.Lost != 0 {
		t.Errorf("got %+v", c)
	}
}

// Of several groups the last one to finish a job makes room.
func TestOneLongJobOfTwoGroups(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{MaxLen: 100})
	for _, g := range []string{"a", "b"} {
		s.Must("XGROUP", "CREATE", fullKey, g, "0", "MKSTREAM")
	}
	o := queue.ConsumeOptions{Concurrency: 2, StopTimeout: 1}
	a, b := newNotes(), newNotes()
	consume(t, q, "w", "a", slowOne(t, a), o)
	put(t, q, "slow", 1)
	put(t, q, "fast", 99)
	a.waitLen(t, 100)
	if _, err := q.Publish(t.Context(), "w", "fast"); !errors.Is(err, queue.ErrFull) {
		t.Errorf("b has not done any, and there is room: %v", err)
	}
	consume(t, q, "w", "b", slowOne(t, b), o)
	b.waitLen(t, 100)
	eventually(t, "room", func() bool { return s.Must("XLEN", fullKey) == int64(1) })
	put(t, q, "fast", 99)
	a.waitLen(t, 199)
	b.waitLen(t, 199)
}

// Workers in other languages acknowledge, and do no more.
func TestOneLongJobOfOtherWorkers(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{MaxLen: 2000})
	s.Must("XGROUP", "CREATE", fullKey, "g", "0", "MKSTREAM")
	s.Must("XGROUP", "CREATE", fullKey, "h", "0", "MKSTREAM")
	for round := range 3 {
		put(t, q, "job", 2000-round) // one more is in hand after each
		for _, g := range []string{"g", "h"} {
			left := map[string][]string{"g": {"XACK", fullKey, "g"}, "h": {"XACK", fullKey, "h"}}[g]
			for i, id := range read(s, g) {
				if i != 1500 {
					left = append(left, id)
				}
			}
			s.Must(left...)
		}
	}
	if n := s.Must("XLEN", fullKey); n.(int64) > 2000 {
		t.Errorf("%d entries", n)
	}
	for _, g := range []string{"g", "h"} {
		if st, err := q.Stats(t.Context(), "w", g); err != nil || st.Pending != 3 || st.Lag != 0 {
			t.Errorf("%v, got %+v", err, st)
		}
	}
	// What is in hand, or was not handed out, is still there.
	put(t, q, "new", 2000-3)
	if _, err := q.Publish(t.Context(), "w", "new"); !errors.Is(err, queue.ErrFull) {
		t.Errorf("more than MaxLen jobs: %v", err)
	}
	if n := len(s.Must("XAUTOCLAIM", fullKey, "g", "other", "0", "0", "COUNT", "100").([]any)[1].([]any)); n != 3 {
		t.Errorf("%d of the jobs in hand are left, want 3", n)
	}
	if n := len(read(s, "g")); n != 2000-3 {
		t.Errorf("%d new jobs, want %d", n, 2000-3)
	}
}

// read has a worker of another language take what is new.
func read(s *redistest.Server, group string) (ids []string) {
	answer, _ := s.Must("XREADGROUP", "GROUP", group, "js", "COUNT", "10000", "STREAMS", fullKey, ">").([]any)
	for _, stream := range answer {
		for _, e := range stream.([]any)[1].([]any) {
			ids = append(ids, fmt.Sprint(e.([]any)[0]))
		}
	}
	return ids
}

// The lag is told although entries in the middle are gone.
func TestLagBehindLongJob(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	got := newNotes()
	put(t, q, "slow", 1)
	put(t, q, "fast", 50)
	put(t, q, "slow", 1)
	put(t, q, "fast", 20)
	consume(t, q, "w", "g", slowOne(t, got), queue.ConsumeOptions{Concurrency: 2, Prefetch: -1, StopTimeout: 1})
	got.waitLen(t, 52)
	eventually(t, "two jobs in hand and the rest waiting", func() bool {
		st, err := q.Stats(t.Context(), "w", "g")
		return err == nil && st.Pending == 2 && st.Lag == 20 && st.Length == 22
	})
	st, err := q.Stats(t.Context(), "w", "new")
	if err != nil || st.Lag != 22 {
		t.Errorf("a group that is not there yet: %+v, %v", st, err)
	}
	s.Must("XGROUP", "CREATE", fullKey, "new", "0")
	if st, err = q.Stats(t.Context(), "w", "new"); err != nil || st.Lag != 22 {
		t.Errorf("a group that has got nothing: %+v, %v", st, err)
	}
}

// What the example of Stats serves.
func TestMetrics(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	put(t, q, "job", 7)
	s.Must("XGROUP", "CREATE", fullKey, "g", "0")
	s.Must("XREADGROUP", "GROUP", "g", "js", "COUNT", "3", "STREAMS", fullKey, ">")
	w := httptest.NewRecorder()
	metrics(q, "w", "g").ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, line := range []string{`queue_lag{queue="w",group="g"} 4`, `queue_pending{queue="w",group="g"} 3`, `queue_dead{queue="w"} 0`} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("no %s in\n%s", line, w.Body)
		}
	}
}
