package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/msgread"
)

// Bodies are msgpack arrays. A receiver ignores elements after the ones it
// knows, so that later versions may add some at the end.
const (
	opFields       = 9
	responseFields = 6
	socketFields   = 4

	// maxElements bounds every list: rooms, attachments, sockets.
	maxElements = msgread.MaxElements
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

// reader reads bodies.
type reader struct{ msgread.Reader }

// op reads what appendOp wrote, but for the namespace, which is read first to
// find who handles the rest. Data and Attachments alias the frame.
func (r *reader) op() *adapter.Message {
	m := &adapter.Message{Kind: adapter.Kind(r.Uint8())}
	flags := r.Uint8()
	m.Flags = adapter.Flags{
		Volatile:   flags&flagVolatile != 0,
		NoCompress: flags&flagNoCompress != 0,
		Timeout:    time.Duration(r.Int64()),
	}
	m.Close = flags&flagClose != 0
	m.Moved = flags&flagMoved != 0
	m.Target.Rooms = r.Texts()
	m.Target.Except = r.Texts()
	m.Data = r.Blob()
	m.Attachments = r.Blobs()
	m.Rooms = r.Texts()
	return m
}

// response reads what appendResponse wrote, aliasing the frame.
func (r *reader) response() (resp adapter.Response, failed bool) {
	r.Record(responseFields)
	flags := r.Uint8()
	resp.Last, failed = flags&flagLast != 0, flags&flagFailed != 0
	resp.Count = int(r.Int64())
	resp.SID = r.Text()
	resp.Data = r.Blob()
	resp.Attachments = r.Blobs()
	if n := r.Array(); n > 0 {
		resp.Sockets = make([]adapter.SocketInfo, 0, n)
		for range n {
			extra := r.Record(socketFields)
			resp.Sockets = append(resp.Sockets, adapter.SocketInfo{
				ID: r.Text(), Rooms: r.Texts(), Handshake: r.Blob(), Data: r.Blob(),
			})
			r.Skip(extra)
		}
	}
	return resp, failed
}
