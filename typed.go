package socketeer

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Event is an event with one argument of type T: a value that the parts of a
// program share. Emit also takes a socket of package client, whose Handle takes
// the event's Name.
type Event[T any] struct{ name string }

// NewEvent returns the event of this name.
func NewEvent[T any](name string) Event[T] { return Event[T]{name} }

// Name returns the event's name.
func (e Event[T]) Name() string { return e.name }

// Handle registers a handler. An argument that does not decode into T is an
// error of the event, of code "bad_argument", and does not reach the handler.
func (e Event[T]) Handle(on Registrar, h func(ctx context.Context, s *Socket, v T) error) (off func()) {
	return on.On(e.name, func(ctx context.Context, m *Message) error {
		var v T
		if err := m.Decode(&v); err != nil {
			return badArgument(err)
		}
		return h(ctx, m.Socket(), v)
	})
}

// Emit sends the event.
func (e Event[T]) Emit(to Emitter, v T) error { return to.Emit(e.name, v) }

// Call is an event that answers: with a question of type Q and an answer of
// type R. In package client, Call and HandleCall take its Name.
type Call[Q, R any] struct{ name string }

// NewCall returns the call of this name.
func NewCall[Q, R any](name string) Call[Q, R] { return Call[Q, R]{name} }

// Name returns the event's name.
func (c Call[Q, R]) Name() string { return c.name }

// Handle registers a handler, whose answer acknowledges the event. If it
// returns an error, the acknowledgement is {"error": {...}} instead: with code,
// message and data of an [*Error], else
// {"error":{"code":"internal","message":"internal error"}}.
func (c Call[Q, R]) Handle(on Registrar, h func(ctx context.Context, s *Socket, q Q) (R, error)) (off func()) {
	return on.On(c.name, func(ctx context.Context, m *Message) error {
		var q Q
		if err := m.Decode(&q); err != nil {
			return badArgument(err)
		}
		r, err := h(ctx, m.Socket(), q)
		if err != nil || !m.WantsAck() {
			return err
		}
		return m.Ack(r)
	})
}

// Asker is a client that can be asked: a [*Socket], or a [RemoteSocket].
type Asker interface {
	EmitWithAck(ctx context.Context, event string, args ...any) (*Reply, error)
}

var (
	_ Asker = (*Socket)(nil)
	_ Asker = RemoteSocket{}
)

// Call asks one client, and waits for its answer until ctx ends. An answer
// {"error": {...}} is returned as an [*Error].
func (c Call[Q, R]) Call(ctx context.Context, client Asker, q Q) (r R, err error) {
	reply, err := client.EmitWithAck(ctx, c.name, q)
	if err != nil {
		return r, err
	}
	if e := reply.failure(); e != nil {
		return r, e
	}
	return r, reply.Decode(&r)
}

// failure returns the error that the other side answered with, if it did.
func (r *Reply) failure() *Error {
	args, err := sio.Args(r.data)
	if err != nil || len(args) != 1 || len(args[0]) == 0 || args[0][0] != '{' {
		return nil //nolint:nilerr // an ordinary answer
	}
	var answer struct {
		Error *wireError `json:"error"`
	}
	if json.Unmarshal(args[0], &answer) != nil || answer.Error == nil {
		return nil //nolint:nilerr // likewise
	}
	e := &Error{Code: answer.Error.Code, Message: answer.Error.Message}
	if answer.Error.Data != nil {
		e.Data = answer.Error.Data
	}
	return e
}

// badArgument is the client's error, and told to it.
func badArgument(err error) error {
	return fmt.Errorf("%w (%w)", &Error{Code: "bad_argument", Message: "argument does not have the expected form"}, err)
}
