package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/queue"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(asWorker); addr != "" {
		fmt.Fprintln(os.Stderr, work(addr, os.Getenv(asName))) // until it is killed
		os.Exit(1)
	}
	// The client of a Redis Cluster closes connections to nodes that it does not
	// use any more after some seconds.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

// patience is how long anything may take that must happen.
const patience = 30 * time.Second

func open(t *testing.T, url string, o queue.Options) *queue.Queue {
	t.Helper()
	o.URL = url
	q, err := queue.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// notes is what handlers saw.
type notes struct {
	mu      sync.Mutex
	seen    []string
	changed chan struct{}
}

func newNotes() *notes { return &notes{changed: make(chan struct{})} }

func (n *notes) add(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, s)
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *notes) wait(t *testing.T, cond func(seen []string) bool) []string {
	t.Helper()
	timeout := time.After(patience)
	for {
		n.mu.Lock()
		seen, changed := slices.Clone(n.seen), n.changed
		n.mu.Unlock()
		if cond(seen) {
			return seen
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited %v; seen %d: %.500q", patience, len(seen), seen)
		}
	}
}

func (n *notes) waitLen(t *testing.T, count int) []string {
	t.Helper()
	return n.wait(t, func(seen []string) bool { return len(seen) >= count })
}

// eventually waits for a state of Redis.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// consume runs a worker until the test or stop ends it.
func consume(t *testing.T, q *queue.Queue, name, group string, h queue.Handler, o queue.ConsumeOptions) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Consume(ctx, name, group, h, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestOnceEach(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	got := newNotes()
	for range 3 {
		consume(t, q, "work", "g", func(_ context.Context, j *queue.Job) error {
			var s string
			if err := j.Decode(&s); err != nil {
				return err
			}
			got.add(s)
			return nil
		}, queue.ConsumeOptions{Concurrency: 4})
	}
	const publishers, each = 4, 250
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if _, err := q.Publish(context.Background(), "work", "job", fmt.Sprint(p, " ", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := got.waitLen(t, publishers*each)
	slices.Sort(seen)
	if len(slices.Compact(slices.Clone(seen))) != publishers*each || len(seen) != publishers*each {
		t.Errorf("%d jobs handled, %d different; want %d", len(seen), len(slices.Compact(seen)), publishers*each)
	}
	eventually(t, "an empty stream", func() bool { return s.Must("XLEN", "socketeer:queue:{work}") == int64(0) })
	eventually(t, "the last acknowledgement to be counted", func() bool { return q.Counters().Handled == publishers*each })
	if c := q.Counters(); c.Published != publishers*each || c.Lost+c.Failed+c.Dead != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestContent(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{Prefix: "p"})
	type value struct {
		Text string
		Data []byte
	}
	want := value{"ü\x00\"", []byte{0, 255, 1}}
	jobs := make(chan *queue.Job, 1)
	consume(t, q, "a b:ü", "g", func(_ context.Context, j *queue.Job) error { jobs <- j; return nil }, queue.ConsumeOptions{})
	before := time.Now()
	id, err := q.Publish(t.Context(), "a b:ü", "e", want, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	j := <-jobs
	var v value
	var n int
	if err := j.Decode(&v, &n, nil); err != nil {
		t.Fatal(err)
	}
	if v.Text != want.Text || !bytes.Equal(v.Data, want.Data) || n != 7 || j.ID != id || j.Event != "e" || j.Queue != "a b:ü" || j.Tries != 1 ||
		j.SID != "" || j.Published().Before(before.Add(-time.Second)) {
		t.Errorf("got %+v %+v", j, v)
	}
}

func TestRetryAndDead(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	got := newNotes()
	o := queue.ConsumeOptions{MinIdle: 2 * time.Second, Backoff: 20 * time.Millisecond, MaxTries: 3}
	fail := func(_ context.Context, j *queue.Job) error {
		got.add(fmt.Sprint(j.Event, j.Tries))
		switch {
		case j.Event == "flaky" && j.Tries == 2:
			return nil
		case j.Event == "permanent":
			return queue.Permanent(errors.New("no use"))
		case j.Event == "panics":
			panic("oops")
		case j.Event == "fine":
			return nil
		}
		return errors.New("not now")
	}
	stop := consume(t, q, "w", "g", fail, o)
	for _, e := range []string{"flaky", "permanent", "panics", "never"} {
		if _, err := q.Publish(t.Context(), "w", e, e, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	s.Must("XADD", "socketeer:queue:{w}", "*", "event", "broken", "args", "{")
	s.Must("XADD", "socketeer:queue:{w}", "*", "no", "event")
	eventually(t, "dead letters", func() bool { return s.Must("XLEN", "socketeer:queue:{w}:dead") == int64(5) })
	stop()
	seen := got.waitLen(t, 2+1+3+3)
	slices.Sort(seen)
	if want := "flaky1 flaky2 never1 never2 never3 panics1 panics2 panics3 permanent1"; strings.Join(seen, " ") != want {
		t.Errorf("got %v", seen)
	}
	letters := map[string]*queue.DeadLetter{}
	for d, err := range q.Dead(t.Context(), "w") {
		if err != nil {
			t.Fatal(err)
		}
		letters[d.Event] = d
	}
	never := letters["never"]
	var text string
	var data []byte
	if err := never.Decode(&text, &data); err != nil || text != "never" || string(data) != "x" {
		t.Errorf("%v, got %+v", err, never)
	}
	if never.Tries != 3 || never.Group != "g" || never.Error != "not now" || letters["permanent"].Error != "no use" || len(letters) != 5 {
		t.Errorf("got %+v, %+v", never, letters)
	}
	if c := q.Counters(); c.Dead != 5 || c.Retried != 5 || c.Handled != 1 {
		t.Errorf("got %+v", c)
	}
	// Put back, it is a new job; once only.
	if _, err := q.Revive(t.Context(), never); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Revive(t.Context(), never); err == nil {
		t.Error("put back twice")
	}
	consume(t, q, "w", "g", func(_ context.Context, j *queue.Job) error {
		got.add(fmt.Sprint("again ", j.Event, j.Tries))
		return nil
	}, o)
	got.wait(t, func(seen []string) bool { return slices.Contains(seen, "again never1") })
}

func TestDeadWorker(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	const key = "socketeer:queue:{w}"
	for i := range 50 {
		if _, err := q.Publish(t.Context(), "w", "job", i); err != nil {
			t.Fatal(err)
		}
	}
	s.Must("XGROUP", "CREATE", key, "g", "0")
	s.Must("XREADGROUP", "GROUP", "g", "dead", "COUNT", "50", "STREAMS", key, ">")
	got := newNotes()
	consume(t, q, "w", "g", func(_ context.Context, j *queue.Job) error {
		got.add(fmt.Sprint(string(j.Args()), j.Tries))
		return nil
	}, queue.ConsumeOptions{MinIdle: 300 * time.Millisecond, Concurrency: 2})
	if seen := got.waitLen(t, 50); !slices.Contains(seen, "[49]2") {
		t.Errorf("got %v", seen)
	}
	eventually(t, "the dead worker's removal", func() bool { return q.Counters().Claimed == 50 })
}

// A handler that takes longer than a lease keeps its job; one whose job is
// taken away is told.
func TestLease(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	got := newNotes()
	release := make(chan struct{})
	h := func(ctx context.Context, j *queue.Job) error {
		got.add("begun " + j.ID)
		select {
		case <-release:
		case <-ctx.Done():
			got.add(fmt.Sprint("lost ", context.Cause(ctx)))
			return ctx.Err()
		}
		return nil
	}
	for range 2 {
		consume(t, q, "w", "g", h, queue.ConsumeOptions{MinIdle: 300 * time.Millisecond})
	}
	id, err := q.Publish(t.Context(), "w", "slow")
	if err != nil {
		t.Fatal(err)
	}
	got.waitLen(t, 1)
	const key = "socketeer:queue:{w}"
	idle := func() int64 {
		return s.Must("XPENDING", key, "g", id, id, "1").([]any)[0].([]any)[2].(int64)
	}
	// The lease is renewed five times: its idle time falls.
	for renewals, last := 0, int64(0); renewals < 5; {
		now := idle()
		if now < last {
			renewals++
		}
		last = now
	}
	if seen := got.waitLen(t, 1); len(seen) != 1 {
		t.Errorf("handled more than once: %v", seen)
	}
	s.Must("XCLAIM", key, "g", "thief", "0", id)
	got.wait(t, func(seen []string) bool { return slices.Contains(seen, "lost "+queue.ErrLost.Error()) })
	close(release)
	// The thief does nothing: its lease ends, and the job is done after all.
	eventually(t, "the job", func() bool { return q.Counters().Handled == 1 })
}

func TestStop(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	for i := range 10 {
		if _, err := q.Publish(t.Context(), "w", "job", i); err != nil {
			t.Fatal(err)
		}
	}
	got := newNotes()
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	o := queue.ConsumeOptions{Concurrency: 2, Prefetch: 3, MinIdle: time.Minute}
	go func() {
		done <- q.Consume(ctx, "w", "g", func(ctx context.Context, j *queue.Job) error {
			got.add("first " + string(j.Args()))
			<-release
			return ctx.Err()
		}, o)
	}()
	got.waitLen(t, 2)
	eventually(t, "five in hand", func() bool {
		st, err := q.Stats(t.Context(), "w", "g")
		return err == nil && st.Pending == 5 && st.Lag == 5 && st.Length == 10 && st.Consumers == 1
	})
	cancel()
	// Another worker gets what was not begun while two handlers still run.
	consume(t, q, "w", "g", func(_ context.Context, j *queue.Job) error {
		got.add(fmt.Sprint("second ", string(j.Args()), j.Tries))
		return nil
	}, o)
	seen := got.waitLen(t, 10)
	for i := 2; i < 10; i++ {
		if !slices.Contains(seen, fmt.Sprintf("second [%d]1", i)) {
			t.Errorf("job %d is not among %v", i, seen)
		}
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually(t, "everything done", func() bool {
		st, err := q.Stats(t.Context(), "w", "g")
		return err == nil && st.Pending == 0 && st.Length == 0 && st.Consumers == 1
	})
	if c := q.Counters(); c.Handled != 10 || c.Released != 3 {
		t.Errorf("got %+v", c)
	}
}

func TestStopTimeout(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	if _, err := q.Publish(t.Context(), "w", "job"); err != nil {
		t.Fatal(err)
	}
	begun := newNotes()
	stop := consume(t, q, "w", "g", func(ctx context.Context, _ *queue.Job) error {
		begun.add("")
		<-ctx.Done()
		return ctx.Err()
	}, queue.ConsumeOptions{StopTimeout: 50 * time.Millisecond})
	begun.waitLen(t, 1)
	stop()
	if c := q.Counters(); c.Released != 1 || c.Failed != 0 {
		t.Errorf("got %+v", c)
	}
	tries := make(chan int, 1)
	consume(t, q, "w", "g", func(_ context.Context, j *queue.Job) error { tries <- j.Tries; return nil }, queue.ConsumeOptions{})
	if n := <-tries; n != 1 {
		t.Errorf("an interrupted job is at try %d, want 1", n)
	}
}

func TestFull(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{MaxLen: 3, MaxPayload: 100})
	for i := range 5 {
		_, err := q.Publish(t.Context(), "w", "job", i)
		if full := errors.Is(err, queue.ErrFull); full != (i >= 3) {
			t.Errorf("job %d: %v", i, err)
		}
	}
	if _, err := q.Publish(t.Context(), "w", "job", make([]byte, 100)); !errors.Is(err, queue.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	got := newNotes()
	consume(t, q, "w", "g", func(_ context.Context, j *queue.Job) error { got.add(j.ID); return nil }, queue.ConsumeOptions{})
	got.waitLen(t, 3)
	eventually(t, "room", func() bool { _, err := q.Publish(t.Context(), "w", "job"); return err == nil })
	if c := q.Counters(); c.Refused < 2 {
		t.Errorf("got %+v", c)
	}
}

// Each group gets all jobs; they stay until the last group has done them.
func TestGroups(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	s.Must("XGROUP", "CREATE", "socketeer:queue:{w}", "b", "0", "MKSTREAM")
	a, b := newNotes(), newNotes()
	consume(t, q, "w", "a", func(_ context.Context, j *queue.Job) error { a.add(j.ID); return nil }, queue.ConsumeOptions{})
	for range 20 {
		if _, err := q.Publish(t.Context(), "w", "job"); err != nil {
			t.Fatal(err)
		}
	}
	a.waitLen(t, 20)
	consume(t, q, "w", "b", func(_ context.Context, j *queue.Job) error { b.add(j.ID); return nil }, queue.ConsumeOptions{})
	if seen := b.waitLen(t, 20); !slices.Equal(seen, a.waitLen(t, 20)) {
		t.Errorf("got %v", seen)
	}
	eventually(t, "an empty stream", func() bool { return s.Must("XLEN", "socketeer:queue:{w}") == int64(0) })
}

func TestRefusals(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	for _, name := range []string{"", "{a}", strings.Repeat("x", 200), "a\nb"} {
		if _, err := q.Publish(t.Context(), name, "e"); err == nil {
			t.Errorf("queue %q accepted", name)
		}
		if err := q.Consume(t.Context(), "q", name, func(context.Context, *queue.Job) error { return nil }, queue.ConsumeOptions{}); err == nil {
			t.Errorf("group %q accepted", name)
		}
	}
	if _, err := queue.New(t.Context(), queue.Options{}); err == nil {
		t.Error("no Redis accepted")
	}
	_, err := queue.New(t.Context(), queue.Options{URL: "redis://:secret@127.0.0.1:port"})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
