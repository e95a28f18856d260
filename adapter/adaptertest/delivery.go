package adaptertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
)

func to(rooms ...string) adapter.Target { return adapter.Target{Rooms: rooms} }

func broadcastAll(t *testing.T, s []*site) {
	var all []*socket
	for _, n := range s {
		all = append(all, n.connect())
	}
	s[0].emit(to(), "hello")
	for i, n := range s {
		n.received(all[i], "hello")
	}
}

func broadcastRoom(t *testing.T, s []*site) {
	in, out := s[1].connect("r"), s[1].connect()
	in2 := s[2].connect("r")
	s[0].emit(to("r"), "room")
	s[0].emit(to(), "all")
	s[1].received(in, "room", "all")
	s[1].received(out, "all")
	s[2].received(in2, "room", "all")
}

func broadcastRooms(t *testing.T, s []*site) {
	both, one, none := s[1].connect("a", "b"), s[1].connect("b"), s[1].connect("c")
	far := s[2].connect("a", "b", "c")
	s[0].emit(to("a", "b"), "twice?")
	s[0].emit(to("c", "a", "b"), "thrice?")
	s[0].emit(to(), "all")
	s[1].received(both, "twice?", "thrice?", "all")
	s[1].received(one, "twice?", "thrice?", "all")
	s[1].received(none, "thrice?", "all")
	s[2].received(far, "twice?", "thrice?", "all")
}

func broadcastManyRooms(t *testing.T, s []*site) {
	var rooms []string
	for i := range 100 {
		rooms = append(rooms, fmt.Sprint("many", i))
	}
	all, one := s[1].connect(rooms...), s[2].connect(rooms[77])
	none := s[2].connect()
	s[0].emit(to(rooms...), "many")
	s[0].emit(to(), "all")
	s[1].received(all, "many", "all")
	s[2].received(one, "many", "all")
	s[2].received(none, "all")
}

func broadcastExcept(t *testing.T, s []*site) {
	in, except := s[1].connect("r"), s[1].connect("r", "x")
	s[0].emit(adapter.Target{Except: []string{"x"}}, "all but x")
	s[0].emit(adapter.Target{Rooms: []string{"r"}, Except: []string{"x"}}, "r but x")
	s[0].emit(adapter.Target{Rooms: []string{"r"}, Except: []string{in.id}}, "r but in")
	s[0].emit(to(), "all")
	s[1].received(in, "all but x", "r but x", "all")
	s[1].received(except, "r but in", "all")
}

func broadcastSocket(t *testing.T, s []*site) {
	a, b := s[1].connect(), s[1].connect()
	c := s[2].connect()
	s[0].emit(to(a.id), "to a")
	s[0].emit(to(a.id, c.id), "to a and c")
	s[0].emit(to(newID(s[1].tag)), "to nobody")
	s[0].emit(to(newID("none")), "to nobody's node")
	s[0].emit(to(), "all")
	s[1].received(a, "to a", "to a and c", "all")
	s[1].received(b, "all")
	s[2].received(c, "to a and c", "all")
}

// A socket that was recovered on another node keeps its id, which tells its
// old node.
func broadcastRecovered(t *testing.T, s []*site) {
	id := newID(s[1].tag)
	moved := s[2].connectAs(id)
	s[0].emit(to(id), "from a third node")
	s[0].emit(to(), "all")
	s[2].received(moved, "from a third node", "all")
	s[1].emit(to(id), "from its old node")
	s[2].received(moved, "from a third node", "all", "from its old node")
	dead := s[2].connectAs(newID("gone"))
	s[0].emit(to(dead.id), "its node is gone")
	s[2].received(dead, "its node is gone")
}

func content(t *testing.T, s []*site) {
	s[1].connect()
	unchanged(t, s, &adapter.Message{
		Kind:   adapter.Broadcast,
		Target: adapter.Target{Except: []string{"", "x y", "ü"}},
		Flags:  adapter.Flags{Volatile: true, NoCompress: true},
		Data: []byte(`["e",{"_placeholder":true,"num":0},{"a":[null,true,false,1.5,-7,1e+300,"ü\n\u0000\""],"b":{"_placeholder":true,"num":1}},` +
			`{},[[],""],{"_placeholder":true,"num":2}]`),
		Attachments: [][]byte{{0, 255, 10, 13}, {}, []byte("x")},
	})
	unchanged(t, s, &adapter.Message{Kind: adapter.Broadcast, Data: []byte(`["e"]`)})
}

