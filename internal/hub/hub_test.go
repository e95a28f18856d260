package hub_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type member = hub.Member[string]

func newMember(id string) *member { return &member{ID: id, Value: id} }

// reached returns who Each visits, sorted; duplicates stay.
func reached(h *hub.Hub[string], rooms, except []string) []string {
	got := []string{}
	h.Each(rooms, except, func(v string) { got = append(got, v) })
	slices.Sort(got)
	return got
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func TestEach(t *testing.T) {
	h := hub.New[string]()
	for id, rooms := range map[string][]string{
		"a": {"r1"}, "b": {"r1", "r2"}, "c": {"r2"}, "d": nil, "e": {"a"}, // e is in a room that is called like a member
	} {
		m := newMember(id)
		if !h.Add(m) {
			t.Fatalf("%s not added", id)
		}
		for _, r := range rooms {
			if _, ok := h.Join(m, r); !ok {
				t.Fatalf("%s did not join %s", id, r)
			}
		}
	}
	for _, tc := range []struct {
		rooms, except, want []string
	}{
		{nil, nil, []string{"a", "b", "c", "d", "e"}},
		{[]string{"r1"}, nil, []string{"a", "b"}},
		{[]string{"r1", "r2"}, nil, []string{"a", "b", "c"}},
		{[]string{"r1", "r1"}, nil, []string{"a", "b"}},
		{[]string{"none"}, nil, []string{}},
		{[]string{"none", "r2"}, nil, []string{"b", "c"}},
		{[]string{"d"}, nil, []string{"d"}},
		{[]string{"d", "r1"}, nil, []string{"a", "b", "d"}},
		{[]string{"b", "r1"}, nil, []string{"a", "b"}},
		{[]string{"a"}, nil, []string{"a", "e"}},
		{[]string{"a", "r1"}, nil, []string{"a", "b", "e"}},
		{nil, []string{"r1"}, []string{"c", "d", "e"}},
		{nil, []string{"d"}, []string{"a", "b", "c", "e"}},
		{nil, []string{"none"}, []string{"a", "b", "c", "d", "e"}},
		{nil, []string{"r1", "r2", "d"}, []string{"e"}},
		{nil, []string{"a"}, []string{"b", "c", "d"}},
		{[]string{"r1"}, []string{"r2"}, []string{"a"}},
		{[]string{"r1", "r2"}, []string{"b"}, []string{"a", "c"}},
		{[]string{"b"}, []string{"r1"}, []string{}},
		{[]string{"b"}, []string{"b"}, []string{}},
	} {
		if got := reached(h, tc.rooms, tc.except); !slices.Equal(got, tc.want) {
			t.Errorf("to %q except %q: got %q, want %q", tc.rooms, tc.except, got, tc.want)
		}
	}
	if got := sorted(h.Rooms()); !slices.Equal(got, []string{"a", "r1", "r2"}) {
		t.Errorf("rooms %q", got)
	}
}

func TestLifeOfAMember(t *testing.T) {
	h := hub.New[string]()
	m, twin := newMember("m"), newMember("m")
	if !h.Add(m) || h.Add(twin) {
		t.Error("an id can be taken once")
	}
	if found, ok := h.Find("m"); !ok || found != m {
		t.Error("not found")
	}
	if announce, ok := h.Join(m, "r"); !announce || !ok {
		t.Error("a new room is to be announced")
	}
	if announce, ok := h.Join(m, "r"); !announce || !ok {
		t.Error("joining again changes nothing")
	}
	h.Announced("r")
	if announce, ok := h.Join(m, "r"); announce || !ok {
		t.Error("announced")
	}
	if !h.In(m, "r") || !h.In(m, "m") || h.In(m, "x") || !slices.Equal(h.RoomsOf(m), []string{"r"}) {
		t.Errorf("is in %q", h.RoomsOf(m))
	}
	if h.Leave(m, "x") || !h.Leave(m, "r") || h.Leave(m, "r") || h.Has("r") {
		t.Error("leaving empties the room once")
	}
	if announce, _ := h.Join(m, "r"); !announce {
		t.Error("an emptied room is a new one")
	}
	left, emptied := h.Remove(m)
	if !slices.Equal(left, []string{"r"}) || !slices.Equal(emptied, []string{"r"}) || h.Len() != 0 {
		t.Errorf("left %q, emptied %q", left, emptied)
	}
	if left, emptied := h.Remove(m); left != nil || emptied != nil {
		t.Error("removed twice")
	}
	if _, ok := h.Join(m, "r"); ok || h.Has("r") || h.Add(m) {
		t.Error("removed for good")
	}
	if _, ok := h.Find("m"); ok {
		t.Error("found after its end")
	}
	if !h.Add(twin) {
		t.Error("the id is free again")
	}
}

// Removing somebody who was never added keeps him out.
func TestRemoveBeforeAdd(t *testing.T) {
	h, m := hub.New[string](), newMember("m")
	h.Remove(m)
	if h.Add(m) || h.Len() != 0 {
		t.Error("added")
	}
	if _, ok := h.Find("m"); ok {
		t.Error("found")
	}
}

// model is the obvious implementation.
type model struct {
	rooms   map[string]map[string]bool // room to members
	members map[string]bool
}

func (m *model) each(rooms, except []string) []string {
	in := func(id, room string) bool { return id == room || m.rooms[room][id] }
	got := []string{}
	for id := range m.members {
		wanted := len(rooms) == 0
		for _, r := range rooms {
			wanted = wanted || in(id, r)
		}
		for _, r := range except {
			wanted = wanted && !in(id, r)
		}
		if wanted {
			got = append(got, id)
		}
	}
	return sorted(got)
}

func (m *model) leave(id, room string) (emptied bool) {
	if !m.rooms[room][id] {
		return false
	}
	delete(m.rooms[room], id)
	if len(m.rooms[room]) > 0 {
		return false
	}
	delete(m.rooms, room)
	return true
}

// run performs the operations that script encodes on both, and compares.
func run(t *testing.T, script []byte) {
	h, mod := hub.New[string](), &model{map[string]map[string]bool{}, map[string]bool{}}
	alive := map[string]*member{}
	names := []string{"a", "b", "c", "r1", "r2", "r3"} // the first three are members, too
	pick := func(b byte, n int) string { return names[int(b)%n] }
	list := func(b byte) []string {
		var l []string
		for i, name := range names {
			if b>>i&1 != 0 {
				l = append(l, name)
			}
		}
		return l
	}
	for len(script) >= 3 {
		op, x, y := script[0]%5, script[1], script[2]
		script = script[3:]
		id, room := pick(x, 3), pick(y, len(names))
		m := alive[id]
		switch {
		case op == 0:
			added := newMember(id)
			if got, want := h.Add(added), m == nil; got != want {
				t.Fatalf("add %s: %v", id, got)
			}
			if m == nil {
				alive[id], mod.members[id] = added, true
			}
		case m == nil:
		case op == 1:
			h.Join(m, room)
			if mod.rooms[room] == nil {
				mod.rooms[room] = map[string]bool{}
			}
			mod.rooms[room][id] = true
		case op == 2:
			if got, want := h.Leave(m, room), mod.leave(id, room); got != want {
				t.Fatalf("%s leaves %s: emptied %v", id, room, got)
			}
		case op == 3:
			var wantLeft, wantEmptied []string
			for _, r := range names {
				if mod.rooms[r][id] {
					wantLeft = append(wantLeft, r)
				}
				if mod.leave(id, r) {
					wantEmptied = append(wantEmptied, r)
				}
			}
			delete(mod.members, id)
			delete(alive, id)
			left, emptied := h.Remove(m)
			if !slices.Equal(sorted(left), sorted(wantLeft)) || !slices.Equal(sorted(emptied), sorted(wantEmptied)) {
				t.Fatalf("remove %s: left %q, emptied %q", id, left, emptied)
			}
		}
		rooms, except := list(x), list(y)
		if got, want := reached(h, rooms, except), mod.each(rooms, except); !slices.Equal(got, want) {
			t.Fatalf("to %q except %q: got %q, want %q", rooms, except, got, want)
		}
		if len(h.Rooms()) != len(mod.rooms) || h.Len() != len(mod.members) {
			t.Fatalf("%d rooms, %d members; want %d, %d", len(h.Rooms()), h.Len(), len(mod.rooms), len(mod.members))
		}
	}
}

func TestAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 300)
		for i := range script {
			script[i] = byte(rnd.Uint32())
		}
		run(t, script)
	}
}

