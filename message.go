package socketeer

import (
	"context"
	"encoding/json"
	"strconv"
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

// args returns all elements, the name first.
func (m *Message) args() []json.RawMessage {
	args, err := sio.Args(m.data)
	if err != nil { // the decoder has checked it
		return nil
	}
	return args
}

// NumArgs returns how many arguments came with the event.
func (m *Message) NumArgs() int { return max(len(m.args())-1, 0) }

// Raw returns argument i as it came, nil if there is none. Binary values are
// placeholders in it; see Attachments.
func (m *Message) Raw(i int) json.RawMessage {
	args := m.args()
	if i < 0 || i+1 >= len(args) {
		return nil
	}
	return args[i+1]
}

// Data returns the event as it came: a JSON array with the name first.
func (m *Message) Data() json.RawMessage { return m.data }

// Attachments returns the binary values that placeholders in Data stand for.
func (m *Message) Attachments() [][]byte { return m.attachments }

// Decode decodes the first arguments into the values pointed to, by the rules
// of encoding/json; binary goes into []byte and any. A nil pointer skips an
// argument. ErrNoSuchArgument if there are fewer.
func (m *Message) Decode(to ...any) error {
	args := m.args()
	return sio.DecodeArgs(args[min(1, len(args)):], m.attachments, to, strconv.Quote(m.event))
}

// WantsAck reports whether the sender waits for an acknowledgement that has
// not been sent.
func (m *Message) WantsAck() bool { return m.ack.Load() == ackWanted }

// Ack acknowledges the event. It can be done once, during or after the
// handler; ErrAcknowledged otherwise.
func (m *Message) Ack(args ...any) error {
	data, attachments, err := sio.Encode(args...)
	if err != nil {
		return err
	}
	return m.ackRaw(data, attachments)
}

func (m *Message) ackRaw(data []byte, attachments [][]byte) error {
	if !m.ack.CompareAndSwap(ackWanted, ackSent) {
		return ErrAcknowledged
	}
	if m.reply != nil {
		return m.reply(data, attachments)
	}
	s := m.socket
	p := sio.Packet{Type: sio.Ack, Namespace: s.nsp.name, ID: m.id, HasID: true, Data: data, Attachments: attachments}
	return s.client.conn.Send(encode(p), 0)
}

// encode makes the message of a packet.
func encode(p sio.Packet) *engineio.Message {
	b := make([]byte, engineio.Headroom, engineio.Headroom+len(p.Namespace)+len(p.Data)+24)
	return engineio.NewMessage(p.AppendText(b), p.Attachments...)
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
	args, err := sio.Args(r.data)
	if err != nil {
		return err
	}
	return sio.DecodeArgs(args, r.attachments, to, "an acknowledgement")
}
