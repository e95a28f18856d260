package nodewire

import "fmt"

// The types of the classic adapter's requests and responses.
const (
	classicSockets = iota
	classicAllRooms
	classicJoin
	classicLeave
	classicDisconnect
	classicFetch
	classicServerSideEmit
	classicBroadcast
	classicClientCount
	classicAck
)

// AppendClassicRequest appends a request of the classic adapter: a Broadcast
// that wants acknowledgements and whatever has attachments in msgpack, others
// in JSON. It fails if Data is no JSON, as far as it has to look at it, or the
// type is no request.
func AppendClassicRequest(dst []byte, m *Message) ([]byte, error) {
	number, ok := classicRequest(m.Type)
	if !ok {
		return dst, fmt.Errorf("socketeer: %s is no request of the classic adapter", m.Type)
	}
	w := writer{b: dst, json: m.Type != Broadcast && len(m.Attachments) == 0}
	members := one(m.UID != "") + one(m.RequestID != "") + 1
	begin := func(more int) {
		w.object(members + more)
		w.member("uid", m.UID)
		w.member("requestId", m.RequestID)
		w.key("type")
		w.number(number)
	}
	switch m.Type {
	case ListRooms:
		begin(0)
	case ListSockets:
		begin(1)
		w.key("rooms")
		w.names(m.Target.Rooms)
	case SocketsJoin, SocketsLeave:
		begin(2)
		w.key("opts")
		w.options(m, false)
		w.key("rooms")
		w.names(m.Rooms)
	case DisconnectSockets:
		begin(2)
		w.key("opts")
		w.options(m, false)
		w.key("close")
		w.truth(m.Close)
	case FetchSockets:
		begin(1)
		w.key("opts")
		w.options(m, false)
	case ServerSideEmit:
		begin(1)
		w.key("data")
		w.value(m.Data, m.Attachments)
	default:
		begin(2)
		w.key("packet")
		w.packet(m, true)
		w.key("opts")
		w.options(m, true)
	}
	w.end('}')
	return w.done(dst)
}

func classicRequest(t Type) (number int64, ok bool) {
	switch t {
	case ListSockets:
		return classicSockets, true
	case ListRooms:
		return classicAllRooms, true
	case SocketsJoin:
		return classicJoin, true
	case SocketsLeave:
		return classicLeave, true
	case DisconnectSockets:
		return classicDisconnect, true
	case FetchSockets:
		return classicFetch, true
	case ServerSideEmit:
		return classicServerSideEmit, true
	case Broadcast:
		return classicBroadcast, true
	}
	return 0, false
}

func requestType(number int) (Type, bool) {
	types := [...]Type{
		classicSockets: ListSockets, classicAllRooms: ListRooms,
		classicJoin: SocketsJoin, classicLeave: SocketsLeave, classicDisconnect: DisconnectSockets,
		classicFetch: FetchSockets, classicServerSideEmit: ServerSideEmit, classicBroadcast: Broadcast,
	}
	if number < 0 || number >= len(types) {
		return 0, false
	}
	return types[number], true
}

// DecodeClassicRequest decodes what AppendClassicRequest makes, and what
// adapters, old ones too, and emitters in Node.js do. NSP is set only by
// a Broadcast; else the channel tells it.
func DecodeClassicRequest(b []byte) (*Message, error) {
	r := newReader(b)
	m := &Message{}
	number, opts := -1, false
	var sid, room string
	var rooms []string
	for name := range r.classic(m, &number) {
		switch string(name) {
		case "opts":
			opts = r.options(m)
		case "rooms":
			rooms = r.names()
		case "close":
			m.Close = r.truth()
		case "data":
			m.Attachments = nil
			m.Data = r.value(&m.Attachments)
		case "packet":
			r.packet(m)
		case "sid":
			sid = r.text()
		case "room":
			room = r.text()
		default:
			r.skip()
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	var ok bool
	if m.Type, ok = requestType(number); !ok {
		return nil, malformed("a request of an unknown type")
	}
	switch m.Type {
	case ListSockets:
		m.Target.Rooms = rooms
	case SocketsJoin, SocketsLeave, DisconnectSockets:
		m.Rooms = rooms
		if !opts && sid != "" {
			m.Legacy, opts = true, true
			m.Target.Rooms = []string{sid}
			m.Rooms = nil
			if room != "" {
				m.Rooms = []string{room}
			}
		}
	case Broadcast:
		if m.NSP == "" {
			m.NSP = "/"
		}
		if m.RequestID == "" {
			return nil, malformed("no request id")
		}
	}
	if err := m.check(opts); err != nil {
		return nil, err
	}
	return m, nil
}
