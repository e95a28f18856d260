package eio

import (
	"bytes"
	"encoding/base64"
	"iter"
	"strconv"
)

// Type is the type of a packet. Its digit on the wire is '0' + Type.
type Type uint8

// The packet types, with their values on the wire.
const (
	Open    Type = iota // the handshake, server to client
	Close               // the session ends; the transport may stay
	Ping                // heartbeat, server to client, or an upgrade's probe
	Pong                // answer to a ping
	Message             // data of the layer above
	Upgrade             // the client moves to the new transport
	Noop                // answers a held poll during an upgrade
)

// String returns the type's name, for logs.
func (t Type) String() string {
	switch t {
	case Open:
		return "open"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	case Message:
		return "message"
	case Upgrade:
		return "upgrade"
	case Noop:
		return "noop"
	}
	return "type(" + strconv.Itoa(int(t)) + ")"
}

// Separator stands between the packets of a polling payload.
const Separator = 0x1e

// binaryPrefix starts a binary message in text form. No type digit follows:
// binary is always a message.
const binaryPrefix = 'b'

// Packet is one Engine.IO packet.
type Packet struct {
	// Type is the packet's type.
	Type Type
	// Data is what follows the type: text in UTF-8, or any bytes when Binary
	// is set. It is not validated here.
	Data []byte
	// Binary marks binary data. Only a packet of type Message can be binary;
	// the encoders ignore Type when it is set.
	Binary bool
}

// AppendText appends the text form of p to dst: the type digit and the data,
// or for a binary packet "b" and the data in standard, padded base64.
//
// A Type above Noop has no text form; passing one is the caller's bug and
// yields bytes that [DecodeText] refuses.
func AppendText(dst []byte, p Packet) []byte {
	if p.Binary {
		dst = append(dst, binaryPrefix)
		return base64.StdEncoding.AppendEncode(dst, p.Data)
	}
	dst = append(dst, '0'+byte(p.Type))
	return append(dst, p.Data...)
}

// DecodeText decodes the text form of one packet: a WebSocket text message or
// one element of a polling payload.
//
// Data aliases b, except for base64, which is decoded into new memory. The
// data of text packets is not checked to be UTF-8: the layer above does that
// where it matters. The error, if any, is a [*SyntaxError].
func DecodeText(b []byte) (Packet, error) {
	if len(b) == 0 {
		return Packet{}, syntaxError("empty packet")
	}
	if b[0] == binaryPrefix {
		data, err := base64.StdEncoding.AppendDecode(nil, b[1:])
		if err != nil {
			return Packet{}, syntaxError("invalid base64")
		}
		return Packet{Type: Message, Data: data, Binary: true}, nil
	}
	t := Type(b[0] - '0')
	if t > Noop {
		return Packet{}, syntaxError("unknown packet type")
	}
	return Packet{Type: t, Data: b[1:]}, nil
}

// AppendPayload appends ps to dst as the body of a polling request or
// response. No packets append nothing, which is not a valid payload.
//
// Text data must not contain [Separator]. JSON cannot: it is a control
// character, which JSON requires to be escaped.
func AppendPayload(dst []byte, ps ...Packet) []byte {
	for i, p := range ps {
		if i > 0 {
			dst = append(dst, Separator)
		}
		dst = AppendText(dst, p)
	}
	return dst
}

// Packets returns the packets of a polling payload in order. It stops after
// the first error, a [*SyntaxError]; the packets before it were valid.
// An empty payload is one empty packet, hence an error, as are two adjacent
// separators and a separator at either end.
//
// Packets alias payload as described at [DecodeText].
func Packets(payload []byte) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		rest, more := payload, true
		for more {
			var element []byte
			element, rest, more = bytes.Cut(rest, []byte{Separator})
			p, err := DecodeText(element)
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}
