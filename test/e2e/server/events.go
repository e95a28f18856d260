package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/socketeer-io/socketeer"
)

// events registers the events that concern one client and this node.
func (a *app) events(s space) {
	s.On("echo", func(_ context.Context, m *socketeer.Message) error {
		args, err := arguments(m)
		if err != nil {
			return err
		}
		return m.Socket().Emit("echo", args...)
	})
	s.On("echo-ack", func(_ context.Context, m *socketeer.Message) error {
		args, err := arguments(m)
		if err != nil {
			return err
		}
		return m.Ack(args...)
	})
	s.On("inspect", func(_ context.Context, m *socketeer.Message) error {
		args, err := arguments(m)
		if err != nil {
			return err
		}
		return m.Ack(describe(args).([]any)...)
	})
	s.On("never-ack", func(context.Context, *socketeer.Message) error { return nil })
	s.On("ack-twice", func(_ context.Context, m *socketeer.Message) error {
		if err := m.Ack("first"); err != nil {
			return err
		}
		if err := m.Ack("second"); !errors.Is(err, socketeer.ErrAcknowledged) {
			return fmt.Errorf("the second acknowledgement returned %w", err)
		}
		return nil
	})
	s.On("seen", func(_ context.Context, m *socketeer.Message) error {
		a.mu.Lock()
		seen := append([]string(nil), a.seen[m.Socket().ID()]...)
		a.mu.Unlock()
		return m.Ack(seen)
	})
	s.On("handshake", ackHandshake)
	s.On("join", func(ctx context.Context, m *socketeer.Message) error {
		var rooms list
		if err := m.Decode(&rooms); err != nil {
			return err
		}
		if err := m.Socket().Join(ctx, rooms...); err != nil {
			return err
		}
		return m.Ack(roomsOf(m.Socket()))
	})
	s.On("leave", func(_ context.Context, m *socketeer.Message) error {
		var room string
		if err := m.Decode(&room); err != nil {
			return err
		}
		m.Socket().Leave(room)
		return m.Ack(roomsOf(m.Socket()))
	})
	s.On("rooms", func(_ context.Context, m *socketeer.Message) error {
		return m.Ack(roomsOf(m.Socket()))
	})
	s.On("set-data", func(_ context.Context, m *socketeer.Message) error {
		var data map[string]any
		if err := m.Decode(&data); err != nil {
			return err
		}
		for key, value := range data {
			m.Socket().Set(key, value)
		}
		return m.Ack()
	})
	s.On("call-me", callMe)
	s.On("burst", burst)
	s.On("disconnect-me", func(_ context.Context, m *socketeer.Message) error {
		var q struct {
			Close bool `json:"close"`
		}
		if err := m.Decode(&q); err != nil {
			return err
		}
		m.Socket().Disconnect(q.Close)
		return nil
	})
	s.On("reason-of", a.reasonOf)
}

func ackHandshake(_ context.Context, m *socketeer.Message) error {
	h := m.Socket().Handshake()
	query := make(map[string]string, len(h.Query))
	for key := range h.Query {
		query[key] = h.Query.Get(key)
	}
	return m.Ack(map[string]any{
		"auth":    h.Auth,
		"query":   query,
		"headers": lower(h.Header),
		"address": h.Address,
		"url":     h.URL,
		"secure":  h.Secure,
		"xdomain": h.XDomain,
		"time":    h.Time.UnixMilli(),
	})
}

// callMe asks the client back. It does so beside the handler, so that a client
// may have many questions open at once.
func callMe(ctx context.Context, m *socketeer.Message) error {
	var q struct {
		Event   string `json:"event"`
		Args    []any  `json:"args"`
		Timeout int    `json:"timeout"`
	}
	if err := m.Decode(&q); err != nil {
		return err
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, millis(q.Timeout))
		defer cancel()
		reply, err := m.Socket().EmitWithAck(ctx, q.Event, q.Args...)
		args := []any{}
		if err == nil {
			args, err = replied(reply)
		}
		// The client may have gone meanwhile: then nobody waits for this.
		_ = m.Ack(map[string]any{"timedOut": err != nil, "reply": args})
	}()
	return nil
}

// burst sends much at once.
func burst(_ context.Context, m *socketeer.Message) error {
	var q struct {
		Count    int  `json:"count"`
		Bytes    int  `json:"bytes"`
		Volatile bool `json:"volatile"`
	}
	if err := m.Decode(&q); err != nil {
		return err
	}
	var to socketeer.Emitter = m.Socket()
	if q.Volatile {
		to = m.Socket().Volatile()
	}
	filler := strings.Repeat("x", q.Bytes)
	for i := range q.Count {
		if err := to.Emit("frame", i, filler); err != nil {
			return err
		}
	}
	return nil
}

// replied decodes all arguments of a reply.
func replied(r *socketeer.Reply) ([]any, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(r.Data(), &raw); err != nil {
		return nil, err
	}
	args := make([]any, len(raw))
	to := make([]any, len(raw))
	for i := range args {
		to[i] = &args[i]
	}
	return args, r.Decode(to...)
}

// list is one string or several.
type list []string

func (l *list) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = list{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}
