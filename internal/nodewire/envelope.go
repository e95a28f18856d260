package nodewire

import (
	"bytes"
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"
)

// AppendEnvelope appends a message as the sharded adapter sends it: {type,
// data, uid, nsp} in JSON, or in msgpack if it has attachments. It fails if
// Data is no JSON, as far as it has to look at it, or the type has no envelope.
func AppendEnvelope(dst []byte, m *Message) ([]byte, error) {
	return appendEnvelope(dst, m, len(m.Attachments) == 0)
}

// AppendMsgpackEnvelope appends a message as the streams adapter publishes it:
// always msgpack. Errors are those of AppendEnvelope.
func AppendMsgpackEnvelope(dst []byte, m *Message) ([]byte, error) {
	return appendEnvelope(dst, m, false)
}

func appendEnvelope(dst []byte, m *Message, json bool) ([]byte, error) {
	if err := enveloped(m.Type); err != nil {
		return dst, err
	}
	w := writer{b: dst, json: json}
	data := hasData(m.Type)
	w.object(2 + one(data) + one(m.UID != ""))
	w.key("type")
	w.number(int64(m.Type))
	if data {
		w.key("data")
		w.body(m, false)
	}
	w.member("uid", m.UID)
	w.key("nsp")
	w.text(m.NSP)
	w.end('}')
	return w.done(dst)
}

// enveloped finds types that only the classic adapter has.
func enveloped(t Type) error {
	if t == 0 || t >= ListSockets {
		return fmt.Errorf("socketeer: a message of %s has no envelope", t)
	}
	return nil
}

func hasData(t Type) bool {
	switch t {
	case InitialHeartbeat, Heartbeat, AdapterClose, Gap:
		return false
	}
	return true
}

// body appends what is the envelope's data. Emitters of streams put the
// namespace into the packet too.
func (w *writer) body(m *Message, nsp bool) {
	request := one(m.RequestID != "")
	switch m.Type {
	case Broadcast:
		w.object(2 + request)
		w.key("packet")
		w.packet(m, nsp)
		w.member("requestId", m.RequestID)
		w.key("opts")
		w.options(m, true)
	case SocketsJoin, SocketsLeave:
		w.object(2 + request)
		w.key("opts")
		w.options(m, true)
		w.key("rooms")
		w.names(m.Rooms)
		w.member("requestId", m.RequestID)
	case DisconnectSockets:
		w.object(2 + request + one(m.Moved))
		w.key("opts")
		w.options(m, true)
		w.key("close")
		w.truth(m.Close)
		if m.Moved {
			w.key("moved")
			w.truth(true)
		}
		w.member("requestId", m.RequestID)
	case FetchSockets:
		w.object(1 + request)
		w.key("opts")
		w.options(m, true)
		w.member("requestId", m.RequestID)
	case ServerSideEmit:
		w.object(1 + request)
		w.member("requestId", m.RequestID)
		w.key("packet")
		w.value(m.Data, m.Attachments)
	default:
		w.response(m, request)
	}
	w.end('}')
}

// response begins the object of a response and appends its members.
func (w *writer) response(m *Message, request int) {
	switch m.Type {
	case FetchSocketsResponse:
		w.object(1 + request)
		w.member("requestId", m.RequestID)
		w.key("sockets")
		w.sockets(m.Sockets)
	case BroadcastClientCount:
		w.object(1 + request)
		w.member("requestId", m.RequestID)
		w.key("clientCount")
		w.number(int64(m.ClientCount))
	case ServerSideEmitResponse, BroadcastAck:
		a := w.split(m)
		w.object(request + a.members() + one(m.SID != ""))
		w.member("requestId", m.RequestID)
		w.reply("packet", a, m.Attachments)
		w.member("sid", m.SID)
	default:
		w.object(request)
		w.member("requestId", m.RequestID)
	}
}

// DecodeEnvelope decodes what AppendEnvelope and AppendMsgpackEnvelope make,
// and what the adapters in Node.js do. A type that is not known is no error.
func DecodeEnvelope(b []byte) (*Message, error) {
	r := newReader(b)
	m := &Message{}
	body := -1 // where data stands, if it came before type
	opts := false
	w, ok := r.enter(true)
	if !ok {
		r.fail(ErrMalformed)
	}
	for r.next(&w) {
		switch string(r.key()) {
		case "type":
			m.Type = Type(r.count(math.MaxUint8)) //nolint:gosec // bounded
		case "data":
			if m.Type == 0 {
				body = r.i
				r.skip()
				continue
			}
			opts = r.body(m)
		case "uid":
			m.UID = r.text()
		case "nsp":
			m.NSP = r.text()
		default:
			r.skip()
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if body >= 0 {
		r.i = body
		if opts = r.body(m); r.err != nil {
			return nil, r.err
		}
	}
	if err := m.check(opts); err != nil {
		return nil, err
	}
	return m, nil
}

// body reads an envelope's data, once the type is known, and reports whether
// it has options.
func (r *reader) body(m *Message) (opts bool) {
	var p reply
	sockets, counted := false, false
	w, _ := r.enter(true)
	for r.next(&w) {
		switch string(r.key()) {
		case "packet":
			switch m.Type {
			case Broadcast:
				r.packet(m)
			case ServerSideEmit:
				m.Attachments = nil
				m.Data = r.value(&m.Attachments)
			default:
				p.first = r.raw()
			}
		case "more":
			p.more = r.raw()
		case "opts":
			opts = r.options(m)
		case "requestId":
			m.RequestID = r.text()
		case "rooms":
			m.Rooms = r.names()
		case "close":
			m.Close = r.truth()
		case "moved":
			m.Moved = r.truth()
		case "sockets":
			m.Sockets, sockets = r.sockets()
		case "clientCount":
			m.ClientCount = r.count(math.MaxInt32)
			counted = true
		case "sid":
			m.SID = r.text()
		default:
			r.skip()
		}
	}
	switch {
	case m.Type == ServerSideEmitResponse || m.Type == BroadcastAck:
		p.into(r, m)
	case m.Type == FetchSocketsResponse && !sockets, m.Type == BroadcastClientCount && !counted:
		r.fail(errNoAnswer)
	}
	return opts
}

// SentBy reports, quickly, whether an envelope ends as one that the adapter
// uid of nsp made: so its sender, who receives it too, need not decode it.
func SentBy(b []byte, uid, nsp string) bool {
	var space [128]byte
	tail := space[:0]
	if len(b) > 0 && b[0] == '{' {
		tail = append(tail, `,"uid":`...)
		tail = appendQuoted(tail, uid)
		tail = append(tail, `,"nsp":`...)
		tail = appendQuoted(tail, nsp)
		tail = append(tail, '}')
	} else {
		tail = msgp.AppendString(msgp.AppendString(tail, "uid"), uid)
		tail = msgp.AppendString(msgp.AppendString(tail, "nsp"), nsp)
	}
	return bytes.HasSuffix(b, tail)
}
