package mixedtest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func broadcast(t *testing.T, w *World) {
	when := time.UnixMilli(1700000000123).UTC()
	const date = `"2023-11-14T22:13:20.123Z"`
	must(t, w.Go[0].IO.Emit("from go", 1, "two", nil, 1.5, when, map[string]any{"a": []any{true, nil}}))
	must(t, w.Go[0].IO.Emit("bytes from go", 1, nil, when, []byte{1, 2, 255}))
	for event, want := range map[string]string{
		"from go":       `[1 "two" null 1.5 ` + date + ` {"a":[true,null]}]`,
		"bytes from go": `[1 null ` + date + ` {"$binary":"AQL/"}]`,
	} {
		w.received(event, w.Clients...)
		for _, c := range w.Clients {
			if got := fmt.Sprintf("%s", w.arguments(event, c)); got != want {
				t.Errorf("%s got %s %s, want %s", w.nameOf(c), event, got, want)
			}
		}
	}
	sent := []any{1, "two", nil, 1.5, args{"a": []any{true, nil}}, args{"$date": when.UnixMilli()}, args{"$undefined": true}}
	const want = `[1 "two" null 1.5 {"a":[true,null]} ` + date + ` null]`
	w.do(1, "emit", args{"event": "from node", "args": sent})
	w.do(1, "emit", args{"event": "bytes from node", "args": append(sent, args{"$binary": "AQL/"})})
	for event, want := range map[string]string{
		"from node": want, "bytes from node": want[:len(want)-1] + ` {"$binary":"AQL/"}]`,
	} {
		w.received(event, w.Clients...)
		for _, c := range w.Clients {
			if got := fmt.Sprintf("%s", w.arguments(event, c)); got != want {
				t.Errorf("%s got %s %s, want %s", w.nameOf(c), event, got, want)
			}
		}
	}
}

// values are those that adapters for Node.js change on the way: Go servers
// understand them as another Node.js server does.
func values(t *testing.T, w *World) {
	for i, v := range []any{
		args{"u": args{"$undefined": true}, "n": nil, "d": args{"$date": 0}},
		[]any{args{"$undefined": true}, nil, []any{args{"$date": 1.5e12}}},
		args{"b": args{"$binary": ""}, "u": args{"$undefined": true}, "d": args{"$date": -1}},
		[]any{args{"$binary": "AA=="}, args{"d": args{"$date": 253402300799999}}, args{"$undefined": true}},
		[]any{9007199254740991, -9007199254740991, 4294967296, -2147483649, 1e300, -0.5, "\x00\u2028☃😀", ""},
		[]any{args{"$binary": "AA=="}, 9007199254740991, -9007199254740991, 4294967296, -2147483649, 1e300, -0.5, "\x00\u2028☃😀", args{"": args{}}},
	} {
		event := fmt.Sprint("value ", i)
		w.do(1, "emit", args{"event": event, "args": []any{v}})
		w.received(event, w.Clients...)
		var want any
		must(t, json.Unmarshal(w.arguments(event, w.Clients[2])[0], &want))
		for _, c := range w.Clients[:2] {
			var got any
			must(t, json.Unmarshal(w.arguments(event, c)[0], &got))
			if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
				t.Errorf("%s got %#v, want %#v", w.nameOf(c), got, want)
			}
		}
	}
}

func rooms(t *testing.T, w *World) {
	w.Join("both", w.Clients[0], w.Clients[3])
	w.Join("go room", w.Clients[1])
	w.Join("node room", w.Clients[2])
	w.Join("ünï ☃", w.Clients...)
	for i, from := range []func(rooms, except []string, event string){
		func(rooms, except []string, event string) {
			must(t, w.Go[0].IO.To(rooms...).Except(except...).Emit(event))
		},
		func(rooms, except []string, event string) {
			w.do(0, "emit", args{"rooms": append([]string{}, rooms...), "except": append([]string{}, except...), "event": event})
		},
	} {
		event := func(s string) string { return fmt.Sprint(s, " ", i) }
		from([]string{"both"}, nil, event("both"))
		from([]string{"both", "go room"}, nil, event("three"))
		from(nil, []string{"both"}, event("others"))
		from([]string{"ünï ☃"}, []string{"go room", w.Clients[2]}, event("except"))
		from([]string{"nobody"}, nil, event("nobody"))
		from(nil, nil, event("all"))
		w.received(event("all"), w.Clients...)
		w.received(event("both"), w.Clients[0], w.Clients[3])
		w.received(event("three"), w.Clients[0], w.Clients[1], w.Clients[3])
		w.received(event("others"), w.Clients[1], w.Clients[2])
		w.received(event("except"), w.Clients[0], w.Clients[3])
		w.received(event("nobody"))
	}
}

func sockets(t *testing.T, w *World) {
	for i, c := range w.Clients {
		event := fmt.Sprint("only you ", i)
		must(t, w.Go[0].IO.To(c).Emit(event+" go"))
		w.received(event+" go", c)
		w.do(1, "emit", args{"rooms": []string{c}, "event": event + " node"})
		w.received(event+" node", c)
	}
}

// patienceOfClients is how long clients have to acknowledge.
const patienceOfClients = 10 * time.Second

func acknowledgements(t *testing.T, w *World) {
	io := w.Go[0].IO
	replies, err := io.Timeout(patienceOfClients).EmitWithAck(Patient(t), "question", 1, []byte{7})
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
	replies, err = io.To(w.Clients[3], w.Clients[1]).Timeout(patienceOfClients).EmitWithAck(Patient(t), "two of you")
	if err != nil || len(replies) != 2 {
		t.Errorf("%d replies, %v", len(replies), err)
	}
	replies, err = io.Except(w.Clients[2]).Timeout(patienceOfClients).EmitWithAck(Patient(t), "three of you")
	if err != nil || len(replies) != 3 {
		t.Errorf("%d replies, %v", len(replies), err)
	}
	replies, err = io.To("nobody").Timeout(patienceOfClients).EmitWithAck(Patient(t), "nobody")
	if err != nil || len(replies) != 0 {
		t.Errorf("%d replies, %v", len(replies), err)
	}
	if got := w.do(1, "emitWithAck", args{"event": "node asks", "timeout": 5000}); string(got) != `["yes","yes","yes","yes"]` {
		t.Errorf("got %s", got)
	}
	if got := w.do(1, "emitWithAck", args{"rooms": []string{w.Clients[0]}, "event": "node asks go", "timeout": 5000}); string(got) != `["yes"]` {
		t.Errorf("got %s", got)
	}
}
