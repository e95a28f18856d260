package peerlog_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/peerlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// net joins logs; frames are delivered by one goroutine for each log, unless
// they are lost.
type net struct {
	mu    sync.Mutex
	peers []string
	logs  map[string]*peerlog.Log
	lose  func(from, to string) bool
}

func incarnation(i int) string { return fmt.Sprintf("%c%015d", 'a'+i, 0) }

// newNet starts n logs. Bodies are the room that they are for, and a text.
func newNet(tb testing.TB, n int, adjust func(*peerlog.Config)) (*net, []*peerlog.Log) {
	tb.Helper()
	w := &net{logs: make(map[string]*peerlog.Log)}
	var list []*peerlog.Log
	for i := range n {
		list = append(list, w.add(tb, incarnation(i), adjust))
	}
	return w, list
}

// add starts a log, and tells the others.
func (w *net) add(tb testing.TB, self string, adjust func(*peerlog.Config)) *peerlog.Log {
	tb.Helper()
	queue, stop, done := make(chan func(), 1<<12), make(chan struct{}), make(chan struct{})
	cfg := peerlog.Config{
		Self: self, Name: func(s string) string { return s[:1] }, Drain: func(context.Context, string) {},
		Peers: func() []string { return w.others(self) },
		Send: func(to string, frame []byte) error {
			w.mu.Lock()
			l, lost := w.logs[to], w.lose != nil && w.lose(self, to)
			w.mu.Unlock()
			if l == nil || lost {
				return nil
			}
			b := bytes.Clone(frame)
			select {
			case queue <- func() { _ = l.Receive(self, b) }:
			case <-stop:
			}
			return nil
		},
		Decode:   decode,
		MaxFrame: 1 << 20, Bytes: 1 << 20, SessionBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler),
	}
	if adjust != nil {
		adjust(&cfg)
	}
	l := peerlog.New(cfg)
	l.Open("/", func(f func()) bool { f(); return true }, func(*adapter.Message) {})
	go func() {
		defer close(done)
		for {
			select {
			case f := <-queue:
				f()
			case <-stop:
				return
			}
		}
	}()
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		l.Close(ctx)
		close(stop)
		<-done
	})
	w.mu.Lock()
	w.peers, w.logs[self] = append(w.peers, self), l
	w.mu.Unlock()
	l.Start()
	w.tell()
	return l
}

func (w *net) others(self string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.peers), func(p string) bool { return p == self })
}

// tell tells all logs who is there.
func (w *net) tell() {
	w.mu.Lock()
	logs := slices.Collect(maps.Values(w.logs))
	w.mu.Unlock()
	for _, l := range logs {
		l.PeersChanged()
	}
}

func decode(body []byte) (*adapter.Message, error) {
	room, text, ok := strings.Cut(string(body), " ")
	if !ok {
		return nil, fmt.Errorf("body %q", body)
	}
	return &adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{room}}, Data: []byte(text)}, nil
}

// emit appends, and returns the offset when it is kept.
func emit(tb testing.TB, l *peerlog.Log, body string) string {
	tb.Helper()
	kept := make(chan string, 1)
	if err := l.Append("/", []byte(body), func(uint64) {}, func() {}, func(offset string) { kept <- offset }); err != nil {
		tb.Fatal(err)
	}
	select {
	case offset := <-kept:
		return offset
	case <-time.After(20 * time.Second):
		tb.Fatal("not kept")
		return ""
	}
}

func missed(tb testing.TB, l *peerlog.Log, offset string) (string, error) {
	list, err := l.Missed(tb.Context(), "/", &adapter.Session{Rooms: []string{"r"}}, offset)
	var texts []string
	for _, m := range list {
		texts = append(texts, string(m.Data))
	}
	return strings.Join(texts, " "), err
}

func (w *net) setLose(f func(from, to string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = f
}

// kill takes nodes out of the net; the others are told at once.
func (w *net) kill(dead ...string) {
	w.mu.Lock()
	for _, d := range dead {
		delete(w.logs, d)
	}
	w.peers = slices.DeleteFunc(w.peers, func(p string) bool { return slices.Contains(dead, p) })
	w.mu.Unlock()
	w.tell()
}

// inSync waits until a log's replicas have what they are to have.
func inSync(tb testing.TB, l *peerlog.Log, replicas int) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); l.Stats().InSync != replicas; {
		if time.Now().After(deadline) {
			tb.Fatalf("not in sync: %+v", l.Stats())
		}
		runtime.Gosched()
	}
}

