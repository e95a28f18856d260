package cluster

import (
	"errors"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/internal/msgread"
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

func parseFrame(b []byte) (frameKind, Member, error) {
	var m Member
	if len(b) > maxFrame {
		return 0, m, errFrame
	}
	r := msgread.Reader{Rest: b}
	r.Record(frameFields) // what a later version adds is behind all that is read
	if r.Uint8() != frameVersion {
		return 0, m, errFrame
	}
	k := frameKind(r.Uint8())
	m.Incarnation, m.Name, m.Addr = r.Text(), r.Text(), r.Text()
	m.State = State(r.Uint8())
	m.Started = time.UnixMilli(r.Int64())
	m.Counts.Connections = int(r.Int64())
	m.Counts.Sockets = int(r.Int64())
	if r.Err != nil || len(m.Incarnation) != IncarnationLen || len(m.Name) > MaxNameLen || len(m.Addr) > MaxNameLen || k < hello || k > goodbye {
		return 0, m, errFrame
	}
	return k, m, nil
}
