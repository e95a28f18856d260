package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer"
)

// app is what a node remembers. The methods that handle events are in
// events.go and target.go.
type app struct {
	name string
	log  *slog.Logger

	mu      sync.Mutex
	gone    map[string]departure         // by socket id
	waiting map[string][]func(departure) // for a socket to go
	notes   [][]any                      // arguments of server-side events
	seen    map[string][]string          // event names, by socket id
}

// departure is how a socket went away.
type departure struct {
	Reason string   `json:"reason"`
	Rooms  []string `json:"rooms"`
}

func newApp(name string, log *slog.Logger) *app {
	return &app{
		name:    name,
		log:     log,
		gone:    make(map[string]departure),
		waiting: make(map[string][]func(departure)),
		seen:    make(map[string][]string),
	}
}

// space is what namespaces and dynamic ones have in common.
type space interface {
	socketeer.Registrar
	OnConnect(socketeer.ConnectFunc)
	UseConnect(func(next socketeer.ConnectFunc) socketeer.ConnectFunc)
	Use(socketeer.Middleware)
	OnAny(socketeer.Handler) (off func())
}

func (a *app) register(io *socketeer.Server) {
	io.UseConnect(admit(func(_ *socketeer.Socket, auth auth) error {
		if auth.Refuse != "" {
			return &socketeer.Error{Message: string(auth.Refuse), Data: map[string]any{"by": "first"}}
		}
		return nil
	}))
	io.UseConnect(admit(func(_ *socketeer.Socket, auth auth) error {
		if auth.RefuseLater != "" {
			return &socketeer.Error{Message: string(auth.RefuseLater)}
		}
		return nil
	}))
	admin := io.Of("/admin")
	admin.UseConnect(admit(func(_ *socketeer.Socket, auth auth) error {
		if auth.Token == "secret" {
			return nil
		}
		data := map[string]any{"code": 401, "hints": []string{"send a token"}}
		return &socketeer.Error{Message: "not authorized", Data: data}
	}))
	dynamic := io.OfPattern(regexp.MustCompile(`^/dyn-\d+$`))
	dynamic.UseConnect(admit(func(s *socketeer.Socket, auth auth) error {
		if auth.Refuse != "" {
			return &socketeer.Error{Message: "not here", Data: map[string]any{"nsp": s.Namespace().Name()}}
		}
		return nil
	}))
	for _, s := range []space{io, admin, dynamic} {
		s.OnConnect(a.welcome)
		s.Use(forbid)
		s.OnAny(a.see)
		a.events(s)
		a.targets(s)
	}
	io.OnServerSide("note", a.note)
	io.OnServerSide("question", func(_ context.Context, m *socketeer.Message) error {
		return m.Ack(map[string]any{"node": a.name, "question": m.Raw(0)})
	})
}

// auth is what a client may send to be refused, or let in.
type auth struct {
	Token       string `json:"token"`
	Refuse      text   `json:"refuse"`
	RefuseLater text   `json:"refuseLater"`
}

// text is a string; anything else that is no absence is kept as its JSON.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		s = string(b)
	}
	*t = text(s)
	return nil
}

func admit(ask func(*socketeer.Socket, auth) error) func(socketeer.ConnectFunc) socketeer.ConnectFunc {
	return func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(ctx context.Context, s *socketeer.Socket) error {
			var v auth
			if err := json.Unmarshal(s.Handshake().Auth, &v); err != nil {
				return err
			}
			if err := ask(s, v); err != nil {
				return err
			}
			return next(ctx, s)
		}
	}
}

func (a *app) welcome(_ context.Context, s *socketeer.Socket) error {
	var rooms []string
	s.OnDisconnecting(func(context.Context, string) { rooms = roomsOf(s) })
	s.OnDisconnect(func(_ context.Context, reason string) {
		a.left(s.ID(), departure{Reason: reason, Rooms: rooms})
	})
	return s.Emit("welcome", map[string]any{"id": s.ID(), "node": a.name})
}

func (a *app) left(id string, d departure) {
	a.mu.Lock()
	a.gone[id] = d
	waiting := a.waiting[id]
	delete(a.waiting, id)
	delete(a.seen, id)
	a.mu.Unlock()
	for _, tell := range waiting {
		tell(d)
	}
}

// reasonOf acknowledges when the socket of the given id has gone.
func (a *app) reasonOf(_ context.Context, m *socketeer.Message) error {
	var id string
	if err := m.Decode(&id); err != nil {
		return err
	}
	a.mu.Lock()
	d, ok := a.gone[id]
	if !ok {
		a.waiting[id] = append(a.waiting[id], func(d departure) {
			if err := m.Ack(d); err != nil && !errors.Is(err, socketeer.ErrDisconnected) {
				a.log.Error("reason-of", "err", err)
			}
		})
	}
	a.mu.Unlock()
	if ok {
		return m.Ack(d)
	}
	return nil
}

// forbid is the middleware that refuses one event.
func forbid(next socketeer.Handler) socketeer.Handler {
	return func(ctx context.Context, m *socketeer.Message) error {
		if m.Event() == "forbidden" {
			return m.Socket().Emit("refused", "not allowed")
		}
		return next(ctx, m)
	}
}

func (a *app) see(_ context.Context, m *socketeer.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := m.Socket().ID()
	a.seen[id] = append(a.seen[id], m.Event())
	return nil
}

func (a *app) note(_ context.Context, m *socketeer.Message) error {
	args, err := arguments(m)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes = append(a.notes, args)
	return nil
}

// arguments decodes all arguments of an event.
func arguments(m *socketeer.Message) ([]any, error) {
	args := make([]any, m.NumArgs())
	to := make([]any, len(args))
	for i := range args {
		to[i] = &args[i]
	}
	return args, m.Decode(to...)
}

// roomsOf returns the socket's rooms, sorted, without its own.
func roomsOf(s *socketeer.Socket) []string {
	return others(s.ID(), s.Rooms())
}

func others(id string, rooms []string) []string {
	rest := make([]string, 0, len(rooms))
	for _, room := range rooms {
		if room != id {
			rest = append(rest, room)
		}
	}
	slices.Sort(rest)
	return rest
}

// describe writes bytes as text and leaves the rest as it is.
func describe(v any) any {
	switch v := v.(type) {
	case []byte:
		return "hex:" + hex.EncodeToString(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = describe(v[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key := range v {
			object[key] = describe(v[key])
		}
		return object
	default:
		return v
	}
}

// lower returns a header as JavaScript shows it.
func lower(header map[string][]string) map[string]string {
	m := make(map[string]string, len(header))
	for key, values := range header {
		m[strings.ToLower(key)] = strings.Join(values, ", ")
	}
	return m
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }
