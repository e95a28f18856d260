package redisstream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/nettest"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

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

// settled emits until something is kept and can be recovered again.
func settled(t *testing.T, s *site, name string) {
	t.Helper()
	n := 0
	eventually(t, "a kept message", func() bool {
		n++
		data := fmt.Sprint(name, n)
		s.emit(data)
		offset := s.offsetOf(data)
		if offset == "" {
			return false
		}
		_, err := s.missed(offset, "r")
		return err == nil
	})
}

// The connections of readers and writers are cut again and again, whatever is
// under way: nothing is lost, nothing comes twice, everybody can recover.
func TestConnectionsCut(t *testing.T) {
	r := redistest.Standalone(t)
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}, KeepTimeout: 10 * time.Second})
	a, b := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
	const count = 500
	for i := range count {
		a.emit(fmt.Sprint(i))
		if i == 0 { // who has read nothing yet cannot know whether it is the same Redis
			a.waitLen(1)
			b.waitLen(1)
		}
		if i%25 == 12 {
			r.Must("CLIENT", "KILL", "TYPE", "normal")
		}
	}
	for _, s := range []*site{a, b} {
		seen := s.waitLen(count)
		inOrder(t, s, seen)
		for i, e := range seen {
			if want := fmt.Sprintf(`["e","%d"]`, i); e.data != want || e.offset == "" {
				t.Fatalf("got %v, want %s", e, want)
			}
		}
		if got, err := s.missed(seen[0].offset, "r"); err != nil || len(got) != count-1 {
			t.Errorf("got %d, %v", len(got), err)
		}
	}
	for _, c := range nodes {
		if s := c.Stats(); s.Gaps != 0 || s.ReadErrors == 0 {
			t.Errorf("got %+v", s)
		}
	}
}

// Redis loses an entry of which its node never hears that it was written, but
// others have read it; so it is written again.
func TestReadAgain(t *testing.T) {
	r := redistest.Standalone(t)
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}})
	a, b := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
	a.emit("once")
	b.offsetOf("once")
	entry := r.Must("XREVRANGE", "socket.io", "+", "-", "COUNT", "1").([]any)[0].([]any)[1].([]any)
	again := []string{"XADD", "socket.io", "*"}
	for _, f := range entry {
		again = append(again, f.(string))
	}
	r.Must(again...)
	a.emit("after")
	for i, s := range []*site{a, b} {
		s.offsetOf("after")
		if seen := s.waitLen(2); len(seen) != 2 {
			t.Errorf("node %d saw %v", i, seen)
		}
		if n := nodes[i].Stats().Repeated; n != 1 {
			t.Errorf("node %d counted %d", i, n)
		}
	}
}

// What waits for longer than PublishTimeout is dropped, and counted as what it
// is; a marker is not.
func TestGivenUp(t *testing.T) {
	r := redistest.Standalone(t)
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}, PublishTimeout: 300 * time.Millisecond})
	a, b := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
	a.emit("before")
	before := b.offsetOf("before")
	r.Kill()
	const count = 20
	for i := range count {
		a.emit(fmt.Sprint(i))
	}
	eventually(t, "all to be given up", func() bool {
		d := nodes[0].Stats().Drops
		return d.Late+d.Lost >= count // perhaps one more: the answer to the first may not have come
	})
	r.Restart()
	settled(t, a, "after")
	settled(t, b, "b ")
	b.wait("nothing of it", func(seen []event) bool {
		for _, e := range seen[1:] {
			if !strings.Contains(e.data, "after") && !strings.Contains(e.data, "b ") {
				t.Errorf("got %v", e)
			}
		}
		return true
	})
	if _, err := b.missed(before, "r"); reason(t, err) == "" {
		t.Error("recovered across what was given up")
	}
}

