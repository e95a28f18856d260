package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
)

// Bodies are msgpack arrays. A receiver ignores elements after the ones it
// knows, so that later versions may add some at the end.
const (
	opFields       = 9
	responseFields = 6
	socketFields   = 4

	// maxElements bounds every list: rooms, attachments, sockets.
	maxElements = 1 << 16
)

const (
	flagVolatile = 1 << iota
	flagNoCompress
	flagClose
	flagMoved
)

const (
	flagLast   = 1 << iota
	flagFailed // with flagLast: the answer is not complete
)

var errBody = errors.New("socketeer: malformed frame")

func checkLen(what string, n int) error {
	if n > maxElements {
		return fmt.Errorf("socketeer: %d %s in one message, more than %d", n, what, maxElements)
	}
	return nil
}

// checkOp finds what a receiver would refuse.
func checkOp(m *adapter.Message) error {
	return errors.Join(
		checkLen("target rooms", len(m.Target.Rooms)), checkLen("excepted rooms", len(m.Target.Except)),
		checkLen("rooms", len(m.Rooms)), checkLen("attachments", len(m.Attachments)))
}

// appendOp appends a message as [namespace, kind, flags, timeout in ns, target
// rooms, except, data, attachments, rooms].
func appendOp(b []byte, nsp string, m *adapter.Message) []byte {
	var flags uint8
	if m.Flags.Volatile {
		flags |= flagVolatile
	}
	if m.Flags.NoCompress {
		flags |= flagNoCompress
	}
	if m.Close {
		flags |= flagClose
	}
	if m.Moved {
		flags |= flagMoved
	}
	b = msgp.AppendArrayHeader(b, opFields)
	b = msgp.AppendString(b, nsp)
	b = msgp.AppendUint8(b, uint8(m.Kind))
	b = msgp.AppendUint8(b, flags)
	b = msgp.AppendInt64(b, int64(m.Flags.Timeout))
	b = appendStrings(b, m.Target.Rooms)
	b = appendStrings(b, m.Target.Except)
	b = msgp.AppendBytes(b, m.Data)
	b = appendBlobs(b, m.Attachments)
	return appendStrings(b, m.Rooms)
}

func appendStrings(b []byte, list []string) []byte {
	b = msgp.AppendArrayHeader(b, uint32(len(list)))
	for _, s := range list {
		b = msgp.AppendString(b, s)
	}
	return b
}

func appendBlobs(b []byte, list [][]byte) []byte {
	b = msgp.AppendArrayHeader(b, uint32(len(list)))
	for _, s := range list {
		b = msgp.AppendBytes(b, s)
	}
	return b
}

// appendResponse appends a response as [flags, count, sid, data, attachments,
// sockets]. The node's name is known from the sender.
func appendResponse(b []byte, r *adapter.Response, failed bool) []byte {
	var flags uint8
	if r.Last {
		flags |= flagLast
	}
	if failed {
		flags |= flagFailed
	}
	b = msgp.AppendArrayHeader(b, responseFields)
	b = msgp.AppendUint8(b, flags)
	b = msgp.AppendInt(b, r.Count)
	b = msgp.AppendString(b, r.SID)
	b = msgp.AppendBytes(b, r.Data)
	b = appendBlobs(b, r.Attachments)
	b = msgp.AppendArrayHeader(b, uint32(len(r.Sockets)))
	for i := range r.Sockets {
		s := &r.Sockets[i]
		b = msgp.AppendArrayHeader(b, socketFields)
		b = msgp.AppendString(b, s.ID)
		b = appendStrings(b, s.Rooms)
		b = msgp.AppendBytes(b, s.Handshake)
		b = msgp.AppendBytes(b, s.Data)
	}
	return b
}

// socketSize estimates a socket's encoded size from above.
func socketSize(s *adapter.SocketInfo) int {
	n := 32 + len(s.ID) + len(s.Handshake) + len(s.Data)
	for _, r := range s.Rooms {
		n += 5 + len(r)
	}
	return n
}

// reader reads the elements of a body. The first error sticks and every later
// read returns zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() { r.b, r.err = nil, errBody }

