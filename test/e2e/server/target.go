package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/socketeer-io/socketeer"
)

// target is whom an operation concerns, and what it is told.
type target struct {
	Rooms    []string `json:"rooms"`
	Except   []string `json:"except"`
	Local    bool     `json:"local"`
	Volatile bool     `json:"volatile"`
	From     string   `json:"from"` // "socket" leaves out the asking one

	Event   string   `json:"event"`
	Args    []any    `json:"args"`
	Timeout int      `json:"timeout"` // ms
	Join    []string `json:"join"`
	Leave   []string `json:"leave"`
	Close   bool     `json:"close"`
}

// parse decodes the target of an event.
func parse(m *socketeer.Message) (q target, b socketeer.Broadcast, err error) {
	if err := m.Decode(&q); err != nil {
		return q, b, err
	}
	b = m.Socket().Namespace().All()
	if q.From == "socket" {
		b = m.Socket().Broadcast()
	}
	b = b.To(q.Rooms...).Except(q.Except...)
	if q.Local {
		b = b.Local()
	}
	if q.Volatile {
		b = b.Volatile()
	}
	return q, b, nil
}

// targets registers the events that concern sockets of all nodes.
func (a *app) targets(s space) {
	do := func(event string, f func(ctx context.Context, q target, b socketeer.Broadcast) error) {
		s.On(event, func(ctx context.Context, m *socketeer.Message) error {
			q, b, err := parse(m)
			if err != nil {
				return err
			}
			if err := f(ctx, q, b); err != nil {
				return err
			}
			if m.WantsAck() {
				return m.Ack()
			}
			return nil
		})
	}
	do("broadcast", func(_ context.Context, q target, b socketeer.Broadcast) error {
		return b.Emit(q.Event, q.Args...)
	})
	do("sockets-join", func(ctx context.Context, q target, b socketeer.Broadcast) error {
		return b.Join(ctx, q.Join...)
	})
	do("sockets-leave", func(ctx context.Context, q target, b socketeer.Broadcast) error {
		return b.Leave(ctx, q.Leave...)
	})
	do("disconnect-sockets", func(ctx context.Context, q target, b socketeer.Broadcast) error {
		return b.Disconnect(ctx, q.Close)
	})
	s.On("ask-all", askAll)
	s.On("fetch", fetch)
	s.On("server-emit", func(_ context.Context, m *socketeer.Message) error {
		args, err := arguments(m)
		if err != nil {
			return err
		}
		if err := m.Socket().Namespace().ServerSideEmit("note", args...); err != nil {
			return err
		}
		return m.Ack()
	})
	s.On("server-log", func(_ context.Context, m *socketeer.Message) error {
		a.mu.Lock()
		notes := append([][]any{}, a.notes...)
		a.mu.Unlock()
		return m.Ack(notes)
	})
	s.On("server-ask", func(ctx context.Context, m *socketeer.Message) error {
		replies, err := m.Socket().Namespace().ServerSideEmitWithAck(ctx, "question", m.Raw(0))
		return ackReplies(m, replies, err)
	})
}

// askAll asks the target's clients, beside the handler: the asking client may
// be among them, and have other questions meanwhile.
func askAll(ctx context.Context, m *socketeer.Message) error {
	q, b, err := parse(m)
	if err != nil {
		return err
	}
	go func() {
		replies, err := b.Timeout(millis(q.Timeout)).EmitWithAck(ctx, q.Event, q.Args...)
		// The client may have gone meanwhile: then nobody waits for this.
		_ = ackReplies(m, replies, err)
	}()
	return nil
}

// ackReplies acknowledges the first argument of each reply, and whether some
// did not come in time.
func ackReplies(m *socketeer.Message, replies []socketeer.Reply, err error) error {
	var late interface{ Timeout() bool }
	if err != nil && !errors.As(err, &late) {
		return err
	}
	responses := make([]any, len(replies))
	for i := range replies {
		args, err := replied(&replies[i])
		if err != nil {
			return err
		}
		if len(args) > 0 {
			responses[i] = args[0]
		}
	}
	return m.Ack(map[string]any{"responses": responses, "timedOut": err != nil})
}

func fetch(ctx context.Context, m *socketeer.Message) error {
	_, b, err := parse(m)
	if err != nil {
		return err
	}
	sockets := []map[string]any{}
	for s, err := range b.Sockets(ctx) {
		if err != nil {
			return err
		}
		var handshake struct {
			Auth json.RawMessage `json:"auth"`
		}
		if err := json.Unmarshal(s.Handshake, &handshake); err != nil {
			return err
		}
		sockets = append(sockets, map[string]any{
			"id": s.ID, "rooms": others(s.ID, s.Rooms), "data": s.Data, "auth": handshake.Auth,
		})
	}
	return m.Ack(sockets)
}
