package nodewire

import (
	"fmt"
	"math"
)

// AppendClassicResponse appends a response of the classic adapter: a
// BroadcastAck and whatever has attachments in msgpack, others in JSON. A
// ServerSideEmitResponse whose Data is empty (and not []) answers a join,
// leave or disconnect. It fails if Data is no JSON, as far as it has to look
// at it, or the type is no response.
func AppendClassicResponse(dst []byte, m *Message) ([]byte, error) {
	w := writer{b: dst, json: m.Type != BroadcastAck && len(m.Attachments) == 0}
	members := one(m.UID != "") + one(m.RequestID != "")
	begin := func(number int64, more int) {
		w.object(members + one(number >= 0) + more)
		if number >= 0 {
			w.key("type")
			w.number(number)
		}
		w.member("requestId", m.RequestID)
	}
	const untyped = -1
	switch m.Type {
	case ListSocketsResponse:
		begin(untyped, 1)
		w.key("sockets")
		w.names(m.Rooms)
	case ListRoomsResponse:
		begin(untyped, 1)
		w.key("rooms")
		w.names(m.Rooms)
	case FetchSocketsResponse:
		begin(untyped, 1)
		w.key("sockets")
		w.sockets(m.Sockets)
	case ServerSideEmitResponse:
		if len(m.Data) == 0 {
			begin(untyped, 0)
			break
		}
		a := w.split(m)
		begin(classicServerSideEmit, a.members())
		w.reply("data", a, m.Attachments)
	case BroadcastClientCount:
		begin(classicClientCount, 1)
		w.key("clientCount")
		w.number(int64(m.ClientCount))
	case BroadcastAck:
		a := w.split(m)
		begin(classicAck, a.members()+one(m.SID != ""))
		w.reply("packet", a, m.Attachments)
		w.member("sid", m.SID)
	case Done:
		begin(int64(Done), 0)
	default:
		return dst, fmt.Errorf("socketeer: %s is no response of the classic adapter", m.Type)
	}
	w.member("uid", m.UID)
	w.end('}')
	return w.done(dst)
}

// DecodeClassicResponse decodes what AppendClassicResponse makes, and what
// adapters in Node.js do. A response does not always tell what it is: without
// sockets it is a FetchSocketsResponse even if ids were asked for, and with
// nothing at all a ServerSideEmitResponse with Data [].
func DecodeClassicResponse(b []byte) (*Message, error) {
	r := newReader(b)
	m := &Message{}
	number := -1
	var p reply
	var ids []string
	sockets, rooms, counted := false, false, false
	for name := range r.classic(m, &number) {
		switch string(name) {
		case "sockets":
			if m.Sockets, ids, sockets = r.socketsOrIDs(); !sockets {
				r.fail(errNoAnswer)
			}
		case "rooms":
			m.Rooms = r.names()
			rooms = true
		case "data", "packet":
			p.first = r.raw()
		case "more":
			p.more = r.raw()
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
	case number == classicClientCount:
		m.Type = BroadcastClientCount
		if !counted {
			r.fail(errNoAnswer)
		}
	case number == classicAck:
		m.Type = BroadcastAck
		p.into(&r, m)
	case number == int(Done):
		m.Type = Done
	case number >= 0 && number != classicServerSideEmit:
		r.fail(malformed("a response of an unknown type"))
	case sockets && len(ids) > 0:
		m.Type, m.Rooms = ListSocketsResponse, ids
	case sockets:
		m.Type = FetchSocketsResponse
	case rooms:
		m.Type = ListRoomsResponse
	default:
		m.Type = ServerSideEmitResponse
		p.into(&r, m)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if err := m.check(true); err != nil {
		return nil, err
	}
	return m, nil
}
