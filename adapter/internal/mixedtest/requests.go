package mixedtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// found is a socket as Node.js prints it.
type found struct {
	ID        string
	Rooms     []string
	Data      map[string]any
	Handshake struct {
		Auth    map[string]any
		Query   map[string]any
		Headers map[string]any
		Time    string
		Address string
		Issued  int64
		URL     string
	}
}

func fetch(t *testing.T, w *World) {
	w.Join("fetched", w.Clients...)
	for i := range w.Node {
		w.do(i, "setData", args{"socket": w.Clients[2+i], "data": args{"name": fmt.Sprint("node", i), "n": 1}})
	}
	seen := map[string]found{}
	for s, err := range w.Go[0].IO.To("fetched").Sockets(Patient(t)) {
		must(t, err)
		var f found
		must(t, json.Unmarshal(s.Data, &f.Data))
		must(t, json.Unmarshal(s.Handshake, &f.Handshake))
		f.Rooms = s.Rooms
		seen[s.ID] = f
	}
	checkFound(t, w, seen)
	var list []found
	must(t, json.Unmarshal(w.do(0, "fetchSockets", args{"rooms": []string{"fetched"}}), &list))
	seen = map[string]found{}
	for _, f := range list {
		seen[f.ID] = f
	}
	checkFound(t, w, seen)
	for _, err := range w.Go[1].IO.To("nobody").Sockets(Patient(t)) {
		t.Error("somebody, or", err)
	}
}

func checkFound(t *testing.T, w *World, seen map[string]found) {
	t.Helper()
	if got, want := slices.Sorted(maps.Keys(seen)), slices.Sorted(slices.Values(w.Clients)); !slices.Equal(got, want) {
		t.Fatalf("found %v, want %v", got, want)
	}
	for i, id := range w.Clients {
		f := seen[id]
		if name := []string{"go0", "go1", "node0", "node1"}[i]; f.Data["name"] != name {
			t.Errorf("%s: data %v", name, f.Data)
		}
		h := f.Handshake
		if !slices.Contains(f.Rooms, id) || !slices.Contains(f.Rooms, "fetched") || h.Auth["token"] != "t" || h.Query["EIO"] != "4" ||
			h.Headers["host"] == nil || h.Time == "" || h.Issued == 0 || h.Address == "" || h.URL == "" {
			t.Errorf("%s: %+v", w.nameOf(id), f)
		}
	}
}

func joinAndLeave(t *testing.T, w *World) {
	rooms := func(id string) (list []string) {
		for s, err := range w.Go[1].IO.To(id).Sockets(Patient(t)) {
			must(t, err)
			list = s.Rooms
		}
		return list
	}
	// What a Go node asks for is done when the call has returned, on Go nodes
	// and, if they confirm it, on Node.js too.
	check := func(i int, room string, want bool) {
		t.Helper()
		id := w.Clients[i]
		if i >= len(w.Go) && !w.c.Confirmed {
			w.eventually("it to be done", func(context.Context) bool { return slices.Contains(rooms(id), room) == want })
			return
		}
		if got := rooms(id); slices.Contains(got, room) != want {
			t.Errorf("%s: %v", w.nameOf(id), got)
		}
	}
	must(t, w.Go[0].IO.All().Join(Patient(t), "joined", "joined 2"))
	for i := range w.Clients {
		check(i, "joined", true)
		check(i, "joined 2", true)
	}
	must(t, w.Go[0].IO.To(w.Clients[0], w.Clients[3]).Leave(Patient(t), "joined 2"))
	for i := range w.Clients {
		check(i, "joined 2", i == 1 || i == 2)
	}
	// On Go nodes the room's messages come from then on.
	must(t, w.Go[0].IO.To("joined").Except(w.Clients[2], w.Clients[3]).Emit("welcome"))
	w.received("welcome", w.Clients[0], w.Clients[1])
	w.settle("joined", w.Clients...)
	// From Node.js.
	w.do(1, "socketsJoin", args{"join": []string{"from node"}})
	for _, c := range w.Clients {
		w.eventually("the socket to join", func(context.Context) bool { return slices.Contains(rooms(c), "from node") })
	}
	w.settle("from node", w.Clients...)
	w.do(1, "socketsLeave", args{"rooms": []string{w.Clients[0]}, "leave": []string{"from node"}})
	w.eventually("the socket to leave", func(context.Context) bool { return !slices.Contains(rooms(w.Clients[0]), "from node") })
	w.do(0, "emit", args{"rooms": []string{"from node"}, "event": "who is left"})
	w.received("who is left", w.Clients[1:]...)
}