func FuzzAgainstModel(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 3, 1, 0, 1, 2, 0, 3, 3, 0, 0})
	f.Fuzz(run)
}

// Many at once: nobody is visited twice or after its end, and who comes last
// out of a room is told so. As in the server, an emptied room is withdrawn
// only if it is still empty, under a lock.
func TestHammer(t *testing.T) {
	const (
		workers = 8
		rounds  = 400
	)
	h := hub.New[string]()
	rooms := []string{"r1", "r2", "r3"}
	var announced [3]atomic.Bool
	var withdraw sync.Mutex
	emptied := func(names []string) {
		for _, name := range names {
			withdraw.Lock()
			if !h.Has(name) {
				announced[slices.Index(rooms, name)].Store(false)
			}
			withdraw.Unlock()
		}
	}
	join := func(m *member, name string) {
		announce, ok := h.Join(m, name)
		if !ok || !announce {
			return
		}
		withdraw.Lock()
		announced[slices.Index(rooms, name)].Store(true)
		withdraw.Unlock()
		h.Announced(name)
		emptied([]string{name})
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range rounds {
				m := newMember(fmt.Sprintf("%d-%d", w, i))
				h.Add(m)
				var both sync.WaitGroup
				both.Go(func() { // joining while it is being removed
					for range 3 {
						join(m, rooms[rnd.IntN(len(rooms))])
					}
				})
				if i%3 == 0 {
					name := rooms[i%len(rooms)]
					join(m, name)
					if h.Leave(m, name) {
						emptied([]string{name})
					}
				}
				if i%2 == 0 {
					both.Wait()
					seen := map[string]int{}
					h.Each(rooms, nil, func(v string) { seen[v]++ })
					for v, n := range seen {
						if n > 1 {
							t.Errorf("%s visited %d times", v, n)
						}
					}
					if in := len(h.RoomsOf(m)) > 0; in != (seen[m.ID] == 1) {
						t.Errorf("%s visited %d times", m.ID, seen[m.ID])
					}
				}
				_, gone := h.Remove(m)
				emptied(gone)
				both.Wait()
				h.Each(rooms, nil, func(v string) {
					if v == m.ID {
						t.Errorf("%s visited after its end", v)
					}
				})
			}
		})
	}
	wg.Wait()
	if h.Len() != 0 || len(h.Rooms()) != 0 {
		t.Errorf("%d members and rooms %q are left", h.Len(), h.Rooms())
	}
	for i := range rooms {
		if announced[i].Load() {
			t.Errorf("the cluster still believes in %s", rooms[i])
		}
	}
}

