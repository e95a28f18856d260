package peerlog

import (
	"errors"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// Frames are msgpack arrays that begin with their type. A receiver ignores
// elements after the ones it knows, so that later versions may add some.
const (
	typeBatch  = iota + 1 // epoch, number of the first record, in sync, records
	typeAck               // epoch, number of the last record, whether some were missing before the batch
	typeAsk               // id, namespace
	typeAnswer            // id, senders that this node is an in-sync replica of, [sender, first, last] of each log
	typeRead              // id, namespace, sender, from, to
	typeChunk             // id, records
	typeFind              // id, keys
	typeFound             // id, [version, whether it is gone] for each key, 0 when there is none
	typeClaim             // id, [key, version]...
	typeGrant             // id, a record for each claim, nil when not granted
	typeGone              // records of sessions that are gone
)

// Records are arrays that begin with their kind.
const (
	recordMessage = iota + 1 // namespace, sender, position, stamp, age in ms, lost, body
	recordSession            // key, version, owner, age in ms, life in ms, record or nil
)

const (
	// maxElements bounds every list of a frame.
	maxElements = 1 << 16
	// maxAge bounds ages.
	maxAge = 24 * time.Hour
)

var errFrame = errors.New("socketeer: malformed log frame")

func appendHead(b []byte, fields int, kind uint64) []byte {
	return msgp.AppendUint64(msgp.AppendArrayHeader(b, uint32(fields+1)), kind)
}

func age(at time.Time) int64 { return max(0, time.Since(at).Milliseconds()) }

func (e *entry) appendTo(b []byte) []byte {
	b = appendHead(b, 7, recordMessage)
	b = msgp.AppendString(b, e.nsp)
	b = msgp.AppendString(b, e.log.sender)
	b = msgp.AppendUint64(b, e.pos)
	b = msgp.AppendInt64(b, e.stamp)
	b = msgp.AppendInt64(b, age(e.at))
	lost := e.log.lost
	if lost >= e.pos || time.Since(e.log.lostAt) > maxAge {
		lost = 0
	}
	b = msgp.AppendUint64(b, lost)
	return msgp.AppendBytes(b, e.body)
}

func (s *saved) appendTo(b []byte) []byte {
	b = appendHead(b, 6, recordSession)
	b = msgp.AppendString(b, s.key)
	b = msgp.AppendUint64(b, s.version)
	b = msgp.AppendString(b, s.owner)
	b = msgp.AppendInt64(b, age(s.at))
	b = msgp.AppendInt64(b, s.life.Milliseconds())
	if s.record == nil {
		return msgp.AppendNil(b)
	}
	return msgp.AppendBytes(b, s.record)
}

// record is what travels on a link.
type record interface {
	appendTo(b []byte) []byte
	size() int
}

// message is an entry as it came, before it is in a log.
type message struct {
	sender string
	lost   uint64 // senderLog.lost of who sent it
	entry  *entry
}

// reader reads the elements of a frame. The first error sticks and every later
// read returns zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() { r.b, r.err = nil, errFrame }

// array reads an array header. Every element takes at least a byte, so a
// claimed length beyond the rest of the frame is refused before anything is
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

// head reads the header of a frame or record and its type.
func (r *reader) head() (kind uint64, fields int) {
	n := r.array()
	if r.err == nil && n == 0 {
		r.fail()
	}
	return r.uint64(), n - 1
}

// want fails if there are less than known elements, and returns how many there
// are beyond those.
func (r *reader) want(fields, known int) (extra int) {
	if fields < known {
		r.fail()
	}
	return max(0, fields-known)
}

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

func (r *reader) bool() (v bool) {
	if r.err == nil {
		if v, r.b, r.err = msgp.ReadBoolBytes(r.b); r.err != nil {
			r.fail()
		}
	}
	return v
}

func (r *reader) text() string {
	if r.err != nil {
		return ""
	}
	var v []byte
	if v, r.b, r.err = msgp.ReadStringZC(r.b); r.err != nil {
		r.fail()
		return ""
	}
	return string(v)
}

// blob returns bytes aliasing the frame; nil when there is nil, or nothing.
func (r *reader) blob() (v []byte) {
	if r.err != nil {
		return nil
	}
	if msgp.IsNil(r.b) {
		r.b, r.err = msgp.ReadNilBytes(r.b)
		return nil
	}
	if v, r.b, r.err = msgp.ReadBytesZC(r.b); r.err != nil {
		r.fail()
		return nil
	}
	return v[:len(v):len(v)]
}

func (r *reader) texts() []string {
	n := r.array()
	list := make([]string, 0, n)
	for range n {
		list = append(list, r.text())
	}
	return list
}

// duration reads milliseconds.
func (r *reader) duration() time.Duration {
	return time.Duration(min(max(r.int64(), 0), maxAge.Milliseconds())) * time.Millisecond
}

// moment reads an age.
func (r *reader) moment() time.Time { return time.Now().Add(-r.duration()) }

// records calls each for every record, with the one of the two that it is; with
// none if its kind is unknown.
func (r *reader) records(each func(m *message, s *saved)) {
	for range r.array() {
		kind, fields := r.head()
		var m *message
		var s *saved
		switch kind {
		case recordMessage:
			fields = r.want(fields, 7)
			m = &message{entry: &entry{nsp: r.text()}}
			m.sender = r.text()
			m.entry.pos, m.entry.stamp, m.entry.at = r.uint64(), r.int64(), r.moment()
			m.lost, m.entry.body = r.uint64(), r.blob()
			if m.entry.pos == 0 || len(m.sender) < tagLen {
				r.fail()
			}
		case recordSession:
			fields = r.want(fields, 6)
			s = &saved{key: r.text(), version: r.uint64(), owner: r.text(), at: r.moment(), life: r.duration(), record: r.blob()}
		}
		r.skip(fields)
		if r.err != nil {
			return
		}
		each(m, s)
	}
}

// appendRecord appends a session's content: [socket id, rooms, data, live].
func appendRecord(b []byte, sid string, rooms []string, data []byte, live bool) []byte {
	b = msgp.AppendArrayHeader(b, 4)
	b = msgp.AppendString(b, sid)
	b = msgp.AppendArrayHeader(b, uint32(len(rooms)))
	for _, room := range rooms {
		b = msgp.AppendString(b, room)
	}
	b = msgp.AppendBytes(b, data)
	return msgp.AppendBool(b, live)
}
