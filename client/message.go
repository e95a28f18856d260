package client

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Handler handles an event. The context ends when the client is closed. An
// error is logged; if the server waits for an acknowledgement that the handler
// has not sent, it gets {"error": {...}} with what an [*Error] says, or
// "internal error".
type Handler func(ctx context.Context, m *Message) error

// Message is an event that came in. It stays valid after its handler returns,
// and its methods may be called by any goroutine.
type Message struct {
	socket      *Socket
	session     uint64 // of the socket, when the event came
	event       string
	data        []byte // JSON array, the name first
	attachments [][]byte
	id          uint64
	ack         atomic.Uint32 // ackNone, ackWanted, ackSent
}

const (
	ackNone = iota
	ackWanted
	ackSent
)

func (m *Message) size() int {
	n := len(m.data)
	for _, a := range m.attachments {
		n += len(a)
	}
	return n
}

// Socket returns the socket that received the event.
func (m *Message) Socket() *Socket { return m.socket }

// Event returns the event's name.
func (m *Message) Event() string { return m.event }

// NumArgs returns how many arguments came with the event. From a server with
// connection state recovery the last one may be an offset, as in JavaScript.
func (m *Message) NumArgs() int {
	args, _ := sio.Args(m.data) // the decoder has checked it
	return max(len(args)-1, 0)
}

// Arg returns argument i as it came, to be sent on by an Emit or Ack, with the
// binary values in it; null if there is none.
func (m *Message) Arg(i int) sio.Value {
	if i < 0 {
		return sio.Value{}
	}
	return sio.ValueOf(m.data, i+1, m.attachments)
}

// Raw returns the JSON of argument i, nil if there is none. Binary values are
// placeholders in it, see Attachments: to send it on, use Arg.
func (m *Message) Raw(i int) json.RawMessage {
	if i < 0 {
		return nil
	}
	return sio.Arg(m.data, i+1)
}

// Data returns the event as it came: a JSON array with the name first.
func (m *Message) Data() json.RawMessage { return m.data }

// Attachments returns the binary values that placeholders in Data stand for.
func (m *Message) Attachments() [][]byte { return m.attachments }

// Decode decodes the first arguments into the values pointed to, by the rules
// of encoding/json; binary goes into []byte and any. A nil pointer skips an
// argument. ErrNoSuchArgument if there are fewer.
func (m *Message) Decode(to ...any) error {
	return sio.DecodeArgs(m.data, 1, m.attachments, to, m.event)
}

// WantsAck reports whether the server waits for an acknowledgement that has
// not been sent.
func (m *Message) WantsAck() bool { return m.ack.Load() == ackWanted }

// Ack acknowledges the event. It can be done once, during or after the
// handler; ErrAcknowledged otherwise. If the sender does not wait for an
// acknowledgement it does nothing. ErrDisconnected says that the connection
// on which the event came is gone, and the server's wait with it.
func (m *Message) Ack(args ...any) error {
	if m.ack.Load() == ackNone {
		return nil
	}
	data, attachments, err := sio.Encode(args...)
	if err != nil {
		return err
	}
	if !m.ack.CompareAndSwap(ackWanted, ackSent) {
		return ErrAcknowledged
	}
	return m.socket.sendAck(m, sio.Packet{
		Type: sio.Ack, Namespace: m.socket.namespace,
		ID: m.id, HasID: true, Data: data, Attachments: attachments,
	})
}

// Reply is an acknowledgement that came in.
type Reply struct {
	event       string // that it answers
	data        []byte
	attachments [][]byte
}

// Data returns the reply as it came: a JSON array of its arguments.
func (r *Reply) Data() json.RawMessage { return r.data }

// NumArgs returns how many arguments the reply has.
func (r *Reply) NumArgs() int {
	args, _ := sio.Args(r.data)
	return len(args)
}

// Raw returns argument i as it came, nil if there is none. Binary values are
// placeholders in it.
func (r *Reply) Raw(i int) json.RawMessage {
	return sio.Arg(r.data, i)
}

// Decode decodes the reply's first arguments, like [Message.Decode].
func (r *Reply) Decode(to ...any) error {
	return sio.DecodeArgs(r.data, 0, r.attachments, to, r.event)
}
