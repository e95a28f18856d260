package nodewire

import (
	"iter"
	"math"
	"time"
)

// The Socket.IO packet types that a broadcast may have.
const (
	packetEvent       = 2
	packetBinaryEvent = 5
)

// maxTimeout is the longest that a timer of Node.js runs.
const maxTimeout = math.MaxInt32 * time.Millisecond

// classic walks the members of a request or response of the classic adapter:
// it reads those that both have, uid, requestId and the number of the type,
// and yields the names of the others, whose values are still to be read.
func (r *reader) classic(m *Message, number *int) iter.Seq[[]byte] {
	return func(yield func(name []byte) bool) {
		w, ok := r.enter(true)
		if !ok {
			r.fail(ErrMalformed)
		}
		for r.next(&w) {
			switch name := r.key(); string(name) {
			case "uid":
				m.UID = r.text()
			case "requestId":
				m.RequestID = r.text()
			case "type":
				*number = r.count(math.MaxUint8)
			default:
				if !yield(name) {
					return
				}
			}
		}
	}
}

// packet reads {type, data, nsp}.
func (r *reader) packet(m *Message) {
	w, ok := r.enter(true)
	if !ok {
		r.fail(malformed("no packet"))
		return
	}
	for r.next(&w) {
		switch string(r.key()) {
		case "type":
			if t := r.count(math.MaxUint8); r.err == nil && t != packetEvent && t != packetBinaryEvent {
				r.fail(malformed("a packet that is not an event"))
			}
		case "data":
			m.Attachments = nil
			m.Data = r.value(&m.Attachments)
		case "nsp":
			if nsp := r.text(); m.NSP == "" {
				m.NSP = nsp
			}
		default:
			r.skip()
		}
	}
}

// options reads {rooms, except, flags} and reports whether there are any.
func (r *reader) options(m *Message) bool {
	w, ok := r.enter(true)
	for r.next(&w) {
		switch string(r.key()) {
		case "rooms":
			m.Target.Rooms = r.names()
		case "except":
			m.Target.Except = r.names()
		case "flags":
			r.flags(m)
		default:
			r.skip()
		}
	}
	return ok
}

func (r *reader) flags(m *Message) {
	w, _ := r.enter(true)
	for r.next(&w) {
		switch string(r.key()) {
		case "volatile":
			m.Flags.Volatile = r.truth()
		case "compress":
			s := r.scalar()
			m.Flags.NoCompress = s.kind == kindBool && !s.truth
		case "timeout":
			m.Flags.Timeout = milliseconds(r.scalar())
		default:
			r.skip()
		}
	}
}

// milliseconds reads a timeout; what is none is 0.
func milliseconds(s scalar) time.Duration {
	switch ms := float64(time.Millisecond); {
	case s.kind != kindFloat64 || !(s.number > 0):
		return 0
	case s.number >= float64(maxTimeout/time.Millisecond):
		return maxTimeout
	default:
		return time.Duration(s.number * ms)
	}
}

// reply is where the arguments of an acknowledgement stand: the first, and for
// Go nodes an array of those after it. Nil is absent.
type reply struct{ first, more []byte }

// into makes them the message's data.
func (p reply) into(r *reader, m *Message) {
	m.Data, m.Attachments = []byte("[]"), nil
	if p.first == nil || r.err != nil {
		return
	}
	out := append(make([]byte, 0, len(p.first)+len(p.more)+8), '[')
	sub := reader{b: p.first, json: r.json}
	out = sub.appendValue(out, &m.Attachments)
	if err := sub.end(); err != nil {
		r.fail(err)
		return
	}
	if p.more != nil {
		sub = reader{b: p.more, json: r.json}
		w, _ := sub.enter(false)
		for sub.next(&w) {
			out = sub.appendValue(append(out, ','), &m.Attachments)
		}
		if err := sub.end(); err != nil {
			r.fail(err)
			return
		}
	}
	out = append(out, ']')
	m.Data = out
}

// arguments is the array of a reply, split.
type arguments struct {
	first []byte // nil if there is none
	more  []byte // the elements after it, without brackets
}

// split splits a message's data.
func (w *writer) split(m *Message) (a arguments) {
	if len(m.Data) == 0 {
		return a
	}
	b := repaired(m.Data)
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '[' {
		w.fail(ErrMalformed)
		return a
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return a
	}
	end, err := skipJSON(b, i)
	if err != nil {
		w.fail(err)
		return a
	}
	a.first = b[i:end]
	i = skipSpace(b, end)
	if i >= len(b) || b[i] != ',' && b[i] != ']' {
		w.fail(ErrMalformed)
		return arguments{}
	}
	if b[i] == ',' {
		a.more = b[i+1:]
	}
	return a
}

func (a arguments) members() int { return one(a.first != nil) + one(a.more != nil) }

// reply appends the first argument under name, and further ones for Go nodes.
func (w *writer) reply(name string, a arguments, attachments [][]byte) {
	if a.first == nil {
		return
	}
	w.key(name)
	w.value(a.first, attachments)
	if a.more == nil {
		return
	}
	w.key("more")
	// What is after the first comma of an array becomes an array with a bracket.
	w.value(append([]byte{'['}, a.more...), attachments)
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// done returns what was written, or with an error what had been there.
func (w *writer) done(dst []byte) ([]byte, error) {
	if w.err != nil {
		return dst, w.err
	}
	return w.b, nil
}