// verbatim: what makes little sense is passed on as well.
func verbatim(t *testing.T, s []*site) {
	s[1].connect()
	unchanged(t, s, &adapter.Message{
		Kind:        adapter.Broadcast,
		Target:      adapter.Target{Except: []string{"\xff\xfe"}},
		Flags:       adapter.Flags{Timeout: 1234567},
		Data:        []byte(`[ "e", {"_placeholder":true,"num":0}, "\u0000ü", 1.0 ]`),
		Attachments: [][]byte{{0, 255, 10, 13}, {}, []byte("x")},
	})
	room := "\xff\xfe"
	k := s[1].connect(room)
	s[0].emit(to(room), "no text")
	s[1].received(k, "no text")
}

// unchanged publishes want and compares what arrives.
func unchanged(t *testing.T, s []*site, want *adapter.Message) {
	t.Helper()
	s[1].mu.Lock()
	before := len(s[1].handled)
	s[1].mu.Unlock()
	if err := s[0].a.Publish(want); err != nil {
		t.Fatal(err)
	}
	s[1].wait("the message", func() bool { return len(s[1].handled) > before })
	s[1].mu.Lock()
	got := s[1].handled[before]
	s[1].mu.Unlock()
	if got.Kind != want.Kind || got.Flags != want.Flags || string(got.Data) != string(want.Data) ||
		!slices.Equal(got.Target.Except, want.Target.Except) || len(got.Target.Rooms) != 0 ||
		!slices.EqualFunc(got.Attachments, want.Attachments, slices.Equal) {
		t.Errorf("got %+v, want %+v\n%s\n%s", got, want, got.Data, want.Data)
	}
}

func large(t *testing.T, s []*site) {
	k := s[1].connect("r")
	data := strings.Repeat("x", 900<<10)
	s[0].emit(to("r"), data)
	s[0].emit(to("r"), "binary", []byte(strings.Repeat("\xff", 900<<10)))
	s[0].emit(to("r"), "done")
	s[1].received(k, data, "binary"+strings.Repeat("\xff", 900<<10), "done")
}

func strangeRooms(t *testing.T, s []*site) {
	rooms := []string{
		"", " ", "a b", "a.b", "a", "b", "*", ">", "a.*", "a.>", "$SYS", "_INBOX.x", "~", "~~", "~YQ", "\x00", "\r\n", "PUB x 1\r\n",
		"ü", "日本", "/", "/a", "a/b", "#", "?", "{", "-", "1", strings.Repeat("x", 64), strings.Repeat("x", 65),
		strings.Repeat("x", 1000), strings.Repeat("x", 999) + "y", strings.Repeat("ü ", 300), strings.Repeat("A", 20),
	}
	var in []*socket
	for _, r := range rooms {
		in = append(in, s[1].connect(r))
	}
	for _, r := range rooms {
		s[0].emit(to(r), "to "+r)
	}
	s[0].emit(to(), "end")
	for i, r := range rooms {
		s[1].received(in[i], "to "+r, "end")
	}
}

// order: what one goroutine of a node publishes arrives in that order, while
// others publish as well.
func order(t *testing.T, s []*site) {
	const senders, count = 4, 500
	in := []*socket{s[1].connect("r"), s[2].connect("r")}
	var wg sync.WaitGroup
	for g := range senders {
		wg.Go(func() {
			for i := range count {
				s[0].emit(to("r"), fmt.Sprintf("%d %d", g, i))
			}
		})
	}
	wg.Wait()
	for i, k := range in {
		n := s[i+1]
		n.wait("all messages", func() bool { return len(k.got) >= senders*count })
		n.mu.Lock()
		checkOrder(t, k.got, senders, count)
		n.mu.Unlock()
	}
}

func checkOrder(t *testing.T, got []string, senders, count int) {
	t.Helper()
	next := make([]int, senders)
	for _, m := range got {
		var g, i int
		if _, err := fmt.Sscanf(m, "%d %d", &g, &i); err != nil {
			t.Fatalf("got %q", m)
		}
		if i != next[g] {
			t.Fatalf("sender %d: got message %d, want %d", g, i, next[g])
		}
		next[g]++
	}
	for g, n := range next {
		if n != count {
			t.Errorf("sender %d: got %d messages, want %d", g, n, count)
		}
	}
}

