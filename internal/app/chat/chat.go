// Package chat is a chat to show: rooms, who is here, who is typing, and which
// node serves whom, on any number of nodes.
package chat

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/socketeer-io/socketeer"
)

// Namespace is where the page connects.
const Namespace = "/chat"

// Bounds on what people send.
const (
	maxName = 32   // characters of a name, and of a room's
	maxText = 2000 // characters of a message

	perSecond = 5  // messages of one person, in the long run
	burst     = 20 // and at once

	historyTimeout = time.Second // for other nodes to tell what was said
)

// Options of the chat.
type Options struct {
	Node   string // name of this node
	Logger *slog.Logger
	// Live returns the names of the cluster's live nodes, this one included.
	Live func() []string
}

// Message is what somebody said.
type Message struct {
	ID   string `json:"id"` // made by the page, the same if it has to send again
	From string `json:"from"`
	By   string `json:"by"` // socket id
	Room string `json:"room"`
	Text string `json:"text"`
	Time int64  `json:"time"` // ms since 1970
	Node string `json:"node"`
}

// place is where somebody wants to be.
type place struct {
	Name string `json:"name"`
	Room string `json:"room"`
}

// entered tells somebody where they are.
type entered struct {
	Node    string    `json:"node"`
	Room    string    `json:"room"`
	Name    string    `json:"name"`
	History []Message `json:"history"`
}

type said struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

var (
	enter   = socketeer.NewCall[place, entered]("enter")
	say     = socketeer.NewCall[said, struct{}]("say")
	message = socketeer.NewEvent[Message]("message")
)

// Chat is the application on one node.
type Chat struct {
	o        Options
	nsp      *socketeer.Namespace
	history  *history
	presence *presence
}

// Mount adds the chat to a server. Close it before the server.
func Mount(io *socketeer.Server, o Options) *Chat {
	nsp := io.Of(Namespace)
	c := &Chat{o: o, nsp: nsp, history: newHistory(), presence: newPresence(nsp, o)}
	enter.Handle(nsp, c.enter)
	nsp.OnServerSide("history", func(_ context.Context, m *socketeer.Message) error {
		var room string
		if err := m.Decode(&room); err != nil {
			return err
		}
		return m.Ack(c.history.of(room))
	})
	say.Handle(nsp, c.say)
	nsp.On("typing", c.typing)
	nsp.On("leave", func(_ context.Context, m *socketeer.Message) error {
		c.leave(m.Socket())
		return nil
	})
	nsp.OnConnect(func(_ context.Context, s *socketeer.Socket) error {
		s.OnDisconnect(func(context.Context, string) { c.presence.leave(s.ID()) })
		if p := where(s); p.Room != "" { // it has recovered
			c.presence.enter(person{ID: s.ID(), Name: p.Name, Room: p.Room, Node: c.o.Node})
		}
		return s.Emit("rooms", c.presence.rooms())
	})
	nsp.OnServerSide("said", func(_ context.Context, m *socketeer.Message) error {
		var msg Message
		if err := m.Decode(&msg); err != nil {
			return err
		}
		c.history.add(msg)
		return nil
	})
	return c
}

// Close ends the chat's own goroutine.
func (c *Chat) Close() { c.presence.close() }

// where is the room that a socket is in, "" for none.
func where(s *socketeer.Socket) place {
	p, _ := socketeer.Recall[place](s, "place")
	return p
}

// pace limits how much one socket says. It stays out of what other nodes see
// of the socket by having no exported fields.
type pace struct{ limiter *rate.Limiter }

func allowed(s *socketeer.Socket) bool {
	p, ok := s.Value("pace").(pace)
	if !ok {
		p = pace{rate.NewLimiter(perSecond, burst)}
		s.Set("pace", p)
	}
	return p.limiter.Allow()
}

func roomOf(name string) string { return "room:" + name }

