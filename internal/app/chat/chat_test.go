package chat_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter/nats"
	"github.com/socketeer-io/socketeer/client"
	"github.com/socketeer-io/socketeer/internal/app/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// node runs the chat on one node. Other nodes join it by its cluster address.
func node(t *testing.T, name string, peers ...string) (url, clusterAddr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := nats.New(ctx, nats.Options{Name: name, Peers: peers})
	if err != nil {
		t.Fatal(err)
	}
	if len(peers) > 0 {
		if err := c.WaitPeers(ctx, 1); err != nil {
			t.Fatal(err)
		}
	}
	io, err := socketeer.NewServer(socketeer.WithAdapter(c))
	if err != nil {
		t.Fatal(err)
	}
	live := func() (names []string) {
		for _, m := range c.Members() {
			names = append(names, m.Name)
		}
		return names
	}
	app := chat.Mount(io, chat.Options{Node: name, Logger: slog.New(slog.DiscardHandler), Live: live})
	server := httptest.NewServer(io)
	t.Cleanup(func() {
		app.Close()
		app.Close() // does no harm
		if err := io.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server.URL, c.ClusterAddr()
}

// person is a page, as far as the server can tell.
type person struct {
	*client.Client
	messages chan chat.Message
	members  chan string // "room: name@node name@node (total)"
	rooms    chan string // "room=people room=people"
	typing   chan string
}

type place struct {
	Name string `json:"name"`
	Room string `json:"room"`
}

type entered struct {
	Node, Room, Name string
	History          []chat.Message
}

type said struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

func visit(t *testing.T, url string) *person {
	t.Helper()
	c, err := client.New(url + chat.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{
		Client: c, messages: make(chan chat.Message, 100), members: make(chan string, 100),
		rooms: make(chan string, 100), typing: make(chan string, 100),
	}
	client.Handle(c.Socket, "message", func(_ context.Context, m chat.Message) error {
		p.messages <- m
		return nil
	})
	client.Handle(c.Socket, "members", func(_ context.Context, v struct {
		Room    string
		Total   int
		Members []struct{ Name, Node string }
	}) error {
		var b strings.Builder
		b.WriteString(v.Room + ":")
		for _, m := range v.Members {
			b.WriteString(" " + m.Name + "@" + m.Node)
		}
		p.members <- fmt.Sprintf("%s (%d)", b.String(), v.Total)
		return nil
	})
	client.Handle(c.Socket, "rooms", func(_ context.Context, list []struct {
		Name   string
		People int
	}) error {
		var parts []string
		for _, r := range list {
			parts = append(parts, fmt.Sprintf("%s=%d", r.Name, r.People))
		}
		p.rooms <- strings.Join(parts, " ")
		return nil
	})
	client.Handle(c.Socket, "typing", func(_ context.Context, v struct{ Name string }) error {
		p.typing <- v.Name
		return nil
	})
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *person) enter(t *testing.T, name, room string) (entered, error) {
	t.Helper()
	return client.Call[entered](t.Context(), p.Socket, "enter", place{name, room})
}

func (p *person) mustEnter(t *testing.T, name, room string) entered {
	t.Helper()
	e, err := p.enter(t, name, room)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (p *person) say(t *testing.T, id, text string) error {
	t.Helper()
	_, err := client.Call[struct{}](t.Context(), p.Socket, "say", said{id, text})
	return err
}

// until waits for want to come from c.
func until(t *testing.T, c <-chan string, want string) {
	t.Helper()
	var seen []string
	deadline := time.After(patience)
	for {
		select {
		case got := <-c:
			if got == want {
				return
			}
			seen = append(seen, got)
		case <-deadline:
			t.Fatalf("no %q among %q", want, seen)
		}
	}
}

func next(t *testing.T, c <-chan chat.Message) chat.Message {
	t.Helper()
	select {
	case m := <-c:
		return m
	case <-time.After(patience):
		t.Fatal("no message")
		return chat.Message{}
	}
}

func TestAcrossNodes(t *testing.T) {
	url1, peer := node(t, "node-1")
	url2, _ := node(t, "node-2", peer)
	ada, grace := visit(t, url1), visit(t, url2)

	if e := ada.mustEnter(t, "  Ada   L. ", "lobby"); e.Node != "node-1" || e.Name != "Ada L." || e.Room != "lobby" || len(e.History) != 0 {
		t.Errorf("got %+v", e)
	}
	grace.mustEnter(t, "Grace", "lobby")
	for _, p := range []*person{ada, grace} {
		until(t, p.members, "lobby: Ada L.@node-1 Grace@node-2 (2)")
		until(t, p.rooms, "lobby=2")
	}

	if err := ada.say(t, "m1", "hello"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*person{ada, grace} {
		if m := next(t, p.messages); m.Text != "hello" || m.From != "Ada L." || m.By != ada.ID() || m.Node != "node-1" || m.Room != "lobby" || m.Time == 0 {
			t.Errorf("got %+v", m)
		}
	}
	// A page that got no answer says it again, maybe to another node.
	if err := ada.say(t, "m1", "hello"); err != nil {
		t.Fatal(err)
	}
	if err := ada.Emit("typing"); err != nil {
		t.Fatal(err)
	}
	until(t, grace.typing, "Ada L.")
	if len(grace.messages)+len(ada.messages) > 0 {
		t.Error("a message was told twice")
	}

	grace.mustEnter(t, "Grace", "design")
	until(t, ada.rooms, "design=1 lobby=1")
	until(t, ada.members, "lobby: Ada L.@node-1 (1)")
	if err := grace.say(t, "m2", "alone"); err != nil {
		t.Fatal(err)
	}
	if m := next(t, grace.messages); m.Room != "design" {
		t.Errorf("got %+v", m)
	}
	if len(ada.messages) > 0 {
		t.Error("a message got into another room")
	}

	grace.Disconnect()
	until(t, ada.rooms, "lobby=1")
	if err := ada.Emit("leave"); err != nil {
		t.Fatal(err)
	}
	until(t, ada.rooms, "")
	if err := ada.say(t, "m3", "to nobody"); err == nil {
		t.Error("said something outside of any room")
	}
}

// A node that has just started tells what was said before it did.
func TestHistoryOfANewNode(t *testing.T) {
	url1, peer := node(t, "node-1")
	ada := visit(t, url1)
	for who := range 3 { // nobody may say 60 things at once
		p := ada
		if who > 0 {
			p = visit(t, url1)
		}
		p.mustEnter(t, "Ada", "lobby")
		for i := range 20 {
			n := fmt.Sprint(20*who + i)
			if err := p.say(t, "m"+n, "number "+n); err != nil {
				t.Fatal(err)
			}
		}
	}
	url2, _ := node(t, "node-2", peer)
	e := visit(t, url2).mustEnter(t, "Grace", "lobby")
	if len(e.History) != 50 || e.History[0].Text != "number 10" || e.History[49].Text != "number 59" {
		t.Errorf("%d messages: %+v", len(e.History), e.History)
	}
	until(t, ada.members, "lobby: Ada@node-1 Ada@node-1 Ada@node-1 Grace@node-2 (4)")
}

func TestRefusals(t *testing.T) {
	url, _ := node(t, "node-1")
	p := visit(t, url)
	for _, bad := range []place{
		{"", "lobby"}, {"   ", "lobby"}, {"Ada", ""}, {strings.Repeat("x", 33), "lobby"}, {"Ada", strings.Repeat("é", 33)},
		{"A\u202eda", "lobby"}, {"A\x00da", "lobby"},
	} {
		_, err := p.enter(t, bad.Name, bad.Room)
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Code != "bad_name" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	p.mustEnter(t, "Ada", "lobby")
	for name, bad := range map[string]said{
		"bad_id":   {strings.Repeat("x", 65), "text"},
		"bad_text": {"id", " \n "},
	} {
		var refused *client.Error
		if err := p.say(t, bad.ID, bad.Text); !errors.As(err, &refused) || refused.Code != name {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := p.say(t, "long", strings.Repeat("é", 2001)); err == nil {
		t.Error("a message of any length")
	}
	fast := false
	for i := 0; i < 200 && !fast; i++ {
		var refused *client.Error
		err := p.say(t, fmt.Sprint("n", i), "again")
		fast = errors.As(err, &refused) && refused.Code == "too_fast"
	}
	if !fast {
		t.Error("nobody stops a flood")
	}
}
