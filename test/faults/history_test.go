package faults_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// lane is what has an order: a sender and a room. The room "" is everyone.
type lane struct{ sender, room string }

// history is everything that was sent: numbered messages, from 0 in each lane.
type history struct {
	mu   sync.Mutex
	sent map[lane][]time.Time // when; by number
}

// next notes that the next message of a lane is about to be sent.
func (h *history) next(l lane) (number int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sent == nil {
		h.sent = make(map[lane][]time.Time)
	}
	h.sent[l] = append(h.sent[l], time.Now())
	return len(h.sent[l]) - 1
}

// all returns a copy of what was sent.
func (h *history) all() map[lane][]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.sent) // what is there does not change
}

// window is a span of time.
type window struct{ from, to time.Time }

func (w window) has(t time.Time) bool { return !t.Before(w.from) && !t.After(w.to) }

// receiver is what one client got. It is in all rooms but while it is away.
type receiver struct {
	name string

	mu      sync.Mutex // guards the rest
	got     map[lane][]int
	newest  map[lane]int  // the greatest of got
	changed chan struct{} // closed and replaced when something comes
	// away are the times in which the client was not there and does not get
	// what was sent meanwhile.
	away []window
}

func newReceiver(name string) *receiver {
	return &receiver{name: name, got: make(map[lane][]int), newest: make(map[lane]int), changed: make(chan struct{})}
}

// take notes a message that came.
func (r *receiver) take(l lane, number int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got[l] = append(r.got[l], number)
	r.newest[l] = max(number, r.newest[l])
	close(r.changed)
	r.changed = make(chan struct{})
}

// absent notes a time in which nothing is expected to reach the client.
func (r *receiver) absent(w window) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = append(r.away, w)
}

// until waits until the newest that came in each of the lanes is at least the
// number given.
func (r *receiver) until(t testing.TB, want map[lane]int) {
	t.Helper()
	limit := time.After(patience)
	for {
		r.mu.Lock()
		changed, missing := r.changed, ""
		for l, n := range want {
			if n >= 0 && (len(r.got[l]) == 0 || r.newest[l] < n) {
				missing = fmt.Sprintf("number %d of %v", n, l)
			}
		}
		r.mu.Unlock()
		if missing == "" {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Errorf("%s waits in vain for %s", r.name, missing)
			return
		}
	}
}

// behind returns since when a receiver lacks something: what was sent then is
// still on its way.
func (h *history) behind(r *receiver) time.Time {
	since := time.Now()
	sent := h.all()
	r.mu.Lock()
	defer r.mu.Unlock()
	for l, times := range sent {
		next := 0
		if len(r.got[l]) > 0 {
			next = r.newest[l] + 1
		}
		if next < len(times) && times[next].Before(since) {
			since = times[next]
		}
	}
	return since
}

// message is one of a history.
type message struct {
	lane
	number int
	at     time.Time
}

// findings is what is wrong with what a receiver got.
type findings struct {
	lost     []message // never came
	twice    []message // came again
	disorder []message // came after a newer one of its lane
}

// check compares what a receiver got with what was sent, and leaves out what it
// missed while it was away.
func (h *history) check(r *receiver) (f findings) {
	sent := h.all()
	r.mu.Lock()
	defer r.mu.Unlock()
	for l, times := range sent {
		seen, newest := make(map[int]bool), -1
		for _, n := range r.got[l] {
			if n < 0 || n >= len(times) {
				f.twice = append(f.twice, message{l, n, time.Time{}}) // nobody sent it
				continue
			}
			switch m := (message{l, n, times[n]}); {
			case seen[n]:
				f.twice = append(f.twice, m)
			case n < newest:
				f.disorder = append(f.disorder, m)
			}
			seen[n], newest = true, max(n, newest)
		}
		for n, at := range times {
			if !seen[n] && !slices.ContainsFunc(r.away, func(w window) bool { return w.has(at) }) {
				f.lost = append(f.lost, message{l, n, at})
			}
		}
	}
	slices.SortFunc(f.lost, func(a, b message) int { return a.at.Compare(b.at) })
	return f
}

// outside returns the lost messages that were sent in none of the windows.
func (f findings) outside(windows ...window) (list []message) {
	for _, m := range f.lost {
		if !slices.ContainsFunc(windows, func(w window) bool { return w.has(m.at) }) {
			list = append(list, m)
		}
	}
	return list
}

// only returns the findings of some messages.
func (f findings) only(some func(message) bool) findings {
	pick := func(list []message) (picked []message) {
		for _, m := range list {
			if some(m) {
				picked = append(picked, m)
			}
		}
		return picked
	}
	return findings{pick(f.lost), pick(f.twice), pick(f.disorder)}
}

// describe shows some messages, with the time since a moment.
func describe(list []message, since time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", len(list))
	for i, m := range list {
		if i == 6 {
			b.WriteString(" ...")
			break
		}
		fmt.Fprintf(&b, " %s/%s#%d(%v)", m.sender, m.room, m.number, m.at.Sub(since).Round(time.Millisecond))
	}
	return b.String()
}

// judge fails the test for everything that no fault excuses: what came twice or
// out of order, and what was lost but for what was sent in the windows.
func (f findings) judge(t testing.TB, r *receiver, since time.Time, windows ...window) {
	t.Helper()
	for what, list := range map[string][]message{
		"came twice": f.twice, "came out of order": f.disorder, "lost": f.outside(windows...),
	} {
		if len(list) > 0 {
			t.Errorf("%s: %s: %s", r.name, what, describe(list, since))
		}
	}
}

// The checker finds what it is there for.
func TestHistory(t *testing.T) {
	t.Parallel()
	var h history
	a, b := lane{"x", "a"}, lane{"x", "b"}
	for range 5 {
		h.next(a)
	}
	h.next(b)
	sent := h.all()[a]
	for _, c := range []struct {
		name                  string
		got                   []int
		away                  []window
		lost, twice, disorder int
	}{
		{"everything", []int{0, 1, 2, 3, 4}, nil, 0, 0, 0},
		{"a gap", []int{0, 1, 4}, nil, 2, 0, 0},
		{"a gap while away", []int{0, 1, 4}, []window{{sent[2], sent[3]}}, 0, 0, 0},
		{"the end", []int{0, 1, 2}, nil, 2, 0, 0},
		{"twice", []int{0, 1, 2, 2, 3, 4}, nil, 0, 1, 0},
		{"out of order", []int{0, 2, 1, 3, 4}, nil, 0, 0, 1},
		{"again, from before", []int{0, 1, 2, 1, 3, 4}, nil, 0, 1, 0},
		{"never sent", []int{0, 1, 2, 3, 4, 5}, nil, 0, 1, 0},
	} {
		r := newReceiver(c.name)
		r.away = c.away
		r.take(b, 0)
		for _, n := range c.got {
			r.take(a, n)
		}
		f := h.check(r)
		if len(f.lost) != c.lost || len(f.twice) != c.twice || len(f.disorder) != c.disorder {
			t.Errorf("%s: %+v", c.name, f)
		}
		if got := len(f.outside(window{sent[0], sent[4]})); got != 0 {
			t.Errorf("%s: %d lost outside of all times", c.name, got)
		}
	}
}