// hears returns what a Go server hears of an event from other servers.
func (w *World) hears(t *testing.T, g *GoServer, event string) (wait func() string) {
	t.Helper()
	heard := make(chan string, 1)
	off := g.IO.OnServerSide(event, func(_ context.Context, m *socketeer.Message) error {
		heard <- string(m.Data())
		return nil
	})
	t.Cleanup(off)
	return func() string {
		t.Helper()
		select {
		case got := <-heard:
			return got
		case <-Patient(t).Done():
			t.Error("nothing came")
			return ""
		}
	}
}

func serverSide(t *testing.T, w *World) {
	replies, err := w.Go[0].IO.ServerSideEmitWithAck(Patient(t), "ask", "x", nil, []byte{1})
	must(t, err)
	var got []string
	for _, r := range replies {
		var name string
		must(t, r.Decode(&name))
		got = append(got, name)
	}
	if slices.Sort(got); !slices.Equal(got, []string{"go1", "node0", "node1"}) {
		t.Errorf("got %q", got)
	}
	heardByNode := func(i int, event, want string) {
		t.Helper()
		h, err := w.Node[i].Wait(Patient(t), func(h redistest.Happening) bool { return h.Happened == "serverSide" && h.Event == event })
		must(t, err)
		if got := fmt.Sprintf("%s", h.Args); got != want {
			t.Errorf("node%d got %s, want %s", i, got, want)
		}
	}
	byGo := w.hears(t, w.Go[1], "hello")
	must(t, w.Go[0].IO.ServerSideEmit("hello", "there", nil))
	for i := range w.Node {
		heardByNode(i, "ask", `["x" null {"$binary":"AQ=="}]`)
		heardByNode(i, "hello", `["there" null]`)
	}
	if got := byGo(); got != `["hello","there",null]` {
		t.Errorf("go1 got %s", got)
	}

	var answers []string
	must(t, json.Unmarshal(w.do(1, "serverSideEmitWithAck", args{"event": "ask", "args": []any{1}}), &answers))
	if slices.Sort(answers); !slices.Equal(answers, []string{"go0", "go1", "node0"}) {
		t.Errorf("got %q", answers)
	}
	var waits []func() string
	for _, g := range w.Go {
		waits = append(waits, w.hears(t, g, "hello go"))
	}
	w.do(1, "serverSideEmit", args{"event": "hello go", "args": []any{"a", nil, args{"$date": 1700000000123}}})
	for i, wait := range waits {
		if got := wait(); got != `["hello go","a",null,"2023-11-14T22:13:20.123Z"]` {
			t.Errorf("go%d got %s", i, got)
		}
	}
}

func roomsOfAll(t *testing.T, w *World) {
	w.Join("somewhere", w.Clients[1])
	var rooms []string
	must(t, json.Unmarshal(w.do(1, "allRooms", nil), &rooms))
	for _, want := range append([]string{"somewhere"}, w.Clients...) {
		if !slices.Contains(rooms, want) {
			t.Errorf("%s is not in %q", want, rooms)
		}
	}
}

func emitter(t *testing.T, w *World) {
	publish := func(a args) {
		t.Helper()
		a["emitterOptions"] = w.c.Emitter
		w.do(0, "publish", a)
	}
	publish(args{"event": "emitted", "args": []any{1, args{"$binary": "AQ=="}}})
	if got := w.received("emitted", w.Clients...); fmt.Sprintf("%s", got) != `[1 {"$binary":"AQ=="}]` {
		t.Errorf("got %s", got)
	}
	publish(args{"rooms": []string{w.Clients[0]}, "call": "socketsJoin", "args": []any{"emitter room"}})
	w.settle("emitter room", w.Clients[0])
	publish(args{"rooms": []string{"emitter room"}, "event": "to the room"})
	w.received("to the room", w.Clients[0])
	wait := w.hears(t, w.Go[0], "from the emitter")
	publish(args{"call": "serverSideEmit", "args": []any{"from the emitter", 1}})
	if got := wait(); got != `["from the emitter",1]` {
		t.Errorf("got %s", got)
	}
}

func disconnect(t *testing.T, w *World) {
	gone := func(c string) {
		t.Helper()
		_, err := w.Node[0].Wait(Patient(t), func(h redistest.Happening) bool { return h.Happened == "disconnected" && h.Client == c })
		must(t, err)
	}
	must(t, w.Go[0].IO.To(w.Clients[1], w.Clients[2]).Disconnect(Patient(t), true))
	gone(w.Clients[1])
	gone(w.Clients[2])
	w.do(1, "disconnectSockets", args{"rooms": []string{w.Clients[0]}, "close": true})
	gone(w.Clients[0])
	w.Clients = w.Clients[3:]
	must(t, w.Go[1].IO.Emit("goodbye"))
	w.received("goodbye", w.Clients...)
}