// Of those who leave at the same time, one is told that the room is empty.
func TestEmptiedOnce(t *testing.T) {
	h := hub.New[string]()
	for round := range 300 {
		gone := newMember("gone")
		h.Remove(gone)
		var told atomic.Int32
		members := make([]*member, 4)
		for i := range members {
			members[i] = newMember(fmt.Sprint(i))
			h.Add(members[i])
			h.Join(members[i], "r")
		}
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i, m := range members {
			wg.Go(func() {
				<-start
				if i%2 == 0 {
					if h.Leave(m, "r") {
						told.Add(1)
					}
					return
				}
				_, emptied := h.Remove(m)
				told.Add(int32(len(emptied)))
			})
		}
		wg.Go(func() { // somebody who is not let in must not get in between
			<-start
			for range 20 {
				h.Join(gone, "r")
			}
		})
		close(start)
		wg.Wait()
		if told.Load() != 1 || h.Has("r") {
			t.Fatalf("round %d: told %d times", round, told.Load())
		}
		h.Remove(members[0])
		h.Remove(members[2])
	}
}

func BenchmarkEach(b *testing.B) {
	h := hub.New[string]()
	for i := range 10_000 {
		m := newMember(fmt.Sprint("m", i))
		h.Add(m)
		h.Join(m, fmt.Sprint("r", i/100))
	}
	n := 0
	count := func(string) { n++ }
	for _, bc := range []struct {
		name          string
		rooms, except []string
	}{
		{"everyone", nil, nil}, {"room of 100", []string{"r1"}, nil}, {"room but one", []string{"r1"}, []string{"m150"}},
		{"two rooms", []string{"r1", "r2"}, nil},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Each(bc.rooms, bc.except, count)
			}
		})
	}
}
