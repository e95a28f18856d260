package socketeer

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/engineio"
)

// session is what is kept of a socket, so that its client can come back. It is
// saved when the socket connects and whenever its rooms or values change, and
// again from time to time: so it is there even if this node is not.
type session struct {
	socket *Socket // immutable, as is pid
	pid    string

	version atomic.Uint64 // of what there is to save
	away    atomic.Int64  // Unix ns until which the client may come back; 0 while it is here

	mu    sync.Mutex // held while the session is saved; guards the rest
	saved uint64     // version that is
	state sessionState
	rooms []string // that an absent client was in

	// guarded by the keeper
	queued     bool
	savedAt    time.Time
	prev, next *session
}

type sessionState uint8

const (
	sessionLive   sessionState = iota
	sessionAway                // the client may come back
	sessionToDrop              // it may not, and what is saved is to be forgotten
	sessionOver                // dropped, or goes on elsewhere: nothing is saved any more
)

func newSession(s *Socket, pid string) *session {
	x := &session{socket: s, pid: pid}
	x.version.Store(1)
	return x
}

// recoverable reports whether a client that was cut off for this reason may
// come back.
func recoverable(reason string) bool {
	switch engineio.Reason(reason) {
	case engineio.TransportClose, engineio.TransportError, engineio.PingTimeout,
		engineio.ForcedClose, engineio.SlowConsumer, engineio.ServerShutdown:
		return true
	}
	return false
}

// changed notes that there is something to save, soon.
func (s *Socket) changed() {
	if x := s.session.Load(); x != nil {
		x.version.Add(1)
		s.nsp.srv.keeper.add(x)
	}
}

// saveSession notes that there is something to save, and returns when it has
// been saved. When that fails, it is tried again later, and counted.
func (s *Socket) saveSession(ctx context.Context) {
	x := s.session.Load()
	if x == nil {
		return
	}
	version := x.version.Add(1)
	ctx, cancel := s.nsp.srv.within(ctx, 0)
	defer cancel()
	if err := x.save(ctx, version); err != nil {
		s.nsp.srv.keeper.add(x)
	}
}

// save saves at least this version, and drops what is to be dropped. A save
// that is under way is waited for.
func (x *session) save(ctx context.Context, version uint64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.saved >= version || x.state == sessionOver {
		return nil
	}
	n, counts := x.socket.nsp, &x.socket.nsp.srv.recoveries
	if x.state == sessionToDrop {
		err := n.log.DropSession(ctx, x.pid)
		if err != nil {
			counts.saveErrors.Add(1)
			return err
		}
		x.state = sessionOver
		return nil
	}
	version = x.version.Load()
	data := &adapter.Session{SID: x.socket.ID(), PID: x.pid, Data: x.socket.sessionData(), Live: x.state == sessionLive}
	if data.Live {
		data.Rooms = x.socket.Rooms()
		if !x.socket.Connected() && !x.socket.recovering() {
			return nil // the rooms may be on their way out: what is final comes
		}
	} else {
		data.Rooms = x.rooms
	}
	if err := n.log.SaveSession(ctx, data); err != nil {
		counts.saveErrors.Add(1)
		return err
	}
	x.saved = version
	return nil
}

// leave ends the session's life on this node, for this reason. The caller goes
// on when what was being saved has been.
func (x *session) leave(reason string, rooms []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state != sessionLive {
		return
	}
	srv := x.socket.nsp.srv
	x.version.Add(1)
	if recoverable(reason) {
		x.state, x.rooms = sessionAway, rooms
		x.mayComeBack()
	} else {
		x.state = sessionToDrop
	}
	srv.keeper.left(x)
}

// moved ends the session here because it goes on elsewhere.
func (x *session) moved() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.state = sessionOver
	x.mayComeBack()
	x.socket.nsp.srv.keeper.forget(x)
}

// mayComeBack notes that the client is away, unless it is known.
func (x *session) mayComeBack() {
	x.away.CompareAndSwap(0, time.Now().Add(x.socket.nsp.srv.o.recovery.MaxDisconnection).UnixNano())
}

// saveSessions notes that there is something to save of each of the sockets, and
// returns when it has been saved.
func (n *Namespace) saveSessions(ctx context.Context, sockets []*Socket) {
	if n.log == nil {
		return
	}
	var list []*session
	for _, s := range sockets {
		if x := s.session.Load(); x != nil {
			x.version.Add(1)
			list = append(list, x)
		}
	}
	n.srv.keeper.saveAll(ctx, list)
}

// mayReturn reports whether the client of a disconnected socket may come back,
// or has.
func (x *session) mayReturn() bool {
	until := x.away.Load()
	return until > 0 && time.Now().UnixNano() < until
}

// dataUser is the key under which the session's data has the socket's user.
const dataUser = "socketeer:user"

// sessionData is what is saved of the socket's values.
func (s *Socket) sessionData() []byte {
	user := s.User()
	if user == "" {
		return s.dataJSON()
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(s.dataJSON(), &all); err != nil { // our own
		return []byte("{}")
	}
	name, err := json.Marshal(user)
	if err != nil { // a string
		return []byte("{}")
	}
	all[dataUser] = name
	b, err := json.Marshal(all)
	if err != nil { // as above
		return []byte("{}")
	}
	return b
}

// restoreData sets the socket's values and user from a session.
func (s *Socket) restoreData(data []byte) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil && len(data) > 0 {
		s.nsp.srv.o.logger.Warn("data of a session is not a JSON object", "sid", s.ID(), "nsp", s.name, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.more()
	if user := all[dataUser]; user != nil {
		_ = json.Unmarshal(user, &e.user) // else nobody
		delete(all, dataUser)
	}
	e.data = make(map[string]any, len(all))
	for key, value := range all {
		e.data[key] = restored(value)
	}
}

// restored is a value that came back with a session, as JSON.
type restored json.RawMessage

// MarshalJSON returns the value as it came.
func (r restored) MarshalJSON() ([]byte, error) { return r, nil }

// decoded returns v, or what its JSON holds.
func decoded(v any) any {
	raw, ok := v.(restored)
	if !ok {
		return v
	}
	var x any
	_ = json.Unmarshal(raw, &x) // it was decoded before
	return x
}

// Recall returns what was kept with a socket by [Socket.Set], as a T. A value
// of a session that was recovered is JSON, and is decoded into a T here; so use
// it instead of [Socket.Value] for types of your own. It reports false when
// there is none, or it is no T.
func Recall[T any](s *Socket, key string) (T, bool) {
	s.mu.Lock()
	var v any
	if s.extra != nil {
		v = s.extra.data[key]
	}
	s.mu.Unlock()
	if raw, ok := v.(restored); ok {
		var x T
		if err := json.Unmarshal(raw, &x); err != nil {
			return x, false
		}
		return x, true
	}
	x, ok := v.(T)
	return x, ok
}
