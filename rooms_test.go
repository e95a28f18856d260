package socketeer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/socketeer-io/socketeer"
)

// crowd is a client on each node, or three on one.
func crowd(t *testing.T, nodes []*node) []*member {
	t.Helper()
	var members []*member
	for i := range 3 {
		members = append(members, client(t, nodes[i%len(nodes)], "/"))
		nodes[i%len(nodes)].socket(t, members[i])
	}
	return members
}

func join(t *testing.T, nodes []*node, i int, m *member, rooms ...string) {
	t.Helper()
	must(t, nodes[i%len(nodes)].socket(t, m).Join(ctx(t), rooms...))
}

// receivers sends from node n and returns which of the members got it, in the order in
// which they are given.
func receivers(t *testing.T, n *node, members []*member, emit func(event string, args ...any) error) string {
	t.Helper()
	must(t, emit("event"))
	var got string
	for i, m := range members {
		must(t, n.To(m.id).Emit("fence"))
		for {
			args := decode(t, m.next())
			if args[0] == "fence" {
				break
			}
			got += fmt.Sprint(i)
		}
	}
	return got
}

func TestTargets(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		members := crowd(t, nodes)
		a, b, c := members[0].id, members[1].id, members[2].id
		join(t, nodes, 0, members[0], "red", "big", "red")
		join(t, nodes, 1, members[1], "red", "blue")
		join(t, nodes, 2, members[2], "blue", "big")
		for from, n := range nodes {
			red := n.To("red")
			for _, test := range []struct {
				name string
				b    socketeer.Emitter
				want string
			}{
				{"all", n, "012"},
				{"All", n.All(), "012"},
				{"red", red, "01"},
				{"union", red.To("big"), "012"},
				{"both of them", n.To("red", "big").In("red"), "012"},
				{"red again", red, "01"},
				{"except", red.Except("blue"), "0"},
				{"except two", n.Except("blue", "big"), ""},
				{"except one", n.Except(a), "12"},
				{"id", n.To(b), "1"},
				{"ids and rooms", n.In(a, "blue"), "012"},
				{"id except", n.To(a, c).Except("red"), "2"},
				{"nobody", n.To("green"), ""},
				{"except nobody", n.Except("green"), "012"},
			} {
				if got := receivers(t, n, members, test.b.Emit); got != test.want {
					t.Errorf("from %d: %s: got %q, want %q", from, test.name, got, test.want)
				}
			}
		}
		s := nodes[0].socket(t, members[0])
		for _, test := range []struct {
			name string
			b    socketeer.Emitter
			want string
		}{
			{"socket", s, "0"},
			{"Broadcast", s.Broadcast(), "12"},
			{"To", s.To("red"), "1"},
			{"In", s.In("big"), "2"},
			{"To itself", s.To(a), ""},
			{"To two", s.To("red", "big"), "12"},
			{"Except", s.Except("red"), "2"},
		} {
			if got := receivers(t, nodes[0], members, test.b.Emit); got != test.want {
				t.Errorf("socket: %s: got %q, want %q", test.name, got, test.want)
			}
		}
	})
}

