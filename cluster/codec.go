package cluster

import (
	"errors"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// An announcement is a msgpack array: version, kind, incarnation, name,
// address, state, start (Unix milliseconds), connections, sockets. A receiver
// ignores elements after those, so that later versions may add some.
const (
	frameVersion = 1
	frameFields  = 9
	maxFrame     = 4096 // with room for what later versions add
)

type frameKind uint8

const (
	hello   frameKind = iota + 1 // I am new: answer at once
	beat                         // I am here
	goodbye                      // I am leaving
)

var errFrame = errors.New("socketeer: malformed announcement")

func appendFrame(b []byte, k frameKind, m *Member) []byte {
	b = msgp.AppendArrayHeader(b, frameFields)
	b = msgp.AppendUint8(b, frameVersion)
	b = msgp.AppendUint8(b, uint8(k))
	b = msgp.AppendString(b, m.Incarnation)
	b = msgp.AppendString(b, m.Name)
	b = msgp.AppendString(b, m.Addr)
	b = msgp.AppendUint8(b, uint8(m.State))
	b = msgp.AppendInt64(b, m.Started.UnixMilli())
	b = msgp.AppendInt(b, m.Counts.Connections)
	return msgp.AppendInt(b, m.Counts.Sockets)
}

// frameReader reads fields one after the other; the first error sticks.
type frameReader struct {
	b   []byte
	err error
}

func (r *frameReader) text(limit int) string {
	if r.err != nil {
		return ""
	}
	var s []byte
	if s, r.b, r.err = msgp.ReadStringZC(r.b); r.err == nil && len(s) > limit {
		r.err = errFrame
	}
	return string(s[:min(len(s), limit)])
}

func (r *frameReader) small() (v uint8) {
	if r.err == nil {
		v, r.b, r.err = msgp.ReadUint8Bytes(r.b)
	}
	return v
}

func (r *frameReader) number() (v int64) {
	if r.err == nil {
		v, r.b, r.err = msgp.ReadInt64Bytes(r.b)
	}
	return v
}

func parseFrame(b []byte) (frameKind, Member, error) {
	var m Member
	if len(b) > maxFrame {
		return 0, m, errFrame
	}
	n, rest, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || n < frameFields {
		return 0, m, errFrame
	}
	r := frameReader{b: rest}
	if r.small() != frameVersion {
		return 0, m, errFrame
	}
	k := frameKind(r.small())
	m.Incarnation = r.text(IncarnationLen)
	m.Name = r.text(MaxNameLen)
	m.Addr = r.text(MaxNameLen)
	m.State = State(r.small())
	m.Started = time.UnixMilli(r.number())
	m.Counts.Connections = int(r.number())
	m.Counts.Sockets = int(r.number())
	if r.err != nil || len(m.Incarnation) != IncarnationLen || k < hello || k > goodbye {
		return 0, m, errFrame
	}
	return k, m, nil
}
