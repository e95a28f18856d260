package hub_test

import (
	"fmt"
	"testing"

	"github.com/socketeer-io/socketeer/internal/hub"
	"github.com/socketeer-io/socketeer/test/hotpath"
)

var hotPath = []hotpath.Op{
	{Name: "each-of-10", Allocs: 0, Make: func(testing.TB) func() { return each(10, nil) }},
	{Name: "each-of-10000", Allocs: 0, Make: func(testing.TB) func() { return each(10_000, nil) }},
	// Who is left out.
	{Name: "each-of-10-but-one", Allocs: 2, Make: func(testing.TB) func() { return each(10, []string{"m1"}) }},
	{Name: "each-of-10000-but-one", Allocs: 2, Make: func(testing.TB) func() { return each(10_000, []string{"m1"}) }},
	{Name: "join-leave", Allocs: 0, Make: func(tb testing.TB) func() { return joinLeave(tb, 1000) }},
	// The room, and its list of members.
	{Name: "join-leave-alone", Allocs: 2, Make: func(tb testing.TB) func() { return joinLeave(tb, 0) }},
}

// each visits a room of n.
func each(n int, except []string) func() {
	h := hub.New[string]()
	fill(h, n)
	rooms, visited := []string{"r"}, 0
	return func() { h.Each(rooms, except, func(string) { visited++ }) }
}

// joinLeave joins and leaves a room that n others are in.
func joinLeave(tb testing.TB, n int) func() {
	h := hub.New[string]()
	fill(h, n)
	m := newMember("joining")
	h.Add(m)
	return func() {
		if _, ok := h.Join(m, "r"); !ok {
			tb.Fatal("cannot join")
		}
		if h.Leave(m, "r") != (n == 0) {
			tb.Fatal("left a room of another size")
		}
	}
}

func fill(h *hub.Hub[string], n int) {
	for i := range n {
		m := newMember(fmt.Sprint("m", i))
		h.Add(m)
		h.Join(m, "r")
	}
}

func BenchmarkHotPath(b *testing.B) { hotpath.Bench(b, hotPath) }

func TestAllocs(t *testing.T) { hotpath.Pin(t, hotPath) }