func (c *Chat) enter(ctx context.Context, s *socketeer.Socket, p place) (entered, error) {
	name, err := clean(p.Name, "a name")
	if err != nil {
		return entered{}, err
	}
	room, err := clean(p.Room, "the name of a room")
	if err != nil {
		return entered{}, err
	}
	if old := where(s); old.Room != "" && old.Room != room {
		s.Leave(roomOf(old.Room))
	}
	if err := s.Join(ctx, roomOf(room)); err != nil {
		return entered{}, err
	}
	s.Set("place", place{name, room})
	c.presence.enter(person{ID: s.ID(), Name: name, Room: room, Node: c.o.Node})
	return entered{Node: c.o.Node, Room: room, Name: name, History: c.before(ctx, room)}, nil
}

// before returns what was said in a room. A node that knows nothing, because
// it has just started, asks the others.
func (c *Chat) before(ctx context.Context, room string) []Message {
	if known := c.history.of(room); len(known) > 0 || len(c.o.Live()) < 2 {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	replies, err := c.nsp.ServerSideEmitWithAck(ctx, "history", room)
	if err != nil {
		c.o.Logger.Debug("not every node told its history", "err", err)
	}
	var all []Message
	for _, r := range replies {
		var list []Message
		if err := r.Decode(&list); err == nil {
			all = append(all, list...)
		}
	}
	slices.SortStableFunc(all, func(a, b Message) int { return cmp.Compare(a.Time, b.Time) })
	for _, m := range all {
		c.history.add(m)
	}
	return c.history.of(room)
}

func (c *Chat) leave(s *socketeer.Socket) {
	if p := where(s); p.Room != "" {
		s.Leave(roomOf(p.Room))
		s.Set("place", place{})
		c.presence.leave(s.ID())
	}
}

var errNoRoom = &socketeer.Error{Code: "no_room", Message: "Enter a room first."}

func (c *Chat) say(_ context.Context, s *socketeer.Socket, m said) (struct{}, error) {
	p := where(s)
	switch {
	case p.Room == "":
		return struct{}{}, errNoRoom
	case m.ID == "" || len(m.ID) > 64:
		return struct{}{}, &socketeer.Error{Code: "bad_id", Message: "A message needs an id of at most 64 characters."}
	case strings.TrimSpace(m.Text) == "" || utf8.RuneCountInString(m.Text) > maxText:
		return struct{}{}, &socketeer.Error{Code: "bad_text", Message: "A message has 1 to 2000 characters."}
	case !allowed(s):
		return struct{}{}, &socketeer.Error{Code: "too_fast", Message: "That was too much at once. Wait a moment."}
	}
	msg := Message{ID: m.ID, From: p.Name, By: s.ID(), Room: p.Room, Text: m.Text, Time: time.Now().UnixMilli(), Node: c.o.Node}
	if !c.history.add(msg) {
		return struct{}{}, nil // sent again after a node went away, but it had arrived
	}
	// The history of other nodes is a courtesy, the message is not.
	_ = c.nsp.ServerSideEmit("said", msg)
	return struct{}{}, message.Emit(c.nsp.To(roomOf(p.Room)), msg)
}

func (c *Chat) typing(_ context.Context, m *socketeer.Message) error {
	s := m.Socket()
	p := where(s)
	if p.Room == "" {
		return nil
	}
	return s.To(roomOf(p.Room)).Volatile().Emit("typing", map[string]string{"id": s.ID(), "name": p.Name})
}

// clean makes a name presentable, or says what is wrong with it.
func clean(name, what string) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	var err error
	switch {
	case name == "":
		err = errors.New("is missing")
	case utf8.RuneCountInString(name) > maxName:
		err = errors.New("has at most 32 characters")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		err = errors.New("has characters nobody can see")
	default:
		return name, nil
	}
	return "", &socketeer.Error{Code: "bad_name", Message: strings.ToUpper(what[:1]) + what[1:] + " " + err.Error() + "."}
}
