package redis_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// TestMixed: Go and Node.js servers are one cluster, whoever does what.
func TestMixed(t *testing.T) {
	single, outer := redistest.Standalone(t), t
	var cluster *redistest.RedisCluster
	for _, m := range mixtures {
		t.Run(m.name, func(t *testing.T) {
			urls := []string{single.URL()}
			if m.cluster {
				if cluster == nil {
					cluster = redistest.Cluster(outer, 0)
				}
				urls = cluster.URLs()
			}
			w := newWorld(t, m, urls)
			for _, c := range []struct {
				name string
				run  func(*testing.T, *world)
			}{
				{"broadcast", mixedBroadcast},
				{"rooms", mixedRooms},
				{"sockets", mixedSockets},
				{"acknowledgements", mixedAcks},
				{"fetch", mixedFetch},
				{"join and leave", mixedJoin},
				{"server side", mixedServerSide},
				{"rooms of all", mixedAllRooms},
				{"emitter", mixedEmitter},
				{"disconnect", mixedDisconnect},
			} {
				t.Run(c.name, func(t *testing.T) {
					w.t = t
					c.run(t, w)
				})
			}
			for i, g := range w.golang {
				if s := g.member.Stats(); s.Drops != (redis.Drops{}) || s.Gaps != 0 {
					t.Errorf("go%d: %+v", i, s)
				}
			}
		})
	}
}

