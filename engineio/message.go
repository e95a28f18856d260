package engineio

import (
	"encoding/base64"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/internal/wsconn"
	"github.com/socketeer-io/socketeer/protocol/eio"
)

// Headroom is how many bytes [NewMessage] wants free in front of the text.
const Headroom = wsconn.MaxHeader + 1

// Message is one message to clients, a text with any number of binary
// attachments that follow it, encoded once and shared by all its receivers.
// It is immutable and safe for concurrent use.
type Message struct {
	ws       []byte // unmasked frames, text first
	text     []byte // Engine.IO packet of the text, inside ws
	binaries [][]byte
	plain    bool // never compress

	// ws in other forms, made for the first receiver that wants them.
	deflated, texts atomic.Pointer[[]byte]
}

// form is how a WebSocket client wants its frames.
type form struct {
	deflate   bool // compressed, from threshold bytes on
	threshold int
	base64    bool // texts only: binary as "b" and its base64
}

// NewMessage makes a message from b, whose first [Headroom] bytes are free and
// whose rest is the text, and from attachments. It keeps both; neither may be
// changed afterwards.
func NewMessage(b []byte, binaries ...[]byte) *Message {
	b[Headroom-1] = '0' + byte(eio.Message)
	return newPacket(b, binaries)
}

// newPacket is NewMessage with the packet type already in its place.
func newPacket(b []byte, binaries [][]byte) *Message {
	start := wsconn.PutHeader(b[:Headroom-1], len(b)-Headroom+1)
	m := &Message{ws: b[start:], text: b[Headroom-1:], binaries: binaries}
	for _, bin := range binaries {
		m.ws = wsconn.AppendFrame(m.ws, bin, true)
	}
	return m
}

// Uncompressed marks the message as not worth compressing, and returns it. To
// be called before the message is shared.
func (m *Message) Uncompressed() *Message {
	m.plain = true
	return m
}

// Len is how many bytes the message counts for in a connection's send buffer.
func (m *Message) Len() int { return len(m.ws) }

// wire returns the frames for a WebSocket connection: always the same ones for
// the same argument.
func (m *Message) wire(f form) []byte {
	if f.base64 && len(m.binaries) > 0 {
		return once(&m.texts, func() []byte {
			b := wsconn.AppendFrame(nil, m.text, false)
			for _, bin := range m.binaries {
				b = wsconn.AppendFrame(b, appendBase64(nil, bin), false)
			}
			return b
		})
	}
	if !f.deflate || m.plain || len(m.ws) < f.threshold {
		return m.ws
	}
	return once(&m.deflated, func() []byte {
		b := wsconn.AppendDeflated(nil, m.text, false)
		for _, bin := range m.binaries {
			b = wsconn.AppendDeflated(b, bin, true)
		}
		return b
	})
}

// once returns what p holds, and makes it when it holds nothing: perhaps more
// than once at the same time, but only one is kept.
func once(p *atomic.Pointer[[]byte], make func() []byte) []byte {
	if b := p.Load(); b != nil {
		return *b
	}
	b := make()
	p.CompareAndSwap(nil, &b)
	return *p.Load()
}

// appendPayload appends the message as elements of a polling payload.
func (m *Message) appendPayload(dst []byte) []byte {
	if len(dst) > 0 {
		dst = append(dst, eio.Separator)
	}
	dst = append(dst, m.text...)
	for _, bin := range m.binaries {
		dst = appendBase64(append(dst, eio.Separator), bin)
	}
	return dst
}

// appendBase64 appends a binary message as a text packet.
func appendBase64(dst, bin []byte) []byte {
	return base64.StdEncoding.AppendEncode(append(dst, 'b'), bin)
}

// control makes the message of a bare packet.
func control(t eio.Type, data string) *Message {
	b := make([]byte, Headroom, Headroom+len(data))
	b[Headroom-1] = '0' + byte(t)
	return newPacket(append(b, data...), nil)
}

// rawFrame makes a message of WebSocket frames that no payload can hold.
func rawFrame(frame []byte) *Message { return &Message{ws: frame, plain: true} }

// packets that every connection sends
var (
	pingPacket  = control(eio.Ping, "")
	noopPacket  = control(eio.Noop, "")
	closePacket = control(eio.Close, "")
)
