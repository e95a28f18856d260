package emitter_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/emitter"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// TestOrder: what one goroutine sends stays in order, whoever else sends.
func TestOrder(t *testing.T) {
	r := redistest.Standalone(t)
	e := open(t, emitter.Options{URLs: []string{r.URL()}, Mode: emitter.Streams, MaxLen: -1})
	const senders, each = 8, 500
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				must(t, e.To(fmt.Sprint(s)).Emit("n", i))
				if i%100 == 0 {
					must(t, e.Flush(patient(t)))
				}
			}
		})
	}
	wg.Wait()
	must(t, e.Flush(patient(t)))
	if s := e.Stats(); s != (emitter.Stats{Sent: senders * each}) {
		t.Errorf("%+v", s)
	}
	entries := r.Must("XRANGE", "socket.io", "-", "+").([]any)
	if len(entries) != senders*each {
		t.Fatalf("%d entries", len(entries))
	}
	var next [senders]int
	for _, entry := range entries {
		fields := entry.([]any)[1].([]any)
		data := fields[len(fields)-1].(string)
		s := int(data[strings.Index(data, `"rooms":["`)+len(`"rooms":["`)] - '0')
		if !strings.Contains(data, fmt.Sprintf(`["n",%d]`, next[s])) {
			t.Fatalf("%d: got %s, want %d", s, data, next[s])
		}
		next[s]++
	}
}

// TestClose: Close sends what waits, and ends the emitters to all namespaces.
func TestClose(t *testing.T) {
	r := redistest.Standalone(t)
	e, err := emitter.New(patient(t), emitter.Options{URLs: []string{r.URL()}, Mode: emitter.Streams})
	must(t, err)
	for i := range 1000 {
		must(t, e.Of("chat").Emit("n", i))
	}
	must(t, e.Close())
	must(t, e.Close())
	if n := r.Must("XLEN", "socket.io").(int64); n != 1000 {
		t.Errorf("%d entries", n)
	}
	err = e.Of("chat").Emit("late")
	if !errors.Is(err, emitter.ErrClosed) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := e.Ready(); !errors.Is(err, emitter.ErrClosed) {
		t.Errorf("got %v", err)
	}
	must(t, e.Flush(patient(t)))
	if s := e.Stats(); s != (emitter.Stats{Sent: 1000, DroppedClosed: 1}) {
		t.Errorf("%+v", s)
	}
}

