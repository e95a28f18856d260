package socketeer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/socketeer-io/socketeer"
)

type (
	sock = socketeer.Socket
	msg  = socketeer.Message
)

// answer is a handler that acknowledges.
func answer(args ...any) socketeer.Handler {
	return func(_ context.Context, m *msg) error { return m.Ack(args...) }
}

func TestNamespacesShareAConnection(t *testing.T) {
	n := start(t)
	n.On("whoami", answer("main"))
	n.Of("/chat").On("whoami", answer("chat"))
	n.Of("news").On("whoami", answer("news"))

	p := dial(t, n.url)
	root, chat, news := p.join("/"), p.join("/chat"), p.join("/news")
	for m, want := range map[*member]string{root: "main", chat: "chat", news: "news"} {
		if got := m.ask("whoami"); got[0] != want {
			t.Errorf("%s answered %v", m.nsp, got)
		}
	}
	if root.id == chat.id || chat.id == news.id {
		t.Error("sockets of one connection have the same id")
	}
	if a, b := n.socket(t, root).Conn(), n.socket(t, chat).Conn(); a != b {
		t.Error("the sockets do not share the connection")
	}
	if got := n.Engine().Count(); got != 1 {
		t.Errorf("%d connections", got)
	}

	must(t, n.Of("chat").Emit("to", "chat"))
	must(t, n.Emit("to", "main"))
	chat.expect("to", "chat")
	root.expect("to", "main")

	chat.leaveNamespace()
	until(t, "the chat is empty", func() bool { return n.Of("/chat").Len() == 0 })
	root.ask("whoami")
	if again := p.join("/chat"); again.id == chat.id {
		t.Error("a new socket has the id of the old one")
	}
}

func TestNamespacesAreListed(t *testing.T) {
	n := start(t)
	var told list
	n.OnNamespace(func(nsp *socketeer.Namespace) { told.add(nsp.Name()) })
	if n.Of("a") != n.Of("/a") {
		t.Error("a name without a slash is another namespace")
	}
	if got, err := n.Open(ctx(t), "b"); err != nil || got != n.Of("/b") {
		t.Errorf("Open: %v, %v", got, err)
	}
	var names []string
	for nsp := range n.Namespaces() {
		names = append(names, nsp.Name())
	}
	equal(t, "Namespaces", names, []string{"/", "/a", "/b"})
	equal(t, "OnNamespace", told.all(), []string{"/a", "/b"})
}

func TestUnknownNamespace(t *testing.T) {
	n := start(t)
	p := dial(t, n.url)
	if got := p.refused("/nowhere", nil); got != `{"message":"Invalid namespace"}` {
		t.Errorf("got %s", got)
	}
	p.join("/") // the connection is as good as before
}

