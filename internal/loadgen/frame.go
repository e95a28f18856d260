package loadgen

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa
)

var (
	errMasked     = errors.New("socketeer: server sent a masked frame")
	errFragmented = errors.New("socketeer: server sent a fragmented message")
	errReserved   = errors.New("socketeer: server sent a frame with reserved bits")
)

// frame is one unfragmented frame from a server. payload aliases the buffer
// it was read from.
type frame struct {
	op      byte
	payload []byte
}

// nextFrame splits the first frame off b. n is its length on the wire, 0 when
// b does not hold all of it. Frames longer than limit, fragments, reserved
// bits (no extension is offered) and masked frames are errors.
func nextFrame(b []byte, limit int) (f frame, n int, err error) {
	if len(b) < 2 {
		return frame{}, 0, nil
	}
	switch {
	case b[0]&0x70 != 0:
		return frame{}, 0, errReserved
	case b[0]&0x80 == 0 || b[0]&0x0f == 0:
		return frame{}, 0, errFragmented
	case b[1]&0x80 != 0:
		return frame{}, 0, errMasked
	}
	head, size := 2, uint64(b[1])
	switch b[1] {
	case 126:
		if len(b) < 4 {
			return frame{}, 0, nil
		}
		head, size = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if len(b) < 10 {
			return frame{}, 0, nil
		}
		head, size = 10, binary.BigEndian.Uint64(b[2:])
	}
	if size > uint64(limit) {
		return frame{}, 0, fmt.Errorf("socketeer: server sent a frame of %d bytes, more than the %d this client reads", size, limit)
	}
	n = head + int(size)
	if len(b) < n {
		return frame{}, 0, nil
	}
	return frame{op: b[0] & 0x0f, payload: b[head:n:n]}, n, nil
}

// appendFrame appends a frame as clients send it. The masking key is zero,
// which the protocol allows and which leaves the payload as it is: the frame
// can be a template whose payload is changed in place.
func appendFrame(dst []byte, op byte, payload string) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n <= 0xffff:
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, 0x80|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}

// clientPayload returns the payload of a frame that appendFrame made.
func clientPayload(wire []byte) []byte {
	switch wire[1] & 0x7f {
	case 126:
		return wire[8:]
	case 127:
		return wire[14:]
	}
	return wire[6:]
}

// template is a frame with a stamp in it.
type template struct {
	wire  []byte
	stamp []byte // the part of wire that holds the stamp
	room  []byte // the part that names the room, in a "say"
}

// newTemplate builds the frame of before + data + after, where data has size
// bytes and starts with a stamp.
func newTemplate(before, after string, size int) template {
	data := make([]byte, size)
	for i := range data {
		data[i] = 'x'
	}
	stamp{}.put(data)
	wire := appendFrame(nil, opText, before+string(data)+after)
	at := len(wire) - len(after) - size
	return template{wire: wire, stamp: wire[at : at+stampSize]}
}

// newSay builds the frame of a message to a room.
func newSay(room string, size int) template {
	t := newTemplate(`42["say","`+room+`","`, `"]`, size)
	end := len(t.wire) - len(`","`) - size - len(`"]`)
	t.room = t.wire[end-len(room) : end]
	return t
}

// readdress changes the room that a "say" goes to, in place when it can.
func (t *template) readdress(room string, size int) {
	if len(t.room) != len(room) {
		*t = newSay(room, size)
	}
	copy(t.room, room)
}
