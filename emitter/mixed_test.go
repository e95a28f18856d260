package emitter_test

import (
	"fmt"
	"testing"

	"github.com/socketeer-io/socketeer/emitter"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// TestMixed: what an emitter sends reaches the clients of Go and Node.js
// servers in every kind of cluster.
func TestMixed(t *testing.T) {
	single, outer := redistest.Standalone(t), t
	var cluster *redistest.RedisCluster
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			urls := []string{single.URL()}
			if k.cluster {
				if cluster == nil {
					cluster = redistest.Cluster(outer, 0)
				}
				urls = cluster.URLs()
			}
			w := newWorld(t, k, urls)
			for _, c := range []struct {
				name string
				run  func(*testing.T, *world)
			}{
				{"events", mixedEvents},
				{"rooms", mixedRooms},
				{"join and leave", mixedJoin},
				{"server side", mixedServerSide},
				{"disconnect", mixedDisconnect},
			} {
				t.Run(c.name, func(t *testing.T) {
					w.t = t
					c.run(t, w)
				})
			}
			must(t, w.e.Flush(patient(t)))
			if s := w.e.Stats(); s != (emitter.Stats{Sent: s.Sent}) {
				t.Errorf("%+v", s)
			}
		})
	}
}

func mixedEvents(t *testing.T, w *world) {
	values := []any{1, "zwei", nil, 1.5, map[string]any{"a": []any{true, nil}}, []byte{1, 2, 255}}
	must(t, w.e.Emit("values", values...))
	const want = `[1 "zwei" null 1.5 {"a":[true,null]} {"$binary":"AQL/"}]`
	if got := fmt.Sprintf("%s", w.received("values", w.onGo, w.onNode)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	must(t, w.e.Of("chat").Volatile().Compress(false).Emit("chat", []byte{7}))
	if got := fmt.Sprintf("%s", w.received("chat", w.chatGo, w.chatNode)); got != `[{"$binary":"Bw=="}]` {
		t.Errorf("got %s", got)
	}
}

func mixedRooms(t *testing.T, w *world) {
	w.join("both", w.onGo, w.onNode)
	w.join("go", w.onGo)
	w.join("twenty letters: ☃☃☃☃", w.onGo, w.onNode) // as long as an id
	must(t, w.e.To("both").Emit("to both"))
	must(t, w.e.In("go").Emit("to go"))
	must(t, w.e.To("go", "nobody").To("go").Emit("to go or nobody"))
	must(t, w.e.To("both").Except("go").Emit("to both but go"))
	must(t, w.e.Except("go", w.chatNode).Emit("except"))
	must(t, w.e.To("twenty letters: ☃☃☃☃").Emit("to the long name"))
	must(t, w.e.To("nobody").Emit("to nobody"))
	must(t, w.e.Of("/chat").To("both").Emit("elsewhere"))
	must(t, w.e.To(w.onGo).Emit("to one on go"))
	must(t, w.e.To(w.onNode).Emit("to one on node"))
	w.received("to both", w.onGo, w.onNode)
	w.received("to go", w.onGo)
	w.received("to go or nobody", w.onGo)
	w.received("to both but go", w.onNode)
	w.received("except", w.onNode)
	w.received("to the long name", w.onGo, w.onNode)
	w.received("to nobody")
	w.received("elsewhere")
	w.received("to one on go", w.onGo)
	w.received("to one on node", w.onNode)
}

func mixedJoin(t *testing.T, w *world) {
	must(t, w.e.Join("joined", "joined too"))
	must(t, w.e.To(w.onNode).Join("only node"))
	w.settle("/", "joined", w.onGo, w.onNode)
	w.settle("/", "joined too", w.onGo, w.onNode)
	w.settle("/", "only node", w.onNode)
	must(t, w.e.To("only node").Emit("to only node"))
	w.received("to only node", w.onNode)
	must(t, w.e.Except("only node").Leave("joined"))
	must(t, w.e.To("only node").Leave("joined too"))
	// In a Redis Cluster a room's messages may overtake those to everyone.
	w.members("joined", w.onNode)
	w.members("joined too", w.onGo)
	must(t, w.e.To("joined").Emit("to joined"))
	must(t, w.e.To("joined too").Emit("to joined too"))
	w.received("to joined", w.onNode)
	w.received("to joined too", w.onGo)
}

func mixedServerSide(t *testing.T, w *world) {
	for _, nsp := range []string{"/", "/chat"} {
		must(t, w.e.Of(nsp).ServerSideEmit("hello", "you", []byte{1, 2}))
		select {
		case got := <-w.heard:
			if want := nsp + " you [1 2]"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		case <-patient(t).Done():
			t.Error("the Go server hears nothing in", nsp)
		}
		h, err := w.node.Wait(patient(t), func(h redistest.Happening) bool { return h.Happened == "serverSide" && h.NSP == nsp })
		must(t, err)
		if got := fmt.Sprintf("%s %s", h.Event, h.Args); got != `hello ["you" {"$binary":"AQI="}]` {
			t.Errorf("got %s in %s", got, nsp)
		}
	}
}

func mixedDisconnect(t *testing.T, w *world) {
	must(t, w.e.Of("chat").Disconnect(false))
	must(t, w.e.To(w.onGo).Except(w.onNode).Disconnect(true))
	for _, c := range []string{w.chatGo, w.chatNode, w.onGo} {
		_, err := w.node.Wait(patient(t), func(h redistest.Happening) bool { return h.Happened == "disconnected" && h.Client == c })
		if err != nil {
			t.Errorf("%s: %v", w.nameOf(c), err)
		}
	}
	must(t, w.e.Emit("still here"))
	_, err := w.node.Wait(patient(t), func(h redistest.Happening) bool { return h.Client == w.onNode && h.Event == "still here" })
	must(t, err)
}
