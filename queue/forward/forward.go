// Package forward puts events that clients send into a work queue, for what
// exactly one worker is to handle:
//
//	off := forward.Events(io.Of("/shop"), q, "orders", "order:new", "order:cancel")
//
// The worker gets the event's name and arguments, the socket's id, its user and
// its namespace.
package forward

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/protocol/sio"
	"github.com/socketeer-io/socketeer/queue"
)

// Stored is what a client gets as acknowledgement of an event that is in the
// queue.
type Stored struct {
	ID string `json:"id"` // the job's
}

// Events registers handlers for the events: each stores the event in the queue
// of the given name, and then acknowledges it with [Stored] if the client waits
// for that. When it is not stored, the acknowledgement is {"error": {...}}, as
// of any handler that fails; the code is "queue_full" or "too_large" where that
// is the reason. An event for which the client wanted no acknowledgement is
// lost then, and that is logged.
//
// The events of one socket are stored one after the other, in their order. The
// function that is returned takes the handlers back.
func Events(on socketeer.Registrar, q *queue.Queue, name string, events ...string) (off func()) {
	var offs []func()
	for _, event := range events {
		offs = append(offs, on.On(event, func(ctx context.Context, m *socketeer.Message) error {
			return store(ctx, q, name, m)
		}))
	}
	return func() {
		for _, off := range offs {
			off()
		}
	}
}

func store(ctx context.Context, q *queue.Queue, name string, m *socketeer.Message) error {
	var from queue.Source
	if s := m.Socket(); s != nil {
		from = queue.Source{Namespace: s.Namespace().Name(), SID: s.ID(), User: s.User()}
	}
	id, err := q.PublishRaw(ctx, name, m.Event(), from, arguments(m.Data()), m.Attachments())
	switch {
	case errors.Is(err, queue.ErrFull):
		return errors.Join(&socketeer.Error{Code: "queue_full", Message: "there is too much to do"}, err)
	case errors.Is(err, queue.ErrTooLarge):
		return errors.Join(&socketeer.Error{Code: "too_large", Message: "the event is too large"}, err)
	case err != nil:
		return err
	case m.WantsAck():
		return m.Ack(Stored{ID: id})
	}
	return nil
}

// arguments returns an event's data without the name.
func arguments(data json.RawMessage) json.RawMessage {
	list, _ := sio.Args(data) // the decoder has checked it
	out := []byte{'['}
	for i, arg := range list[min(1, len(list)):] {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, arg...)
	}
	return append(out, ']')
}
