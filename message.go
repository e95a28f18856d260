package socketeer

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Handler handles an event. The context ends with the socket. An error is
// logged; if the client waits for an acknowledgement, it gets
// {"error": {...}} with what an [*Error] says, or "internal error".
type Handler func(ctx context.Context, m *Message) error

// Message is an event that came in. It stays valid after its handler returns.
// Ack may be called from any goroutine; so may the rest.
type Message struct {
	next *Message // in an inbox
	kind msgKind

	socket      *Socket // nil for a server-side event
	data        []byte
	attachments [][]byte
	event       string
	id          uint64
	ack         atomic.Uint32 // ackNone, ackWanted, ackSent
	reply       func(data []byte, attachments [][]byte) error
	reason      string // of a disconnect
}

type msgKind uint8

const (
	kindEvent msgKind = iota
	kindConnect
	kindConnectAnew // and recover nothing
	kindDisconnect
)

const (
	ackNone = iota
	ackWanted
	ackSent
)

// Socket returns the socket that sent the event; nil for a server-side event.
func (m *Message) Socket() *Socket { return m.socket }

// Event returns the event's name.
func (m *Message) Event() string { return m.event }

// NumArgs returns how many arguments came with the event.
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

// Data returns the event as it came: a JSON array with the name first. It must
// not be changed.
func (m *Message) Data() json.RawMessage { return m.data }

// Attachments returns the binary values that placeholders in Data stand for.
func (m *Message) Attachments() [][]byte { return m.attachments }

// Decode decodes the first arguments into the values pointed to, by the rules
// of encoding/json; binary goes into []byte and any. A nil pointer skips an
// argument. ErrNoSuchArgument if there are fewer.
func (m *Message) Decode(to ...any) error {
	return sio.DecodeArgs(m.data, 1, m.attachments, to, m.event)
}

// WantsAck reports whether the sender waits for an acknowledgement that has
// not been sent.
func (m *Message) WantsAck() bool { return m.ack.Load() == ackWanted }

// Ack acknowledges the event. It can be done once, during or after the
// handler; ErrAcknowledged otherwise. If the sender does not wait for an
// acknowledgement it does nothing.
func (m *Message) Ack(args ...any) error {
	if m.ack.Load() == ackNone {
		return nil
	}
	if m.reply != nil {
		data, attachments, err := sio.Encode(args...)
		if err != nil {
			return err
		}
		return m.replyWith(data, attachments)
	}
	p := sio.Packet{Type: sio.Ack, Namespace: m.socket.nsp.name, ID: m.id, HasID: true}
	msg, err := encodeArgs(&p, args)
	if err != nil {
		return err
	}
	if !m.ack.CompareAndSwap(ackWanted, ackSent) {
		return ErrAcknowledged
	}
	return m.socket.client.conn.Send(msg, 0)
}

// replyWith answers a server-side event.
func (m *Message) replyWith(data []byte, attachments [][]byte) error {
	if !m.ack.CompareAndSwap(ackWanted, ackSent) {
		return ErrAcknowledged
	}
	return m.reply(data, attachments)
}

// encode makes the message of a packet.
func encode(p sio.Packet) *engineio.Message {
	b := make([]byte, engineio.Headroom, engineio.Headroom+len(p.Namespace)+len(p.Data)+24)
	return engineio.NewMessage(p.AppendText(b), p.Attachments...)
}

// encodeArgs makes the message of a packet with the given arguments, and sets
// its Data and Attachments. They are encoded into the message's own memory,
// behind room for the header, which depends on them.
func encodeArgs(p *sio.Packet, args []any) (*engineio.Message, error) {
	room := engineio.Headroom + len(p.Namespace) + 40
	b, attachments, err := sio.AppendArgs(make([]byte, room, room+sizeHint(args)), args...)
	if err != nil {
		return nil, err
	}
	// Without the room behind it, where attachments go: listeners see the data.
	p.Data, p.Attachments = b[room:len(b):len(b)], attachments
	var short [64]byte
	header := p.AppendHeader(short[:0])
	start := room - len(header)
	copy(b[start:], header)
	return engineio.NewMessage(b[start-engineio.Headroom:], attachments...), nil
}

// sizeHint guesses how long args are as JSON.
func sizeHint(args []any) int {
	n := 16
	for _, arg := range args {
		switch v := arg.(type) {
		case string:
			n += len(v) + 3
		case json.RawMessage:
			n += len(v) + 1
		case sio.Value:
			n += v.Len() + 1
		default:
			n += 32
		}
	}
	return n
}

// Reply is an acknowledgement that came in.
type Reply struct {
	Node string // that it came from; empty for this one
	SID  string // id of the client's socket; empty for a server-side event

	data        []byte
	attachments [][]byte
}

// Data returns the reply as it came: a JSON array of its arguments.
func (r *Reply) Data() json.RawMessage { return r.data }

// Decode decodes the reply's first arguments, like [Message.Decode].
func (r *Reply) Decode(to ...any) error {
	return sio.DecodeArgs(r.data, 0, r.attachments, to, "")
}
