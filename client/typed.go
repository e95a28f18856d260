package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
)

// Handle registers a handler that takes the event's first argument as a T, until
// off is called. An argument that is no T is the handler's error.
func Handle[T any](s *Socket, event string, h func(ctx context.Context, v T) error) (off func()) {
	return s.On(event, func(ctx context.Context, m *Message) error {
		var v T
		if err := m.Decode(&v); err != nil {
			return err
		}
		return h(ctx, v)
	})
}

// HandleCall registers a handler that answers, until off is called: its result is the
// acknowledgement; its error the server sees as [Handler] describes.
func HandleCall[Q, R any](s *Socket, event string, h func(ctx context.Context, q Q) (R, error)) (off func()) {
	return s.On(event, func(ctx context.Context, m *Message) error {
		var q Q
		if err := m.Decode(&q); err != nil {
			return err
		}
		r, err := h(ctx, q)
		if err != nil || !m.WantsAck() {
			return err
		}
		return m.Ack(r)
	})
}

// Call emits an event and decodes the first argument of the acknowledgement.
// The answer {"error": {"message": ...}} is returned as an [*Error]. See
// [Socket.EmitWithAck] for the other errors.
func Call[R any](ctx context.Context, s *Socket, event string, args ...any) (R, error) {
	var r R
	reply, err := s.EmitWithAck(ctx, event, args...)
	if err != nil {
		return r, err
	}
	if e := replyError(reply.Raw(0)); e != nil {
		return r, e
	}
	return r, reply.Decode(&r)
}

// replyError returns the error that an answer stands for, nil if it is none.
func replyError(raw json.RawMessage) *Error {
	if !bytes.HasPrefix(raw, []byte("{")) || !bytes.Contains(raw, []byte(`"error"`)) {
		return nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || len(fields) != 1 {
		return nil //nolint:nilerr // an ordinary answer
	}
	var e struct {
		Code    string          `json:"code"`
		Message *string         `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	if json.Unmarshal(fields["error"], &e) != nil || e.Message == nil {
		return nil //nolint:nilerr // likewise
	}
	return &Error{Code: e.Code, Message: *e.Message, Data: e.Data}
}

// forPeer returns the part of a handler's error that the server may see.
func forPeer(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: "internal", Message: "internal error"}
}