func TestLocal(t *testing.T) {
	nodes := startCluster(t, 3)
	members := crowd(t, nodes)
	for i, m := range members {
		join(t, nodes, i, m, "room")
	}
	extra := client(t, nodes[0], "/")
	all := slices.Concat(members, []*member{extra})
	for _, test := range []struct {
		name string
		b    socketeer.Emitter
		want string
	}{
		{"Local", nodes[0].Local(), "03"},
		{"room", nodes[1].Local().To("room"), "1"},
		{"room, the other way round", nodes[1].To("room").Local(), "1"},
		{"socket", nodes[0].socket(t, members[0]).Local(), "3"},
	} {
		if got := receivers(t, nodes[0], all, test.b.Emit); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	n := 0
	for _, err := range nodes[0].Local().Sockets(ctx(t)) {
		must(t, err)
		n++
	}
	if n != 2 {
		t.Errorf("%d local sockets", n)
	}
	must(t, nodes[0].Local().Join(ctx(t), "here"))
	if got := receivers(t, nodes[2], all, nodes[2].To("here").Emit); got != "03" {
		t.Errorf("joined locally: %q", got)
	}
}

// A broadcast is a value: what is made from it leaves it as it is.
func TestBroadcastIsImmutable(t *testing.T) {
	n := start(t)
	members := crowd(t, []*node{n})
	join(t, []*node{n}, 0, members[0], "r0")
	join(t, []*node{n}, 0, members[1], "r1")
	join(t, []*node{n}, 0, members[2], "r2")
	base := n.To("r0", "x", "y").Except("e1", "e2")
	one, two := base.To("r1"), base.To("r2")
	without := base.Except("r0")
	if base.Except("e3"); receivers(t, n, members, without.Emit) != "" {
		t.Error("an exception was overwritten")
	}
	for want, b := range map[string]socketeer.Broadcast{"0": base, "01": one, "02": two} {
		if got := receivers(t, n, members, b.Emit); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRooms(t *testing.T) {
	n := start(t)
	c := client(t, n, "/")
	s := n.socket(t, c)
	disconnecting, disconnected := make(chan []string, 1), make(chan []string, 1)
	s.OnDisconnecting(func(context.Context, string) {
		must(t, s.To("b").Emit("bye"))
		disconnecting <- s.Rooms()
	})
	s.OnDisconnect(func(context.Context, string) { disconnected <- s.Rooms() })
	equal(t, "Rooms", s.Rooms(), []string{c.id})
	must(t, s.Join(ctx(t), "a", "b", "c", "b", c.id))
	if got := s.Rooms(); got[0] != c.id {
		t.Errorf("the id is not the first of %q", got)
	}
	equal(t, "Rooms", s.Rooms(), []string{c.id, "a", "b", "c"})
	s.Leave("c", "nowhere")
	s.Leave(c.id) // a socket never leaves its own room
	must(t, n.To(c.id).Emit("still"))
	c.expect("still")
	equal(t, "Rooms", s.Rooms(), []string{c.id, "a", "b"})
	equal(t, "rooms of the namespace", n.Rooms(), []string{"a", "b"})

	other := client(t, n, "/")
	must(t, n.socket(t, other).Join(ctx(t), "b"))
	c.cut()
	equal(t, "Rooms while disconnecting", recv(t, "disconnecting", disconnecting), []string{c.id, "a", "b"})
	equal(t, "Rooms when disconnected", recv(t, "disconnect", disconnected), []string{c.id})
	other.expect("bye")
	equal(t, "rooms of the namespace", n.Rooms(), []string{"b"})
	if _, ok := n.Socket(c.id); ok {
		t.Error("a disconnected socket is found")
	}
}

func TestSocketsOfTheCluster(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		members := crowd(t, nodes)
		for i, m := range members {
			join(t, nodes, i, m, "all", fmt.Sprintf("own-%d", i))
			nodes[i%len(nodes)].socket(t, m).Set("number", i)
		}
		for from, n := range nodes {
			found := map[string]socketeer.RemoteSocket{}
			for r, err := range n.To("all").Sockets(ctx(t)) {
				must(t, err)
				found[r.ID] = r
			}
			if len(found) != 3 {
				t.Fatalf("from %d: found %v", from, found)
			}
			for i, m := range members {
				r := found[m.id]
				equal(t, "Rooms", r.Rooms, []string{m.id, "all", fmt.Sprintf("own-%d", i)})
				if string(r.Data) != fmt.Sprintf(`{"number":%d}`, i) {
					t.Errorf("data %s", r.Data)
				}
				var h struct {
					Address string
					Query   map[string]string
					Issued  int64
					Auth    map[string]any
				}
				must(t, json.Unmarshal(r.Handshake, &h))
				if h.Address != "127.0.0.1" || h.Query["EIO"] != "4" || h.Issued == 0 || h.Auth == nil {
					t.Errorf("handshake %s", r.Handshake)
				}
				if local := i%len(nodes) == from; (r.Node == "") != local {
					t.Errorf("socket %d from %d is on node %q", i, from, r.Node)
				}
			}
			for r, err := range n.Except("own-0").Sockets(ctx(t)) {
				must(t, err)
				if r.ID == members[0].id {
					t.Error("the excepted is among the sockets")
				}
			}
			for range n.To("all").Sockets(ctx(t)) {
				break // leaves nothing running
			}
		}
		if got := slices.Collect(nodes[0].Namespace.Sockets()); len(got) != 3/len(nodes) {
			t.Errorf("%d local sockets", len(got))
		}
	})
}

func TestRemoteSocket(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		home, away := nodes[0], nodes[len(nodes)-1]
		c := client(t, home, "/")
		s := home.socket(t, c)
		var r socketeer.RemoteSocket
		for found, err := range away.To(c.id).Sockets(ctx(t)) {
			must(t, err)
			r = found
		}
		must(t, r.Emit("hello", 1))
		c.expect("hello", 1)
		must(t, r.Join(ctx(t), "room"))
		equal(t, "Rooms", s.Rooms(), []string{c.id, "room"})
		must(t, away.To("room").Emit("in"))
		c.expect("in")
		must(t, r.Leave(ctx(t), "room"))
		equal(t, "Rooms", s.Rooms(), []string{c.id})

		answer := make(chan error, 1)
		go func() {
			reply, err := r.EmitWithAck(ctx(t), "question")
			var text string
			if err == nil {
				err = reply.Decode(&text)
			}
			if err == nil && (text != "yes" || reply.SID != c.id) {
				err = fmt.Errorf("%s answered %q", reply.SID, text)
			}
			answer <- err
		}()
		c.reply(c.expect("question"), "yes")
		must(t, recv(t, "the answer", answer))

		must(t, r.Disconnect(ctx(t), false))
		c.left()
		until(t, "it is gone", func() bool { return !s.Connected() })
		if _, err := r.EmitWithAck(ctx(t), "question"); !errors.Is(err, socketeer.ErrDisconnected) {
			t.Errorf("EmitWithAck to a socket that has gone: %v", err)
		}
	})
}