// Links repair what the bus loses.
func TestLossyBus(t *testing.T) {
	w, list := newNet(t, 3, nil)
	inSync(t, list[0], 2)
	var n int
	w.setLose(func(string, string) bool { n++; return n%7 == 0 })
	first := emit(t, list[0], "r 0")
	for i := 1; i < 30; i++ {
		emit(t, list[0], fmt.Sprint("r ", i))
	}
	w.setLose(nil)
	w.kill(incarnation(0))
	for i, l := range list[1:] {
		got, err := missed(t, l, first)
		if err != nil || !strings.HasSuffix(got, " 29") || strings.Count(got, " ") != 28 {
			t.Errorf("node %d has %q, error %v", i+1, got, err)
		}
	}
	if s := list[0].Stats(); s.Resends == 0 {
		t.Errorf("%+v", s)
	}
}

// A frozen replica is not waited for, and catches up.
func TestFrozenReplica(t *testing.T) {
	w, list := newNet(t, 2, nil)
	inSync(t, list[0], 1)
	first := emit(t, list[0], "r 0")
	w.setLose(func(_, to string) bool { return to == incarnation(1) })
	begin := time.Now()
	emit(t, list[0], "r 1")
	if d := time.Since(begin); d < 500*time.Millisecond || d > 10*time.Second {
		t.Errorf("kept after %v", d)
	}
	begin = time.Now()
	emit(t, list[0], "r 2")
	if d := time.Since(begin); d > 500*time.Millisecond {
		t.Errorf("then %v", d)
	}
	if s := list[0].Stats(); s.OutOfSync != 1 || s.InSync != 0 {
		t.Errorf("%+v", s)
	}
	w.setLose(nil)
	inSync(t, list[0], 1)
	w.kill(incarnation(0))
	if got, err := missed(t, list[1], first); got != "1 2" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// When a sender dies with what nobody else has, its clients are not recovered.
func TestLostTailIsAGap(t *testing.T) {
	w, list := newNet(t, 2, nil)
	inSync(t, list[0], 1)
	emit(t, list[0], "r 0")
	w.setLose(func(string, string) bool { return true })
	offset := emit(t, list[0], "r 1") // kept here only, since the other one is silent
	w.setLose(nil)
	w.kill(incarnation(0))
	if got, err := missed(t, list[1], offset); err == nil || !strings.Contains(err.Error(), adapter.Gap) {
		t.Errorf("got %q, %v", got, err)
	}
}

// A node that joins gets what is kept of those that are gone, so that nodes can
// be replaced one by one.
func TestReplacedOneByOne(t *testing.T) {
	w, list := newNet(t, 2, nil)
	inSync(t, list[0], 1)
	first := emit(t, list[0], "r 0")
	emit(t, list[0], "r 1")
	if err := list[0].SaveSession(t.Context(), "/", &adapter.Session{SID: "s", PID: "p", Live: true}); err != nil {
		t.Fatal(err)
	}
	w.kill(incarnation(0))
	late := w.add(t, incarnation(2), nil)
	inSync(t, list[1], 1)
	w.kill(incarnation(1))
	if got, err := missed(t, late, first); got != "1" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if s, err := late.TakeSession(t.Context(), "/", "p"); err != nil || s.Live || s.SID != "s" {
		t.Errorf("session %+v, %v", s, err)
	}
}

// A node ends between saying that it has a session and being asked for it.
func TestTakenWhileItsNodeEnds(t *testing.T) {
	var w *net
	var armed, found atomic.Bool
	var killing sync.WaitGroup
	owner, taker := incarnation(0), incarnation(2)
	w, logs := newNet(t, 2, nil)
	last := w.add(t, taker, func(c *peerlog.Config) {
		send := c.Send
		c.Send = func(to string, frame []byte) error {
			switch {
			case to != owner || !armed.Load(), found.CompareAndSwap(false, true):
				return send(to, frame)
			case armed.CompareAndSwap(true, false):
				killing.Go(func() { w.kill(owner) })
			}
			return nil
		}
	})
	defer killing.Wait()
	for _, l := range append(logs, last) {
		inSync(t, l, 2)
	}
	if err := logs[0].SaveSession(t.Context(), "/", &adapter.Session{PID: "pid", SID: "sid", Rooms: []string{"room"}}); err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	s, err := last.TakeSession(t.Context(), "/", "pid")
	if err != nil || s.SID != "sid" || s.Live {
		t.Errorf("got %+v, %v", s, err)
	}
	if s, err := logs[1].TakeSession(t.Context(), "/", "pid"); err == nil {
		t.Errorf("taken twice: %+v", s)
	}
}

func TestTooMuchIsTrimmed(t *testing.T) {
	_, list := newNet(t, 1, func(c *peerlog.Config) { c.Bytes = 1 << 16 })
	first := emit(t, list[0], "r 0")
	var last string
	for range 200 {
		last = emit(t, list[0], "x "+strings.Repeat("x", 1000))
	}
	if _, err := missed(t, list[0], first); err == nil || !strings.Contains(err.Error(), adapter.Trimmed) {
		t.Errorf("got %v", err)
	}
	if _, err := missed(t, list[0], last); err != nil {
		t.Error(err)
	}
	if s := list[0].Stats(); s.Bytes > 1<<16 || s.Trimmed == 0 {
		t.Errorf("%+v", s)
	}
}

func TestClosedLog(t *testing.T) {
	_, list := newNet(t, 1, nil)
	list[0].Close(t.Context())
	if err := list[0].Append("/", nil, nil, nil, nil); err == nil {
		t.Error("appended after Close")
	}
	if err := list[0].SaveSession(t.Context(), "/", &adapter.Session{}); err == nil {
		t.Error("saved after Close")
	}
	if _, err := list[0].TakeSession(t.Context(), "/", "p"); err == nil {
		t.Error("taken after Close")
	}
}

// FuzzReceive sends a log whatever frames.
func FuzzReceive(f *testing.F) {
	for _, seed := range frames(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		l := peerlog.New(peerlog.Config{
			Self: incarnation(0), Peers: func() []string { return nil }, Name: func(s string) string { return s },
			Send: func(string, []byte) error { return nil }, Drain: func(context.Context, string) {}, Decode: decode,
			MaxFrame: 1 << 20, Bytes: 1 << 20, SessionBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler),
		})
		_ = l.Receive(incarnation(1), frame)
		_ = l.Receive(incarnation(1), frame)
		if s := l.Stats(); s.Bytes < 0 || s.Bytes > 1<<20 || s.SessionBytes > 1<<20 {
			t.Errorf("%+v", s)
		}
	})
}