// array reads an array header. Every element takes at least a byte, so a
// claimed length beyond the rest of the body is refused before anything is
// allocated for it.
func (r *reader) array() int {
	if r.err != nil {
		return 0
	}
	n, rest, err := msgp.ReadArrayHeaderBytes(r.b)
	if err != nil || int(n) > maxElements || int(n) > len(rest) {
		r.fail()
		return 0
	}
	r.b = rest
	return int(n)
}

// record reads the header of an array of at least known elements, and returns
// how many there are beyond those.
func (r *reader) record(known int) (extra int) {
	n := r.array()
	if r.err == nil && n < known {
		r.fail()
	}
	return max(0, n-known)
}

// skip passes over n elements.
func (r *reader) skip(n int) {
	for range n {
		if r.err != nil {
			return
		}
		if r.b, r.err = msgp.Skip(r.b); r.err != nil {
			r.fail()
		}
	}
}

func (r *reader) uint64() (v uint64) {
	if r.err == nil {
		if v, r.b, r.err = msgp.ReadUint64Bytes(r.b); r.err != nil {
			r.fail()
		}
	}
	return v
}

func (r *reader) int64() (v int64) {
	if r.err == nil {
		if v, r.b, r.err = msgp.ReadInt64Bytes(r.b); r.err != nil {
			r.fail()
		}
	}
	return v
}

func (r *reader) uint8() (v uint8) {
	if r.err == nil {
		if v, r.b, r.err = msgp.ReadUint8Bytes(r.b); r.err != nil {
			r.fail()
		}
	}
	return v
}

// text returns the bytes of a string, aliasing the frame.
func (r *reader) text() (v []byte) {
	if r.err == nil {
		if v, r.b, r.err = msgp.ReadStringZC(r.b); r.err != nil {
			r.fail()
			return nil
		}
	}
	return v
}

// blob returns bytes aliasing the frame, nil when there are none.
func (r *reader) blob() (v []byte) {
	if r.err == nil {
		if v, r.b, r.err = msgp.ReadBytesZC(r.b); r.err != nil {
			r.fail()
			return nil
		}
	}
	if len(v) == 0 {
		return nil
	}
	return v[:len(v):len(v)]
}

func (r *reader) strings() []string {
	n := r.array()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, string(r.text()))
	}
	return list
}

func (r *reader) blobs() [][]byte {
	n := r.array()
	if n == 0 {
		return nil
	}
	list := make([][]byte, 0, n)
	for range n {
		// An attachment may be empty, but is never missing.
		if v := r.blob(); v != nil {
			list = append(list, v)
		} else {
			list = append(list, []byte{})
		}
	}
	return list
}

// op reads what appendOp wrote, but for the namespace, which is read first to
// find who handles the rest. Data and Attachments alias the frame.
func (r *reader) op() *adapter.Message {
	m := &adapter.Message{Kind: adapter.Kind(r.uint8())}
	flags := r.uint8()
	m.Flags = adapter.Flags{
		Volatile:   flags&flagVolatile != 0,
		NoCompress: flags&flagNoCompress != 0,
		Timeout:    time.Duration(r.int64()),
	}
	m.Close = flags&flagClose != 0
	m.Moved = flags&flagMoved != 0
	m.Target.Rooms = r.strings()
	m.Target.Except = r.strings()
	m.Data = r.blob()
	m.Attachments = r.blobs()
	m.Rooms = r.strings()
	return m
}

// response reads what appendResponse wrote, aliasing the frame.
func (r *reader) response() (resp adapter.Response, failed bool) {
	r.record(responseFields)
	flags := r.uint8()
	resp.Last, failed = flags&flagLast != 0, flags&flagFailed != 0
	resp.Count = int(r.int64())
	resp.SID = string(r.text())
	resp.Data = r.blob()
	resp.Attachments = r.blobs()
	if n := r.array(); n > 0 {
		resp.Sockets = make([]adapter.SocketInfo, 0, n)
		for range n {
			extra := r.record(socketFields)
			resp.Sockets = append(resp.Sockets, adapter.SocketInfo{
				ID: string(r.text()), Rooms: r.strings(), Handshake: r.blob(), Data: r.blob(),
			})
			r.skip(extra)
		}
	}
	return resp, failed
}
