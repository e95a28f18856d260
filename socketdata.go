package socketeer

import (
	"encoding/json"
	"maps"

	"github.com/socketeer-io/socketeer/adapter"
)

// Set keeps a value with the socket (socket.data in JavaScript). Other nodes
// see it as JSON in [RemoteSocket], so it must not be changed afterwards.
func (s *Socket) Set(key string, value any) {
	s.mu.Lock()
	e := s.more()
	if e.data == nil {
		e.data = make(map[string]any)
	}
	e.data[key] = value
	s.mu.Unlock()
	s.changed()
}

// Value returns what was kept by Set, or nil. After a recovery it is what
// encoding/json makes of the value's JSON: strings, float64, bool, []any,
// map[string]any; [Recall] makes it what it was.
func (s *Socket) Value(key string) any {
	s.mu.Lock()
	var v any
	if s.extra != nil {
		v = s.extra.data[key]
	}
	s.mu.Unlock()
	return decoded(v)
}

// dataJSON returns all values.
func (s *Socket) dataJSON() []byte {
	s.mu.Lock()
	var data map[string]any
	if s.extra != nil {
		data = maps.Clone(s.extra.data)
	}
	s.mu.Unlock()
	if data == nil {
		return []byte("{}")
	}
	var b []byte
	err := s.nsp.srv.protect(func() (err error) { b, err = json.Marshal(data); return err }, "data", s.name, s)
	if err != nil {
		s.nsp.srv.o.logger.Warn("socket data is not JSON", "sid", s.ID(), "nsp", s.nsp.name, "err", err)
		return []byte("{}")
	}
	return b
}

// info describes the socket to other nodes.
func (s *Socket) info() adapter.SocketInfo {
	return adapter.SocketInfo{ID: s.ID(), Rooms: s.Rooms(), Handshake: s.handshakeJSON(), Data: s.dataJSON()}
}
