package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/nettest"
	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/queue"
)

// Redis stops for longer than leases last: nothing is lost, and workers go on.
func TestPause(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	got := newNotes()
	for range 2 {
		consume(t, q, "w", "g", func(_ context.Context, j *queue.Job) error {
			got.add(string(j.Args()))
			return nil
		}, queue.ConsumeOptions{MinIdle: 500 * time.Millisecond, Concurrency: 2})
	}
	const count = 300
	for i := range count {
		if i == 100 {
			s.Pause()
			time.AfterFunc(2*time.Second, s.Resume)
		}
		eventually(t, "a stored job", func() bool {
			_, err := q.Publish(context.Background(), "w", "job", i)
			return err == nil
		})
	}
	got.wait(t, func(seen []string) bool { return distinct(seen) == count })
	eventually(t, "an empty stream", func() bool { return s.Must("XLEN", "socketeer:queue:{w}") == int64(0) })
}

// Redis loses everything: the group is made again.
func TestRestart(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	got := newNotes()
	consume(t, q, "w", "g", func(_ context.Context, j *queue.Job) error {
		got.add(string(j.Args()))
		return nil
	}, queue.ConsumeOptions{Concurrency: 2})
	put := func(from, to int) {
		for i := from; i < to; i++ {
			eventually(t, "a stored job", func() bool {
				_, err := q.Publish(context.Background(), "w", "job", i)
				return err == nil
			})
		}
	}
	put(0, 50)
	got.waitLen(t, 50)
	s.Kill()
	if _, err := q.Publish(t.Context(), "w", "job", "nobody there"); err == nil {
		t.Error("published without Redis")
	}
	s.Restart()
	put(50, 100)
	got.wait(t, func(seen []string) bool { return distinct(seen) == 100 })
	s.Must("CLIENT", "KILL", "TYPE", "normal")
	put(100, 150)
	got.wait(t, func(seen []string) bool { return distinct(seen) == 150 })
	if c := q.Counters(); c.PublishErrors == 0 {
		t.Errorf("got %+v", c)
	}
}

// A connection that swallows everything does not hold a worker for ever.
func TestBlackhole(t *testing.T) {
	s := redistest.Standalone(t)
	p := nettest.StartProxy(t, s.Addr())
	q := open(t, "redis://"+p.Addr(), queue.Options{})
	direct := open(t, s.URL(), queue.Options{})
	got := newNotes()
	consume(t, q, "w", "g", func(_ context.Context, j *queue.Job) error {
		got.add(string(j.Args()))
		return nil
	}, queue.ConsumeOptions{MinIdle: time.Second}) // until a job whose delivery was swallowed comes again
	put := func(i int) {
		if _, err := direct.Publish(t.Context(), "w", "job", i); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	got.waitLen(t, 1)
	p.Blackhole(true)
	put(1)
	p.Blackhole(false)
	put(2)
	got.wait(t, func(seen []string) bool { return distinct(seen) == 3 })
}

func distinct(seen []string) int {
	seen = slices.Sorted(slices.Values(seen))
	return len(slices.Compact(seen))
}

func FuzzDecode(f *testing.F) {
	f.Add("e", `["a",{"_placeholder":true,"num":0}]`, `["AQI="]`)
	f.Add("", `{`, `[1]`)
	f.Add("e", `[{"_placeholder":true,"num":9}]`, `null`)
	f.Add("e", strings.Repeat("[", 1000), `[]`)
	f.Fuzz(func(t *testing.T, event, args, attachments string) {
		j, err := queue.DecodeEntry("1-1", map[string]string{"event": event, "args": args, "attachments": attachments})
		if err != nil {
			if strings.Contains(err.Error(), "\x00") {
				t.Error("the error repeats the input")
			}
			return
		}
		var v any
		if err := j.Decode(&v); err == nil {
			_ = fmt.Sprint(v)
		}
	})
}
