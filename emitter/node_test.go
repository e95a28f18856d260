package emitter_test

import (
	"fmt"
	"testing"

	"github.com/socketeer-io/socketeer/internal/redistest"
)

// TestNodeEmitter: servers do what @socket.io/redis-emitter tells them, Go nodes
// like Node.js ones.
func TestNodeEmitter(t *testing.T) {
	r := redistest.Standalone(t)
	w := newWorld(t, kinds[0], []string{r.URL()})
	publish := func(a args) {
		t.Helper()
		a["emitterOptions"] = args{"key": w.prefix}
		w.node.Must("publish", a)
	}
	call := func(name string, a args, arguments ...any) {
		t.Helper()
		a["call"], a["args"] = name, append([]any{}, arguments...)
		publish(a)
	}
	publish(args{"event": "to all", "args": []any{1, nil, "ü", args{"$binary": "AQL/"}, args{"$undefined": true}}})
	publish(args{"nsp": "chat", "event": "to the chat", "volatile": true, "compress": false})
	publish(args{"rooms": []string{w.onGo}, "event": "to one"})
	publish(args{"rooms": []string{w.onGo, w.onNode}, "except": []string{w.onNode}, "event": "to one of two"})
	publish(args{"except": []string{w.onGo}, "event": "except"})
	if got := fmt.Sprintf("%s", w.received("to all", w.onGo, w.onNode)); got != `[1 null "ü" {"$binary":"AQL/"} null]` {
		t.Errorf("got %s", got)
	}
	w.received("to the chat", w.chatGo, w.chatNode)
	w.received("to one", w.onGo)
	w.received("to one of two", w.onGo)
	w.received("except", w.onNode)

	call("socketsJoin", args{}, []string{"joined", "joined too"})
	w.members("joined", w.onGo, w.onNode)
	call("socketsLeave", args{"rooms": []string{"joined"}, "except": []string{w.onNode}}, "joined too")
	w.members("joined too", w.onNode)
	w.settle("/", "joined", w.onGo, w.onNode)
	publish(args{"rooms": []string{"joined"}, "event": "to the room"})
	w.received("to the room", w.onGo, w.onNode)

	call("serverSideEmit", args{"nsp": "/chat"}, "hello", "you", nil)
	select {
	case got := <-w.heard:
		if got != "/chat you []" {
			t.Errorf("got %q", got)
		}
	case <-patient(t).Done():
		t.Error("the Go server hears nothing")
	}
	call("disconnectSockets", args{"rooms": []string{w.onGo}}, true)
	call("disconnectSockets", args{"nsp": "/chat"})
	for _, c := range []string{w.onGo, w.chatGo, w.chatNode} {
		if _, err := w.node.Wait(patient(t), func(h redistest.Happening) bool { return h.Happened == "disconnected" && h.Client == c }); err != nil {
			t.Errorf("%s: %v", w.nameOf(c), err)
		}
	}
}