// Redis does not answer for some seconds: what is sent meanwhile is delivered
// here without an offset, in order, and nobody recovers across it.
func TestPause(t *testing.T) {
	r := redistest.Standalone(t)
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}})
	a, b := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
	a.emit("before")
	before := a.offsetOf("before")
	b.offsetOf("before")
	r.Pause()
	begin := time.Now()
	for i := range 20 {
		a.emit(fmt.Sprint("during ", i))
	}
	seen := a.waitLen(21)
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("given up after %v, want about a second", took)
	}
	for i, e := range seen[1:] {
		if want := fmt.Sprintf(`["e","during %d"]`, i); e.data != want || e.offset != "" {
			t.Errorf("got %v, want %s without an offset", e, want)
		}
	}
	if _, err := a.missed(before, "r"); reason(t, err) != adapter.Gap {
		t.Errorf("got %v", err)
	}
	eventually(t, "not ready", func() bool { return nodes[0].Ready() != nil })
	r.Resume()
	settled(t, a, "after")
	for _, s := range []*site{a, b} {
		eventually(t, "the gap", func() bool { _, err := s.missed(before, "r"); return reason(t, err) == adapter.Gap })
	}
	fresh := attach(t, start(t, redisstream.Options{URLs: []string{r.URL()}}), "/")
	if _, err := fresh.missed(before, "r"); reason(t, err) != adapter.Gap {
		t.Errorf("a new node: %v", err)
	}
	eventually(t, "ready", func() bool { return nodes[0].Ready() == nil && nodes[1].Ready() == nil })
	inOrder(t, a, a.waitLen(21))
	inOrder(t, b, b.waitLen(1))
	settled(t, b, "b ")
}

// Redis comes back empty.
func TestRestart(t *testing.T) {
	r := redistest.Standalone(t)
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}})
	a, b := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
	for i := range 10 {
		a.emit(fmt.Sprint(i))
	}
	before := b.offsetOf("9")
	a.offsetOf("9")
	r.Kill()
	a.emit("lost")
	if o := a.offsetOf("lost"); o != "" {
		t.Errorf("kept at %s without Redis", o)
	}
	r.Restart()
	settled(t, a, "after")
	settled(t, b, "b ")
	for name, s := range map[string]*site{"a": a, "b": b} {
		if _, err := s.missed(before, "r"); reason(t, err) == "" {
			t.Errorf("%s recovers across the loss of the stream", name)
		}
		inOrder(t, s, s.waitLen(1))
	}
	for i, c := range nodes {
		if c.Stats().Gaps == 0 {
			t.Errorf("node %d has seen no gap", i)
		}
	}
}

// A node that was cut off comes back when the stream has been trimmed past its
// place.
func TestTrimmedPast(t *testing.T) {
	r := redistest.Standalone(t)
	p := nettest.StartProxy(t, r.Addr())
	o := redisstream.Options{URLs: []string{r.URL()}, MaxLen: 100}
	a := attach(t, start(t, o), "/")
	o.URLs = []string{"redis://" + p.Addr()}
	c := start(t, o)
	b := attach(t, c, "/")
	a.emit("before")
	before := b.offsetOf("before")
	p.Refuse(true)
	p.Cut()
	for i := range 1000 {
		a.emit(fmt.Sprint(i))
		if i%50 == 49 { // or a, too, is trimmed past
			a.waitLen(i + 2)
		}
	}
	p.Refuse(false)
	b.offsetOf("999")
	settled(t, b, "after")
	if _, err := b.missed(before, "r"); reason(t, err) == "" {
		t.Error("recovered across what was trimmed")
	}
	if s := c.Stats(); s.Gaps == 0 || s.Missed == 0 {
		t.Errorf("got %+v", s)
	}
	inOrder(t, b, b.waitLen(2))
}

// A network that swallows everything, for the connections there are.
func TestBlackhole(t *testing.T) {
	r := redistest.Standalone(t)
	p := nettest.StartProxy(t, r.Addr())
	a := attach(t, start(t, redisstream.Options{URLs: []string{r.URL()}}), "/")
	o := redisstream.Options{URLs: []string{"redis://" + p.Addr()}, BlockTime: time.Second, ProbeInterval: 500 * time.Millisecond}
	c := start(t, o)
	b := attach(t, c, "/")
	a.emit("before")
	before := b.offsetOf("before")
	p.Blackhole(true)
	for i := range 50 {
		a.emit(fmt.Sprint(i))
	}
	b.emit("unkept")
	if o := b.offsetOf("unkept"); o != "" {
		t.Errorf("kept at %s", o)
	}
	p.Blackhole(false)
	b.offsetOf("49")
	settled(t, b, "after")
	inOrder(t, b, b.waitLen(50))
	if _, err := b.missed(before, "r"); reason(t, err) != adapter.Gap {
		t.Errorf("got %v", err)
	}
}
