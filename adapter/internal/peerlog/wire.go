package peerlog

import (
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/internal/msgread"
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
	maxElements = msgread.MaxElements
	// maxAge bounds ages.
	maxAge = 24 * time.Hour
)

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

// reader reads frames.
type reader struct{ msgread.Reader }

// head reads the header of a frame or record and its type.
func (r *reader) head() (kind uint64, fields int) {
	n := r.Array()
	if r.Err == nil && n == 0 {
		r.Fail()
	}
	return r.Uint64(), n - 1
}

// want fails if there are less than known elements, and returns how many there
// are beyond those.
func (r *reader) want(fields, known int) (extra int) {
	if fields < known {
		r.Fail()
	}
	return max(0, fields-known)
}

// duration reads milliseconds.
func (r *reader) duration() time.Duration {
	return time.Duration(min(max(r.Int64(), 0), maxAge.Milliseconds())) * time.Millisecond
}

// moment reads an age.
func (r *reader) moment() time.Time { return time.Now().Add(-r.duration()) }

// records calls each for every record, with the one of the two that it is; with
// none if its kind is unknown.
func (r *reader) records(each func(m *message, s *saved)) {
	for range r.Array() {
		kind, fields := r.head()
		var m *message
		var s *saved
		switch kind {
		case recordMessage:
			fields = r.want(fields, 7)
			m = &message{entry: &entry{nsp: r.Text()}}
			m.sender = r.Text()
			m.entry.pos, m.entry.stamp, m.entry.at = r.Uint64(), r.Int64(), r.moment()
			m.lost, m.entry.body = r.Uint64(), r.Blob()
			if m.entry.pos == 0 || len(m.sender) < tagLen {
				r.Fail()
			}
		case recordSession:
			fields = r.want(fields, 6)
			s = &saved{key: r.Text(), version: r.Uint64(), owner: r.Text(), at: r.moment(), life: r.duration(), record: r.Blob()}
		}
		r.Skip(fields)
		if r.Err != nil {
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