func TestJoinLeaveDisconnectOfMany(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		members := crowd(t, nodes)
		join(t, nodes, 0, members[0], "first")
		n := nodes[len(nodes)-1]
		must(t, n.All().Join(ctx(t), "r1", "r2"))
		must(t, n.To("first", members[1].id).Join(ctx(t), "r3"))
		must(t, n.Except("first").Leave(ctx(t), "r1"))
		for _, test := range []struct{ room, want string }{{"r1", "0"}, {"r2", "012"}, {"r3", "01"}} {
			for from := range nodes {
				if got := receivers(t, nodes[from], members, nodes[from].To(test.room).Emit); got != test.want {
					t.Errorf("%s from %d: got %q, want %q", test.room, from, got, test.want)
				}
			}
		}
		must(t, n.To("r3").Disconnect(ctx(t), false))
		members[0].left()
		members[1].left()
		again := members[0].peer.join("/") // the connection is still there
		must(t, n.Emit("rest"))
		again.expect("rest")
		members[2].expect("rest")
		must(t, n.To("r2").Disconnect(ctx(t), true))
		members[2].left()
		members[2].waitClosed()
		must(t, n.Emit("rest"))
		again.expect("rest")
	})
}

// Whatever any node sends to a room after Join has returned arrives (which is
// not so in JavaScript).
func TestJoinIsConfirmed(t *testing.T) {
	nodes := startCluster(t, 3)
	c := client(t, nodes[0], "/")
	s := nodes[0].socket(t, c)
	for i := range 100 {
		room := fmt.Sprintf("room-%d", i)
		from := nodes[1+i%2]
		switch i % 3 {
		case 0:
			must(t, s.Join(ctx(t), room))
		case 1:
			must(t, from.To(c.id).Join(ctx(t), room))
		case 2:
			must(t, nodes[2-i%2].All().Join(ctx(t), room))
		}
		must(t, from.To(room).Emit("hello", i))
		c.expect("hello", i)
		if i%2 == 0 {
			s.Leave(room)
		}
	}
}

// A room that is left and joined all the time is never lost to the cluster.
func TestJoinAndLeaveOvertakingEachOther(t *testing.T) {
	nodes := startCluster(t, 2)
	a, b := client(t, nodes[0], "/"), client(t, nodes[0], "/")
	sa, sb := nodes[0].socket(t, a), nodes[0].socket(t, b)
	churn, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-churn:
				return
			default:
				_ = sb.Join(context.Background(), "room")
				sb.Leave("room")
				runtime.Gosched()
			}
		}
	}()
	for i := range 100 {
		must(t, sa.Join(ctx(t), "room"))
		must(t, nodes[1].To("room").Except(b.id).Emit("hello", i))
		a.expect("hello", i)
		sa.Leave("room")
	}
	close(churn)
	recv(t, "the end of the churn", stopped)
}

func TestMaxRooms(t *testing.T) {
	n := start(t, socketeer.WithMaxRooms(2))
	early := make(chan error, 1)
	n.UseConnect(func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(ctx context.Context, s *sock) error {
			early <- s.Join(ctx, "a", "b", "a", "c")
			return next(ctx, s)
		}
	})
	s := n.socket(t, client(t, n, "/"))
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, socketeer.ErrTooManyRooms) {
			t.Errorf("%s: %v", what, err)
		}
	}
	full("while connecting", recv(t, "the early join", early))
	must(t, s.Join(ctx(t), "a", "b", s.ID())) // it is there already
	full("connected", s.Join(ctx(t), "d"))
	s.Leave("a")
	must(t, s.Join(ctx(t), "e"))
	if got := s.Rooms(); !slices.Equal(got, []string{s.ID(), "b", "e"}) {
		t.Errorf("rooms %q", got)
	}
}