func mixedBroadcast(t *testing.T, w *world) {
	values := []any{1, "two", nil, 1.5, map[string]any{"a": []any{true, nil}}, []byte{1, 2, 255}}
	must(t, w.golang[0].io.Emit("from go", values...))
	const want = `[1 "two" null 1.5 {"a":[true,null]} {"$binary":"AQL/"}]`
	if got := w.received("from go", w.client...); fmt.Sprintf("%s", got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	sent := []any{1, "two", nil, 1.5, args{"a": []any{true, nil}}, args{"$binary": "AQL/"}, args{"$date": 1700000000123}, args{"$undefined": true}}
	w.do(1, "emit", args{"event": "from node", "args": sent})
	w.received("from node", w.client...)
	const date = `"2023-11-14T22:13:20.123Z"`
	for _, c := range w.client {
		h, err := w.node[0].Wait(patient(t), func(h redistest.Happening) bool { return h.Client == c && h.Event == "from node" })
		must(t, err)
		if got := fmt.Sprintf("%s", h.Args); got != strings.TrimSuffix(want, "]")+" "+date+" null]" {
			t.Errorf("%s got %s", w.nameOf(c), got)
		}
	}
}

func mixedRooms(t *testing.T, w *world) {
	w.join("both", w.client[0], w.client[3])
	w.join("go room", w.client[1])
	w.join("node room", w.client[2])
	w.join("ünï ☃", w.client...)
	everyone := w.client
	for i, from := range []func(rooms, except []string, event string){
		func(rooms, except []string, event string) {
			must(t, w.golang[0].io.To(rooms...).Except(except...).Emit(event))
		},
		func(rooms, except []string, event string) {
			w.do(0, "emit", args{"rooms": append([]string{}, rooms...), "except": append([]string{}, except...), "event": event})
		},
	} {
		event := func(s string) string { return fmt.Sprint(s, " ", i) }
		from([]string{"both"}, nil, event("both"))
		from([]string{"both", "go room"}, nil, event("three"))
		from(nil, []string{"both"}, event("others"))
		from([]string{"ünï ☃"}, []string{"go room", w.client[2]}, event("except"))
		from([]string{"nobody"}, nil, event("nobody"))
		from(nil, nil, event("all"))
		w.received(event("all"), everyone...)
		w.received(event("both"), w.client[0], w.client[3])
		w.received(event("three"), w.client[0], w.client[1], w.client[3])
		w.received(event("others"), w.client[1], w.client[2])
		w.received(event("except"), w.client[0], w.client[3])
		w.received(event("nobody"))
	}
}

func mixedSockets(t *testing.T, w *world) {
	for i, c := range w.client {
		event := fmt.Sprint("only you ", i)
		must(t, w.golang[0].io.To(c).Emit(event+" go"))
		w.received(event+" go", c)
		w.do(1, "emit", args{"rooms": []string{c}, "event": event + " node"})
		w.received(event+" node", c)
	}
}

func mixedAcks(t *testing.T, w *world) {
	replies, err := w.golang[0].io.Timeout(patienceOfClients).EmitWithAck(patient(t), "question", 1, []byte{7})
	must(t, err)
	if len(replies) != 4 {
		t.Errorf("%d replies", len(replies))
	}
	for _, r := range replies {
		var text string
		if err := r.Decode(&text); err != nil || text != "yes" {
			t.Errorf("reply %s of %s: %v", r.Data(), r.Node, err)
		}
	}
	replies, err = w.golang[0].io.To(w.client[3], w.client[1]).Timeout(patienceOfClients).EmitWithAck(patient(t), "two of you")
	if err != nil || len(replies) != 2 {
		t.Errorf("%d replies, %v", len(replies), err)
	}
	replies, err = w.golang[0].io.To("nobody").Timeout(patienceOfClients).EmitWithAck(patient(t), "nobody")
	if err != nil || len(replies) != 0 {
		t.Errorf("%d replies, %v", len(replies), err)
	}
	if got := w.do(1, "emitWithAck", args{"event": "node asks", "timeout": 5000}); string(got) != `["yes","yes","yes","yes"]` {
		t.Errorf("got %s", got)
	}
	if got := w.do(1, "emitWithAck", args{"rooms": []string{w.client[0]}, "event": "node asks go", "timeout": 5000}); string(got) != `["yes"]` {
		t.Errorf("got %s", got)
	}
}

// patienceOfClients is how long clients have to acknowledge.
const patienceOfClients = 10 * time.Second

// found is a socket as Node.js prints it.
type found struct {
	ID        string
	Rooms     []string
	Data      map[string]any
	Handshake struct {
		Auth  map[string]any
		Query map[string]any
		Time  string
	}
}

func mixedFetch(t *testing.T, w *world) {
	w.join("fetched", w.client...)
	w.do(1, "setData", args{"socket": w.client[3], "data": args{"name": "node1", "n": 1}})
	seen := map[string]found{}
	for s, err := range w.golang[0].io.To("fetched").Sockets(patient(t)) {
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
	for _, err := range w.golang[1].io.To("nobody").Sockets(patient(t)) {
		t.Error("somebody, or", err)
	}
}

func checkFound(t *testing.T, w *world, seen map[string]found) {
	t.Helper()
	if got, want := slices.Sorted(maps.Keys(seen)), slices.Sorted(slices.Values(w.client)); !slices.Equal(got, want) {
		t.Fatalf("found %v, want %v", got, want)
	}
	for id, f := range seen {
		if !slices.Contains(f.Rooms, id) || !slices.Contains(f.Rooms, "fetched") || f.Handshake.Auth["token"] != "t" ||
			f.Handshake.Query["EIO"] != "4" || f.Handshake.Time == "" {
			t.Errorf("%s: %+v", w.nameOf(id), f)
		}
	}
	for i, name := range map[int]string{0: "go0", 1: "go1", 3: "node1"} {
		if got := seen[w.client[i]].Data["name"]; got != name {
			t.Errorf("%s: data %v", name, got)
		}
	}
}

func mixedJoin(t *testing.T, w *world) {
	rooms := func(id string) (list []string) {
		for s, err := range w.golang[1].io.To(id).Sockets(patient(t)) {
			must(t, err)
			list = s.Rooms
		}
		return list
	}
	// From Go it is done when the call has returned, on Node.js too.
	must(t, w.golang[0].io.All().Join(patient(t), "joined", "joined 2"))
	for _, c := range w.client {
		if got := rooms(c); !slices.Contains(got, "joined") || !slices.Contains(got, "joined 2") {
			t.Errorf("%s: %v", w.nameOf(c), got)
		}
	}
	must(t, w.golang[0].io.To(w.client[0], w.client[3]).Leave(patient(t), "joined 2"))
	for i, c := range w.client {
		if got := slices.Contains(rooms(c), "joined 2"); got != (i == 1 || i == 2) {
			t.Errorf("%s: %v", w.nameOf(c), got)
		}
	}
	// On Go nodes the room's messages come from then on.
	must(t, w.golang[0].io.To("joined").Except(w.client[2], w.client[3]).Emit("welcome"))
	w.received("welcome", w.client[0], w.client[1])
	w.settle("joined", w.client...)
	// From Node.js.
	w.do(1, "socketsJoin", args{"join": []string{"from node"}})
	for _, c := range w.client {
		w.eventually("the socket to join", func(context.Context) bool { return slices.Contains(rooms(c), "from node") })
	}
	w.settle("from node", w.client...)
	w.do(1, "socketsLeave", args{"rooms": []string{w.client[0]}, "leave": []string{"from node"}})
	w.eventually("the socket to leave", func(context.Context) bool { return !slices.Contains(rooms(w.client[0]), "from node") })
	w.do(0, "emit", args{"rooms": []string{"from node"}, "event": "who is left"})
	w.received("who is left", w.client[1:]...)
}

func mixedServerSide(t *testing.T, w *world) {
	replies, err := w.golang[0].io.ServerSideEmitWithAck(patient(t), "ask", "x", nil, []byte{1})
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
	h, err := w.node[0].Wait(patient(t), func(h redistest.Happening) bool { return h.Happened == "serverSide" && h.Event == "ask" })
	must(t, err)
	if fmt.Sprintf("%s", h.Args) != `["x" null {"$binary":"AQ=="}]` {
		t.Errorf("got %s", h.Args)
	}
	must(t, w.golang[0].io.ServerSideEmit("hello", "there"))
	_, err = w.node[1].Wait(patient(t), func(h redistest.Happening) bool { return h.Happened == "serverSide" && h.Event == "hello" })
	must(t, err)

	var answers []string
	must(t, json.Unmarshal(w.do(1, "serverSideEmitWithAck", args{"event": "ask", "args": []any{1}}), &answers))
	if slices.Sort(answers); !slices.Equal(answers, []string{"go0", "go1", "node0"}) {
		t.Errorf("got %q", answers)
	}
	heard := make(chan string, 1)
	off := w.golang[1].io.OnServerSide("hello go", func(_ context.Context, m *socketeer.Message) error {
		heard <- string(m.Data())
		return nil
	})
	defer off()
	w.do(1, "serverSideEmit", args{"event": "hello go", "args": []any{"a", nil}})
	select {
	case got := <-heard:
		if got != `["hello go","a",null]` {
			t.Errorf("got %s", got)
		}
	case <-patient(t).Done():
		t.Error("nothing came")
	}
}

func mixedAllRooms(t *testing.T, w *world) {
	if w.options.Mode != redis.Classic {
		t.Skip("only the classic adapter has it")
	}
	w.join("somewhere", w.client[1])
	var rooms []string
	must(t, json.Unmarshal(w.do(1, "allRooms", nil), &rooms))
	for _, want := range append([]string{"somewhere"}, w.client...) {
		if !slices.Contains(rooms, want) {
			t.Errorf("%s is not in %q", want, rooms)
		}
	}
}

func mixedEmitter(t *testing.T, w *world) {
	if w.options.Mode != redis.Classic {
		t.Skip("there is none for the sharded wire")
	}
	publish := func(a args) {
		t.Helper()
		a["emitterOptions"] = args{"key": w.options.Prefix}
		w.do(0, "publish", a)
	}
	publish(args{"event": "emitted", "args": []any{1, args{"$binary": "AQ=="}}})
	if got := w.received("emitted", w.client...); fmt.Sprintf("%s", got) != `[1 {"$binary":"AQ=="}]` {
		t.Errorf("got %s", got)
	}
	publish(args{"rooms": []string{w.client[0]}, "call": "socketsJoin", "args": []any{"emitter room"}})
	w.settle("emitter room", w.client[0])
	publish(args{"rooms": []string{"emitter room"}, "event": "to the room"})
	w.received("to the room", w.client[0])
	heard := make(chan string, 1)
	off := w.golang[0].io.OnServerSide("from the emitter", func(_ context.Context, m *socketeer.Message) error {
		heard <- string(m.Data())
		return nil
	})
	defer off()
	publish(args{"call": "serverSideEmit", "args": []any{"from the emitter", 1}})
	select {
	case got := <-heard:
		if got != `["from the emitter",1]` {
			t.Errorf("got %s", got)
		}
	case <-patient(t).Done():
		t.Error("nothing came")
	}
}

func mixedDisconnect(t *testing.T, w *world) {
	gone := func(c string) {
		t.Helper()
		_, err := w.node[0].Wait(patient(t), func(h redistest.Happening) bool { return h.Happened == "disconnected" && h.Client == c })
		must(t, err)
	}
	must(t, w.golang[0].io.To(w.client[1], w.client[2]).Disconnect(patient(t), true))
	gone(w.client[1])
	gone(w.client[2])
	w.do(1, "disconnectSockets", args{"rooms": []string{w.client[0]}, "close": true})
	gone(w.client[0])
	w.client = w.client[3:]
	must(t, w.golang[1].io.Emit("goodbye"))
	w.received("goodbye", w.client...)
}