func TestDynamicByPattern(t *testing.T) {
	n := start(t)
	d := n.OfPattern(regexp.MustCompile(`/dynamic-\d+`))
	d.On("whoami", func(_ context.Context, m *msg) error { return m.Ack(m.Socket().Namespace().Name()) })
	d.UseConnect(func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(ctx context.Context, s *sock) error {
			if strings.HasSuffix(s.Namespace().Name(), "-13") {
				return &socketeer.Error{Message: "unlucky"}
			}
			return next(ctx, s)
		}
	})
	d.OnConnect(func(_ context.Context, s *sock) error { return s.Emit("welcome") })
	created := make(chan string, 10)
	n.OnNamespace(func(nsp *socketeer.Namespace) { created <- nsp.Name() })

	p := dial(t, n.url)
	one, two := p.join("/dynamic-1"), p.join("/dynamic-2")
	one.expect("welcome")
	two.expect("welcome")
	if got := one.ask("whoami"); got[0] != "/dynamic-1" {
		t.Errorf("whoami: %v", got)
	}
	if got := p.refused("/dynamic-13", nil); got != `{"message":"unlucky"}` {
		t.Errorf("refused with %s", got)
	}
	for _, name := range []string{"/dynamic-x", "/dynamic-1/sub", "/x/dynamic-1"} {
		if got := p.refused(name, nil); !strings.Contains(got, "Invalid namespace") {
			t.Errorf("%s: %s", name, got)
		}
	}
	equal(t, "created", []string{<-created, <-created, <-created}, []string{"/dynamic-1", "/dynamic-2", "/dynamic-13"})

	// The template's broadcasts go to all of its namespaces.
	must(t, d.Emit("all", 1))
	must(t, d.To(two.id).Emit("second", 2))
	one.expect("all", 1)
	two.expect("all", 1)
	two.expect("second", 2)
	if _, err := d.All().EmitWithAck(ctx(t), "x"); !errors.Is(err, socketeer.ErrDynamic) {
		t.Errorf("EmitWithAck: %v", err)
	}
	for _, err := range d.All().Sockets(ctx(t)) {
		if !errors.Is(err, socketeer.ErrDynamic) {
			t.Errorf("Sockets: %v", err)
		}
	}

	// What is registered with a child, or later with the template, stays there.
	n.Of("/dynamic-1").On("own", answer(true))
	d.On("late", answer("late"))
	three := p.join("/dynamic-3")
	three.expect("welcome")
	three.ask("late")
	one.ask("own")
	two.emit("own")
	two.emit("late")
	two.ask("whoami") // nobody else answered
	var names []string
	for nsp := range d.Namespaces() {
		names = append(names, nsp.Name())
	}
	equal(t, "Namespaces", names, []string{"/dynamic-1", "/dynamic-2", "/dynamic-3", "/dynamic-13"})
}

func TestDynamicByFunction(t *testing.T) {
	n := start(t)
	n.Of("/concrete").On("whoami", answer("concrete"))
	var asked list
	first := n.OfFunc(func(_ context.Context, name string, auth json.RawMessage) (bool, error) {
		asked.add(name + string(auth))
		switch name {
		case "/panics":
			panic("not today")
		case "/fails":
			return true, errors.New("no")
		}
		return name == "/first", nil
	})
	second := n.OfFunc(func(context.Context, string, json.RawMessage) (bool, error) { return true, nil })
	first.On("whoami", answer("first"))
	second.On("whoami", answer("second"))

	p := dial(t, n.url)
	for _, c := range []struct{ name, want string }{
		{"/concrete", "concrete"}, {"/first", "first"}, {"/other", "second"},
		{"/fails", "second"}, {"/panics", "second"},
	} {
		if got := p.join(c.name, map[string]int{"n": 1}).ask("whoami"); got[0] != c.want {
			t.Errorf("%s answered %v", c.name, got)
		}
	}
	equal(t, "asked", asked.all(), []string{`/first{"n":1}`, `/other{"n":1}`, `/fails{"n":1}`, `/panics{"n":1}`})
	if !n.log.has("panicked", "not today", "stack") {
		t.Errorf("the panic was not logged: %s", n.log)
	}
}

// In JavaScript as here, of() with a name that a pattern allows makes a child
// of it.
func TestOfMakesAChildOfAPattern(t *testing.T) {
	n := start(t)
	d := n.OfPattern(regexp.MustCompile(`/room/\w+`))
	d.On("whoami", answer("child"))
	nsp := n.Of("/room/a")
	if got := client(t, n, "/room/a").ask("whoami"); got[0] != "child" {
		t.Errorf("whoami: %v", got)
	}
	if got := slices.Collect(d.Namespaces()); len(got) != 1 || got[0] != nsp {
		t.Errorf("Namespaces: %v", got)
	}
	m := dial(t, n.url).join("/room/a")
	must(t, d.Emit("hello"))
	m.expect("hello")
	if nsp := n.Of("/elsewhere"); nsp.Name() != "/elsewhere" {
		t.Error(nsp.Name())
	}
}