// frames are some that logs send each other.
func frames(tb testing.TB) [][]byte {
	var mu sync.Mutex
	var all [][]byte
	_, logs := newNet(tb, 2, func(c *peerlog.Config) {
		send := c.Send
		c.Send = func(to string, frame []byte) error {
			mu.Lock()
			all = append(all, bytes.Clone(frame))
			mu.Unlock()
			return send(to, frame)
		}
	})
	ctx := context.Background()
	kept := make(chan string, 1)
	if err := logs[0].Append("/", []byte("r 1"), func(uint64) {}, func() {}, func(o string) { kept <- o }); err != nil {
		tb.Fatal(err)
	}
	offset := <-kept
	if err := logs[0].SaveSession(ctx, "/", &adapter.Session{SID: "s", PID: "p", Rooms: []string{"r"}}); err != nil {
		tb.Fatal(err)
	}
	if _, err := logs[1].Missed(ctx, "/", &adapter.Session{}, offset); err != nil {
		tb.Fatal(err)
	}
	if _, err := logs[1].TakeSession(ctx, "/", "p"); err != nil {
		tb.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(all)
}

// FuzzOffset compares what can be any string.
func FuzzOffset(f *testing.F) {
	for _, s := range []string{"", "~", "~abcd1", "~abcd1.efgh2", "~abcd-----------"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if peerlog.Newer(a, a) || peerlog.Newer(b, b) {
			t.Errorf("%q or %q is newer than itself", a, b)
		}
		peerlog.Newer(a, b)
	})
}
