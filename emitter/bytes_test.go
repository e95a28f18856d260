package emitter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer/emitter"
	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// tap notes what is published.
type tap struct {
	mu   sync.Mutex
	seen []string
}

func newTap(t *testing.T, url string) *tap {
	t.Helper()
	p := new(tap)
	l, err := redislink.Open(patient(t), redislink.Options{URLs: []string{url}, Receive: func(m redislink.Message) {
		if m.Kind == redislink.Pattern {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.seen = append(p.seen, fmt.Sprintf("%s %q", m.Channel, m.Data))
		}
	}})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	must(t, l.PSubscribe(patient(t), "key*"))
	return p
}

// next takes the n messages that come next.
func (p *tap) next(t *testing.T, n int) (seen []string) {
	t.Helper()
	eventually(t, "what is published", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.seen) < n {
			return false
		}
		seen, p.seen = p.seen[:n:n], p.seen[n:]
		return true
	})
	return seen
}

// TestBytes: on the classic wire every byte is that of @socket.io/redis-emitter.
func TestBytes(t *testing.T) {
	r := redistest.Standalone(t)
	node := redistest.Node(t, redistest.NodeOptions{URLs: []string{r.URL()}})
	watch := newTap(t, r.URL())
	e := open(t, emitter.Options{URLs: []string{r.URL()}, Prefix: "key"})
	binary := args{"$binary": "AQL/"}
	for i, tt := range []struct {
		node args
		emit func() error
	}{
		{node: args{"event": "e"}, emit: func() error { return e.Emit("e") }},
		{
			node: args{"event": "all", "args": []any{1, -7, 1.5, 1 << 40, "ü☃", nil, true, args{"a": []any{args{}, []any{}}}, binary}},
			emit: func() error {
				return e.Emit("all", 1, -7, 1.5, 1<<40, "ü☃", nil, true, map[string]any{"a": []any{map[string]any{}, []any{}}}, []byte{1, 2, 255})
			},
		},
		{
			node: args{"nsp": "chat", "rooms": []string{"r"}, "except": []string{"a", "b", "a"}, "volatile": true, "event": "e"},
			emit: func() error { return e.Of("chat").To("r", "r").Except("a", "b").Except("a").Volatile().Emit("e") },
		},
		{
			node: args{"nsp": "/chat", "rooms": []string{"r", "s"}, "compress": false, "event": "e", "args": []any{binary}},
			emit: func() error { return e.Of("/chat").In("r").In("s").Compress(false).Emit("e", []byte{1, 2, 255}) },
		},
		{
			node: args{"volatile": true, "compress": false, "event": "e"},
			emit: func() error { return e.Compress(false).Volatile().Emit("e") },
		},
		{
			node: args{"rooms": []string{"r"}, "except": []string{"s"}, "call": "socketsJoin", "args": []any{[]string{"x", "y"}}},
			emit: func() error { return e.To("r").Except("s").Join("x", "y") },
		},
		{
			node: args{"nsp": "/chat", "call": "socketsLeave", "args": []any{"x"}},
			emit: func() error { return e.Of("/chat").Leave("x") },
		},
		{
			node: args{"rooms": []string{"r"}, "call": "disconnectSockets", "args": []any{true}},
			emit: func() error { return e.To("r").Disconnect(true) },
		},
		{
			node: args{"call": "disconnectSockets"},
			emit: func() error { return e.Disconnect(false) },
		},
		{
			node: args{"nsp": "/chat", "call": "serverSideEmit", "args": []any{"hello", 1, args{"k": nil}}},
			emit: func() error { return e.Of("/chat").ServerSideEmit("hello", 1, map[string]any{"k": nil}) },
		},
	} {
		tt.node["emitterOptions"] = args{"key": "key"}
		node.Must("publish", tt.node)
		want := watch.next(t, 1)[0]
		must(t, tt.emit())
		if got := watch.next(t, 1)[0]; got != want {
			t.Errorf("%d: got\n%s, want\n%s", i, got, want)
		}
	}
}

// TestParser: servers with a parser of their own understand ours.
func TestParser(t *testing.T) {
	r := redistest.Standalone(t)
	node := redistest.Node(t, redistest.NodeOptions{URLs: []string{r.URL()}, AdapterOptions: args{"parser": "json"}})
	id := node.Connect(args{})
	e := open(t, emitter.Options{URLs: []string{r.URL()}, Parser: json.Marshal})
	must(t, e.To(id).Except("nobody").Volatile().Compress(false).Emit("parsed", 1.5, "two", []any{nil, map[string]any{"a": true}}))
	must(t, e.Emit("done"))
	h, err := node.Wait(patient(t), func(h redistest.Happening) bool { return h.Client == id })
	must(t, err)
	if got := fmt.Sprintf("%s %s", h.Event, h.Args); got != `parsed [1.5 "two" [null,{"a":true}]]` {
		t.Errorf("got %s", got)
	}
	must(t, e.Disconnect(true)) // not by the parser
	_, err = node.Wait(patient(t), func(h redistest.Happening) bool { return h.Happened == "disconnected" })
	must(t, err)
}

// TestParserInput: what a parser gets, binary too, and what becomes of its
// errors.
func TestParserInput(t *testing.T) {
	r := redistest.Standalone(t)
	watch := newTap(t, r.URL())
	e := open(t, emitter.Options{URLs: []string{r.URL()}, Prefix: "key", Parser: func(v any) ([]byte, error) {
		return fmt.Appendf(nil, "%#v", v), nil
	}})
	must(t, e.Of("chat").To("r").Emit("e", 1, []byte{1}))
	const want = `[]interface {}{"emitter", ` +
		`map[string]interface {}{"data":[]interface {}{"e", 1, []uint8{0x1}}, "nsp":"/chat", "type":2}, ` +
		`map[string]interface {}{"except":[]interface {}{}, "flags":map[string]interface {}{}, "rooms":[]interface {}{"r"}}}`
	if got := watch.next(t, 1)[0]; got != fmt.Sprintf("key#/chat#r# %q", want) {
		t.Errorf("got %s", got)
	}
	bad := open(t, emitter.Options{URLs: []string{r.URL()}, Parser: func(any) ([]byte, error) { return nil, errors.New("no") }})
	if err := bad.Emit("e"); err == nil || err.Error() != "socketeer: emitter: parser: no" {
		t.Errorf("got %v", err)
	}
}
