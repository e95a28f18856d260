package jslog_test

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/jslog"
)

// What comes beside the stream waits until the stream is there, in the order of
// its sender, and not for ever.
func TestBesideTheStream(t *testing.T) {
	js := connect(t, t.TempDir())
	l := start(t, js, "a", func(c *jslog.Config) { c.BacklogBytes = 4 << 10 })
	var mu sync.Mutex
	var done []string
	note := func(what string) func() {
		return func() {
			mu.Lock()
			defer mu.Unlock()
			done = append(done, what)
		}
	}
	list := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(done, " ")
	}
	l.When("x", 0, 1, note("at once"))
	l.When("x", 1, 1, note("after 1"))
	l.When("x", 0, 1, note("behind it"))
	l.When("y", 0, 1, note("of another"))
	if got := list(); got != "at once of another" {
		t.Errorf("before: %s", got)
	}
	emit(t, l, "/", "first")
	eventually(t, "those that waited", func() bool { return strings.Contains(list(), "behind it") })
	if got := list(); got != "at once of another after 1 behind it" {
		t.Errorf("after it: %s", got)
	}
	begin := time.Now()
	l.When("x", 1000, 1, note("of the future"))
	eventually(t, "it not to wait any longer", func() bool { return strings.Contains(list(), "of the future") })
	if took := time.Since(begin); took < time.Second || l.Stats().Overtaken != 1 {
		t.Errorf("after %v: %+v", took, l.Stats())
	}
	for l.When("x", 1<<40, 1000, func() {}) { //nolint:revive // until it is full
	}
	if n := l.Stats().Drops.Held; n != 1 {
		t.Errorf("%d dropped", n)
	}
}

// A message waits for the fence that it names, and for a sender whose fences do
// not come only once.
func TestFences(t *testing.T) {
	js := connect(t, t.TempDir())
	a := start(t, js, "a", nil)
	cfg := jslog.Config{JS: js, Self: strings.Repeat("b", 16), Stream: "test", MaxPayload: 1 << 20}
	b, err := jslog.New(patient(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Start(func(body []byte) (string, *adapter.Message, uint64, error) {
		nsp, m, _, err := decode(body)
		if err != nil {
			return "", nil, 0, err
		}
		fence, err := strconv.ParseUint(string(m.Data), 10, 64)
		return nsp, m, fence, err
	}, func(string) bool { return false })
	t.Cleanup(func() { b.Close(patient(t)) })
	got := make(chan string, 100)
	b.Open("/", func(f func()) bool { f(); return true }, func(m *adapter.Message) { got <- string(m.Data) })
	sender := "a" + strings.Repeat("x", 15)

	emit(t, a, "/", "0")
	emit(t, a, "/", "1")
	emit(t, a, "/elsewhere", "7") // not open on b: nobody waits
	if n := <-got; n != "0" {
		t.Errorf("got %s", n)
	}
	select {
	case n := <-got:
		t.Errorf("got %s before its fence", n)
	default:
	}
	b.Passed(sender, "/", 1)
	if n := <-got; n != "1" {
		t.Errorf("got %s", n)
	}
	begin := time.Now()
	for _, n := range []string{"2", "3", "4"} { // their fences are lost
		emit(t, a, "/", n)
	}
	for _, want := range []string{"2", "3", "4"} {
		if n := <-got; n != want {
			t.Errorf("got %s", n)
		}
	}
	if took := time.Since(begin); took < 400*time.Millisecond || b.Stats().Unfenced != 3 {
		t.Errorf("after %v: %+v", took, b.Stats())
	}
	b.Passed(sender, "/", 5) // now they come again
	emit(t, a, "/", "5")
	if n := <-got; n != "5" || b.Stats().Unfenced != 3 {
		t.Errorf("got %s: %+v", n, b.Stats())
	}
}

// After the end nothing is kept, and nobody is left waiting.
func TestClosed(t *testing.T) {
	js := connect(t, t.TempDir())
	l := start(t, js, "a", nil)
	emit(t, l, "/", "before")
	l.Close(patient(t))
	l.Close(patient(t))
	_, m, _, _ := decode([]byte("/ after"))
	err := l.Append("/", m, []byte("/ after"), false, func(string) { t.Error("called") })
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	js.Conn().Close()
	if err := l.SaveSession(patient(t), "/", time.Minute, &adapter.Session{PID: "p"}); err == nil {
		t.Error("saved")
	}
	if _, err := l.TakeSession(patient(t), "/", "p"); err == nil {
		t.Error("taken")
	}
}
