package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
)

// goPeer is Socketeer's own server, in this process, with the behaviour of
// test/client-peer/server.js: see there for what each event does.
type goPeer struct {
	t    *testing.T
	opts peerOptions
	io   *socketeer.Server
	http *http.Server
	end  chan struct{} // closed when http has ended
}

func startGo(t *testing.T, opts peerOptions) peer {
	t.Helper()
	p := &goPeer{t: t, opts: opts}
	p.Restart()
	t.Cleanup(p.Kill)
	return p
}

func (p *goPeer) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", p.opts.Port) }

func (p *goPeer) Restart() {
	p.t.Helper()
	var opts []socketeer.Option
	if testing.Verbose() {
		h := slog.NewTextHandler(p.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})
		opts = append(opts, socketeer.WithLogger(slog.New(h).With("peer", "go")))
	}
	if p.opts.Transports != nil {
		opts = append(opts, socketeer.WithTransports(p.opts.Transports...))
	}
	if n := p.opts.PingInterval; n > 0 {
		opts = append(opts, socketeer.WithPingInterval(time.Duration(n)*time.Millisecond))
	}
	if n := p.opts.PingTimeout; n > 0 {
		opts = append(opts, socketeer.WithPingTimeout(time.Duration(n)*time.Millisecond))
	}
	if n := p.opts.MaxPayload; n > 0 {
		opts = append(opts, socketeer.WithMaxPayload(int64(n)))
	}
	if p.opts.Recovery {
		opts = append(opts, socketeer.WithRecovery(socketeer.Recovery{}))
	}
	if p.opts.Cookie {
		opts = append(opts, socketeer.WithCookie(http.Cookie{Name: "io"}))
	}
	io, err := socketeer.NewServer(opts...)
	if err != nil {
		p.t.Fatal(err)
	}
	behave(io)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.opts.Port))
	if err != nil {
		p.t.Fatal(err)
	}
	p.opts.Port = l.Addr().(*net.TCPAddr).Port
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	p.io, p.http, p.end = io, &http.Server{Handler: mux}, make(chan struct{})
	go func() {
		defer close(p.end)
		_ = p.http.Serve(l)
	}()
}

func (p *goPeer) Kill() {
	if p.http == nil {
		return
	}
	_ = p.http.Close()
	_ = p.io.Close()
	<-p.end
	p.http = nil
}

func behave(io *socketeer.Server) {
	io.OnConnect(func(ctx context.Context, s *socketeer.Socket) error {
		s.OnDisconnect(func(_ context.Context, reason string) { _ = io.Emit("left", s.ID(), reason) })
		s.On("echo", echo)
		s.On("say back", func(_ context.Context, m *socketeer.Message) error { return s.Emit("said", values(m)...) })
		s.On("ask", ask)
		s.On("never", func(context.Context, *socketeer.Message) error { return nil })
		s.On("hear", func(context.Context, *socketeer.Message) error { return s.Emit("heard", 1) })
		s.On("join", func(ctx context.Context, m *socketeer.Message) error {
			var room string
			if err := m.Decode(&room); err != nil {
				return err
			}
			if err := s.Join(ctx, room); err != nil {
				return err
			}
			return m.Ack()
		})
		s.On("tell room", func(_ context.Context, m *socketeer.Message) error {
			var room string
			var data any
			if err := m.Decode(&room, &data); err != nil {
				return err
			}
			return io.To(room).Emit("told", data)
		})
		s.On("handshake", func(_ context.Context, m *socketeer.Message) error {
			h := s.Handshake()
			return m.Ack(map[string]any{
				"token": h.Header.Get("X-Token"), "cookie": h.Header.Get("Cookie"), "color": h.Query.Get("color"),
				"auth": h.Auth, "transport": s.Conn().Transport(),
			})
		})
		s.On("leave", leave)
		s.On("hang up", func(context.Context, *socketeer.Message) error { s.Conn().Close(); return nil })
		var told chan struct{} // closed by the last to be told later
		s.On("tell later", func(_ context.Context, m *socketeer.Message) error {
			var ms int
			var event string
			var data any
			if err := m.Decode(&ms, &event, &data); err != nil {
				return err
			}
			// Timers that are due at the same time run in any order.
			before, done := told, make(chan struct{})
			told = done
			time.AfterFunc(time.Duration(ms)*time.Millisecond, func() {
				if before != nil {
					<-before
				}
				_ = io.To("later").Emit(event, data)
				close(done)
			})
			return nil
		})
		numbers(s)
		return s.Emit("welcome", s.Handshake().Auth)
	})

	admin := io.Of("/admin")
	admin.UseConnect(func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(ctx context.Context, s *socketeer.Socket) error {
			var auth struct{ Token string }
			_ = json.Unmarshal(s.Handshake().Auth, &auth)
			if auth.Token != "secret" {
				return &socketeer.Error{Message: "not authorized", Data: map[string]string{"hint": "ask nicely"}}
			}
			return next(ctx, s)
		}
	})
	admin.OnConnect(func(_ context.Context, s *socketeer.Socket) error {
		s.On("echo", echo)
		s.On("leave", leave)
		return s.Emit("welcome", s.Handshake().Auth)
	})
}

// values decodes all arguments of an event.
func values(m *socketeer.Message) []any {
	vs := make([]any, m.NumArgs())
	to := make([]any, len(vs))
	for i := range vs {
		to[i] = &vs[i]
	}
	_ = m.Decode(to...)
	return vs
}

func echo(_ context.Context, m *socketeer.Message) error {
	if !m.WantsAck() {
		return nil
	}
	return m.Ack(values(m)...)
}

func ask(ctx context.Context, m *socketeer.Message) error {
	vs := values(m)
	s := m.Socket()
	go func() {
		reply, err := s.EmitWithAck(ctx, vs[0].(string), vs[1:]...)
		if err != nil {
			return
		}
		var args []any
		_ = json.Unmarshal(reply.Data(), &args)
		_ = s.Emit("answered", args...)
	}()
	return nil
}

func leave(_ context.Context, m *socketeer.Message) error {
	var all bool
	if err := m.Decode(&all); err != nil {
		return err
	}
	m.Socket().Disconnect(all)
	return nil
}

func numbers(s *socketeer.Socket) {
	next, ordered := 0, true
	s.On("count", func(_ context.Context, m *socketeer.Message) error {
		var i int
		if err := m.Decode(&i); err != nil {
			return err
		}
		ordered = ordered && i == next
		next++
		return nil
	})
	s.On("counted", func(_ context.Context, m *socketeer.Message) error {
		return m.Ack(map[string]any{"count": next, "ordered": ordered})
	})
	s.On("stream", func(_ context.Context, m *socketeer.Message) error {
		var n int
		if err := m.Decode(&n); err != nil {
			return err
		}
		for i := range n {
			if err := s.Emit("number", i); err != nil {
				return err
			}
		}
		return nil
	})
}