func TestEmptyChildrenAreRemoved(t *testing.T) {
	for _, nodes := range [][]socketeer.Option{nil, {socketeer.WithCleanupEmptyChildNamespaces()}} {
		keep := nodes == nil
		t.Run(fmt.Sprintf("keep=%v", keep), func(t *testing.T) {
			n := start(t, nodes...)
			d := n.OfPattern(regexp.MustCompile(`/child-\d`))
			p := dial(t, n.url)
			one, again := p.join("/child-1"), dial(t, n.url).join("/child-1")
			gone := make(chan string, 2)
			for _, m := range []*member{one, again} {
				n.socket(t, m).OnDisconnect(func(context.Context, string) { gone <- m.id })
			}
			one.leaveNamespace()
			recv(t, "first disconnect", gone)
			if got := slices.Collect(d.Namespaces()); len(got) != 1 {
				t.Fatalf("%d namespaces while there is a socket", len(got))
			}
			again.cut()
			recv(t, "second disconnect", gone)
			if keep {
				if got := slices.Collect(d.Namespaces()); len(got) != 1 {
					t.Errorf("%d namespaces, want the empty one", len(got))
				}
				return
			}
			until(t, "the child is removed", func() bool { return len(slices.Collect(d.Namespaces())) == 0 })
			back := p.join("/child-1")
			must(t, d.Emit("hello"))
			back.expect("hello")
		})
	}
}

// A child that is emptied while somebody else joins it is never in the way.
func TestRemovalAndJoinRace(t *testing.T) {
	for _, n := range []*node{
		start(t, socketeer.WithCleanupEmptyChildNamespaces()),
		startCluster(t, 1, socketeer.WithCleanupEmptyChildNamespaces())[0],
	} {
		d := n.OfPattern(regexp.MustCompile(`/child`))
		done := make(chan struct{})
		for range 4 {
			p := dial(t, n.url)
			go func() {
				defer func() { done <- struct{}{} }()
				for range 100 {
					if answer := p.tryJoin("/child", nil); answer.Type != 0 {
						t.Errorf("refused with %s", answer.Data)
						return
					}
					p.raw("41/child,")
				}
			}()
		}
		for range 4 {
			recv(t, "the joins", done)
		}
		until(t, "the child is removed", func() bool { return len(slices.Collect(d.Namespaces())) == 0 })
	}
}

func TestRefusedClientsLeaveNoChild(t *testing.T) {
	n := start(t, socketeer.WithCleanupEmptyChildNamespaces(), socketeer.WithMaxNamespaces(2))
	d := n.OfPattern(regexp.MustCompile(`/child-\d+`))
	d.UseConnect(func(socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(context.Context, *sock) error { return &socketeer.Error{Message: "no"} }
	})
	p := dial(t, n.url)
	for i := range 10 {
		if got := p.refused(fmt.Sprintf("/child-%d", i), nil); got != `{"message":"no"}` {
			t.Fatalf("%d: %s", i, got)
		}
	}
	until(t, "the children are removed", func() bool { return len(slices.Collect(d.Namespaces())) == 0 })
}

func TestMaxNamespaces(t *testing.T) {
	n := start(t, socketeer.WithMaxNamespaces(2), socketeer.WithCleanupEmptyChildNamespaces())
	d := n.OfPattern(regexp.MustCompile(`/child-\d`))
	n.Of("/concrete")
	p := dial(t, n.url)
	one := p.join("/child-1")
	p.join("/child-2")
	if got := p.refused("/child-3", nil); !strings.Contains(got, "Invalid namespace") {
		t.Errorf("refused with %s", got)
	}
	p.join("/concrete")
	dial(t, n.url).join("/child-2")
	one.leaveNamespace()
	until(t, "a place is free", func() bool { return len(slices.Collect(d.Namespaces())) == 1 })
	p.join("/child-3")
}

func TestNamespaceOfManyJoinersIsMadeOnce(t *testing.T) {
	n := start(t)
	var made atomic.Int32
	n.OnNamespace(func(*socketeer.Namespace) { made.Add(1) })
	n.OfPattern(regexp.MustCompile(`/child`))
	done := make(chan struct{})
	for range 8 {
		p := dial(t, n.url)
		go func() {
			p.join("/child")
			done <- struct{}{}
		}()
	}
	for range 8 {
		recv(t, "the joins", done)
	}
	if made.Load() != 1 || n.Of("/child").Len() != 8 {
		t.Errorf("%d namespaces made, %d sockets", made.Load(), n.Of("/child").Len())
	}
}
