package sio

import (
	"bytes"
	"strconv"
	"strings"
	"unsafe"
)

// Type is the type of a packet. Its digit on the wire is '0' + Type.
type Type uint8

// The packet types, with their values on the wire. A [Packet] carries
// BinaryEvent and BinaryAck only on the wire: see [Packet.Type].
const (
	Connect      Type = iota // joins a namespace, or confirms that
	Disconnect               // leaves a namespace
	Event                    // an event with its arguments
	Ack                      // the answer to an event
	ConnectError             // refuses a Connect
	BinaryEvent              // an Event with attachments
	BinaryAck                // an Ack with attachments
)

// String returns the type's name, for logs.
func (t Type) String() string {
	switch t {
	case Connect:
		return "connect"
	case Disconnect:
		return "disconnect"
	case Event:
		return "event"
	case Ack:
		return "ack"
	case ConnectError:
		return "connect error"
	case BinaryEvent:
		return "binary event"
	case BinaryAck:
		return "binary ack"
	}
	return "type(" + strconv.Itoa(int(t)) + ")"
}

// Packet is one Socket.IO packet.
type Packet struct {
	// Type is Event or Ack also for packets with attachments: the decoder
	// turns BinaryEvent and BinaryAck into them, and the encoder picks the
	// type on the wire by the presence of Attachments.
	Type Type
	// Namespace starts with a slash. Empty means "/"; the decoder always
	// sets it. A name with a comma cannot be encoded.
	Namespace string
	// ID is the ack id, valid if HasID is set: of an event that wants an
	// answer, or of the answer.
	ID    uint64
	HasID bool
	// Data is JSON. From the decoder it has neither leading nor trailing
	// space and is an array for Event and Ack, an object or nil for Connect,
	// an object or string for ConnectError, and nil for Disconnect.
	Data []byte
	// Attachments are the binary values that Data refers to with
	// placeholders, in the order of their numbers.
	Attachments [][]byte
}

// AppendText appends the text of p to dst, without Engine.IO's leading '4'.
// The attachments are to follow as binary messages, in order.
//
// The packet is not validated; Data is copied as it is.
func (p Packet) AppendText(dst []byte) []byte {
	return append(p.AppendHeader(dst), p.Data...)
}

// AppendHeader appends all of the text of p that stands before its data.
func (p Packet) AppendHeader(dst []byte) []byte {
	dst = append(dst, '0'+byte(p.wireType()))
	if n := len(p.Attachments); n > 0 {
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, '-')
	}
	if p.Namespace != "" && p.Namespace != "/" {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	return dst
}

func (p Packet) wireType() Type {
	binary := len(p.Attachments) > 0
	switch p.Type {
	case Event, BinaryEvent:
		if binary {
			return BinaryEvent
		}
		return Event
	case Ack, BinaryAck:
		if binary {
			return BinaryAck
		}
		return Ack
	}
	return p.Type
}

// Event returns the name of an event: the first element of Data, which is
// a string or a number. A number is returned as it is spelled, so 1 is "1".
// The error is a [*SyntaxError]; there is none for an Event of a [Decoder].
func (p Packet) Event() (string, error) {
	name, err := p.EventName()
	return strings.Clone(name), err
}

// EventName is [Packet.Event] without a copy: the name may alias Data, which
// must not be changed as long as the name is in use.
func (p Packet) EventName() (string, error) {
	raw, ok := firstName(p.Data)
	if !ok {
		return "", syntaxError("event without a name")
	}
	if raw[0] == '"' {
		if bytes.IndexByte(raw, '\\') >= 0 {
			return unquote(raw), nil
		}
		raw = raw[1 : len(raw)-1]
	}
	return unsafe.String(unsafe.SliceData(raw), len(raw)), nil
}

// Reserved reports whether event is a name that only the library itself may
// raise, so that no packet may carry it: connect, connect_error, disconnect,
// disconnecting, newListener and removeListener.
func Reserved(event string) bool {
	switch event {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