// orderAcross: the same holds when the messages go to different targets that
// all contain the socket.
func orderAcross(t *testing.T, s []*site) {
	const count = 500
	k := s[1].connect("a", "b")
	targets := []adapter.Target{to("a"), to(), to("b"), to("a", "b"), to(k.id), {Except: []string{"x"}}}
	var want []string
	for i := range count {
		m := fmt.Sprint("m", i)
		want = append(want, m)
		s[0].emit(targets[i%len(targets)], m)
	}
	s[1].received(k, want...)
}

// joinHammer: whatever another node publishes after Join has returned,
// arrives.
func joinHammer(t *testing.T, s []*site) {
	const joiners, rounds = 8, 40
	var wg sync.WaitGroup
	for g := range joiners {
		wg.Go(func() {
			for i := range rounds {
				room, from := fmt.Sprintf("hammer %d %d", g, i), s[i%2*2]
				k := s[1].connect(room)
				from.emit(to(room), "welcome")
				s[1].received(k, "welcome")
			}
		})
	}
	wg.Wait()
}

// churn: leaving and joining in turn never leaves a member without messages.
func churn(t *testing.T, s []*site) {
	k := s[1].connect()
	var want []string
	for i := range 100 {
		if err := s[1].join(patient(t), k, "r"); err != nil {
			t.Fatal(err)
		}
		m := fmt.Sprint("m", i)
		want = append(want, m)
		s[0].emit(to("r"), m)
		s[1].received(k, want...)
		s[1].leave(k, "r")
	}
}

func leave(t *testing.T, s []*site) {
	k, stays := s[1].connect("r"), s[1].connect("r")
	s[0].emit(to("r"), "1")
	s[1].received(k, "1")
	s[1].leave(k, "r")
	s[0].emit(to("r"), "2")
	s[1].received(stays, "1", "2")
	s[1].leave(stays, "r")
	s[0].emit(to("r"), "3")
	s[0].emit(to(), "all")
	s[1].received(stays, "1", "2", "all")
	s[1].received(k, "1", "all")
}

func interest(t *testing.T, s []*site) {
	in, out := s[1].connect("r"), s[2].connect("other")
	for range 10 {
		s[0].emit(to("r"), "room")
	}
	s[0].emit(to(in.id), "socket")
	s[0].emit(to(), "all")
	s[1].wait("all", func() bool { return len(in.got) == 12 })
	s[2].received(out, "all")
	s[2].mu.Lock()
	defer s[2].mu.Unlock()
	if n := len(s[2].handled); n != 1 {
		t.Errorf("a node without members received %d messages, want 1", n)
	}
}

func remote(t *testing.T, s []*site) {
	k, other := s[1].connect(), s[1].connect()
	for _, m := range []*adapter.Message{
		{Kind: adapter.Join, Target: to(k.id), Rooms: []string{"j", "j2"}},
		{Kind: adapter.Leave, Target: to(k.id), Rooms: []string{"j2"}},
		{Kind: adapter.Disconnect, Target: to(other.id), Close: true},
	} {
		if err := s[0].a.Request(patient(t), m, func(adapter.Response) {}); err != nil {
			t.Fatalf("%v: %v", m.Kind, err)
		}
	}
	// Everything is done when the requests have returned.
	s[1].mu.Lock()
	if !k.rooms["j"] || k.rooms["j2"] || s[1].sockets[other.id] != nil || s[1].sockets[k.id] == nil {
		t.Errorf("sockets are not what was asked for: %v", s[1].sockets)
	}
	last := s[1].handled[len(s[1].handled)-1]
	if last.Kind != adapter.Disconnect || !last.Close {
		t.Errorf("got %+v", last)
	}
	s[1].mu.Unlock()
	s[0].emit(to("j"), "joined from afar")
	s[1].received(k, "joined from afar")
	// Without an answer.
	if err := s[0].a.Publish(&adapter.Message{Kind: adapter.Leave, Target: to(k.id), Rooms: []string{"j"}}); err != nil {
		t.Fatal(err)
	}
	s[1].wait("the socket to leave", func() bool { return !k.rooms["j"] })
}