// TestOutage: while Redis is away messages wait, then are refused; Flush tells
// of those that waited in vain, and everything resumes by itself.
func TestOutage(t *testing.T) {
	r := redistest.Standalone(t)
	log := new(buffer)
	e := open(t, emitter.Options{
		URLs: []string{r.URL()}, Mode: emitter.Streams, PublishTimeout: 300 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	r.Kill()
	const waiting = 3
	for range waiting {
		must(t, e.Emit("waits in vain"))
	}
	err := e.Flush(patient(t))
	var lost *emitter.LostError
	if !errors.As(err, &lost) || lost.Count != waiting || !strings.Contains(err.Error(), "3 messages are lost") {
		t.Errorf("got %v", err)
	}
	must(t, e.Flush(patient(t))) // said once
	eventually(t, "a refusal", func() bool { return errors.Is(e.Emit("refused"), emitter.ErrDown) })
	if err := e.Emit("refused"); err == nil || !strings.Contains(err.Error(), "Ready") {
		t.Errorf("got %v", err)
	}
	if err := e.Ready(); err == nil || !strings.Contains(err.Error(), "redis at "+r.Addr()) {
		t.Errorf("got %v", err)
	}
	_ = e.Flush(patient(t)) // what was let in before the first refusal
	r.Restart()
	eventually(t, "the connection", func() bool { return e.Ready() == nil })
	sent := e.Stats().Sent
	must(t, e.Emit("again"))
	must(t, e.Flush(patient(t)))
	s := e.Stats()
	if s.Sent != sent+1 || s.Waiting != 0 || s.DroppedDown+s.DroppedBroken < waiting+1 || s.DroppedRefused+s.DroppedBacklog+s.DroppedClosed != 0 {
		t.Errorf("%+v", s)
	}
	if n := r.Must("XLEN", "socket.io").(int64); n != 1 {
		t.Errorf("%d entries", n)
	}
	if !strings.Contains(log.String(), "connection to redis lost") || !strings.Contains(log.String(), "connected to redis again") {
		t.Errorf("logged: %s", log)
	}
}

// TestBacklog: who sends faster than Redis takes is refused, and loses nothing
// when it flushes and tries again.
func TestBacklog(t *testing.T) {
	r := redistest.Standalone(t)
	e := open(t, emitter.Options{URLs: []string{r.URL()}, Mode: emitter.Streams, BacklogBytes: 1 << 16, PublishTimeout: patience})
	r.Pause()
	defer r.Resume()
	text := strings.Repeat("x", 1000)
	taken, refused := uint64(0), error(nil)
	for refused == nil && taken < 10_000 {
		if refused = e.Emit("text", text); refused == nil {
			taken++
		}
	}
	if !errors.Is(refused, emitter.ErrBacklog) || !strings.Contains(refused.Error(), "Flush") {
		t.Fatalf("got %v after %d", refused, taken)
	}
	r.Resume()
	must(t, e.Flush(patient(t)))
	must(t, e.Emit("text", text))
	must(t, e.Flush(patient(t)))
	if s := e.Stats(); s != (emitter.Stats{Sent: taken + 1, DroppedBacklog: 1}) {
		t.Errorf("%+v after %d", s, taken)
	}
}

// TestFlushEnds: Flush ends with its context, and what was lost is told later.
func TestFlushEnds(t *testing.T) {
	r := redistest.Standalone(t)
	e := open(t, emitter.Options{URLs: []string{r.URL()}, PublishTimeout: 300 * time.Millisecond})
	r.Pause()
	defer r.Resume()
	must(t, e.Emit("waits in vain"))
	soon, cancel := contextWithCause(t, "impatient")
	cancel()
	if err := e.Flush(soon); err == nil || !strings.Contains(err.Error(), "impatient") {
		t.Errorf("got %v", err)
	}
	var lost *emitter.LostError
	if err := e.Close(); !errors.As(err, &lost) || lost.Count != 1 {
		t.Errorf("got %v", err)
	}
}

// TestRights: an emitter needs the rights to publish and no others, and says
// when Redis refuses.
func TestRights(t *testing.T) {
	r := redistest.Standalone(t, redistest.Options{
		Password: "pw", User: "sender", UserPassword: "secret", UserRules: "resetchannels &socket.io#/#* +publish +hello +ping",
	})
	log := new(buffer)
	e := open(t, emitter.Options{URLs: []string{"redis://sender:secret@" + r.Addr()}, Logger: slog.New(slog.NewTextHandler(log, nil))})
	must(t, e.To("r").Emit("allowed"))
	must(t, e.Flush(patient(t)))
	must(t, e.Of("/chat").Emit("not allowed"))
	must(t, e.Of("/chat").Emit("not allowed"))
	err := e.Flush(patient(t))
	var lost *emitter.LostError
	if !errors.As(err, &lost) || lost.Count != 2 || !strings.Contains(err.Error(), "redis: NOPERM") {
		t.Errorf("got %v", err)
	}
	if s := e.Stats(); s != (emitter.Stats{Sent: 1, DroppedRefused: 2}) {
		t.Errorf("%+v", s)
	}
	if n := strings.Count(log.String(), "redis refuses messages"); n != 1 {
		t.Errorf("logged %d times: %s", n, log)
	}
	_, err = emitter.New(patient(t), emitter.Options{URLs: []string{"redis://sender:wrong@" + r.Addr()}})
	if err == nil || !strings.Contains(err.Error(), "check the user and password") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %v", err)
	}
}
