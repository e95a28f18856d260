package socketeer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

const (
	// maxPID and maxOffset bound what a client presents to recover.
	maxPID    = 100
	maxOffset = 1000
	// evictPatience is how long an old socket, or the node that has it, may take
	// to let a session go. Nothing is lost when it does not: it is for the order
	// of saves, and of handlers.
	evictPatience = time.Second
)

// comeback is a session that goes on.
type comeback struct {
	session *adapter.Session
	offset  string             // of the last event that the client has
	missed  []*adapter.Message // since
}

var errGone = errors.New("socketeer: the client has gone")

// claims returns what a client presents to recover. As in JavaScript, it does so
// only with two strings.
func (s *Socket) claims() (pid, offset string, ok bool) {
	if len(s.auth) == 0 {
		return "", "", false
	}
	var said struct {
		PID    any `json:"pid"`
		Offset any `json:"offset"`
	}
	if json.Unmarshal(s.auth, &said) != nil {
		return "", "", false
	}
	pid, ok = said.PID.(string)
	if !ok {
		return "", "", false
	}
	offset, ok = said.Offset.(string)
	return pid, offset, ok
}

// comeBack tries to go on with the session that the client asks for, if it
// does. Without one the socket is a new one; ok is false when it cannot be, and
// another has taken its place.
func (s *Socket) comeBack() (b *comeback, ok bool) {
	pid, offset, ok := s.claims()
	if !ok {
		return nil, true
	}
	b, err := s.restore(pid, offset)
	if err == nil {
		return b, true
	}
	reason := RecoveryInterrupted
	var u *adapter.Unrecoverable
	if errors.As(err, &u) {
		reason = u.Reason
	} else if !errors.Is(err, errGone) {
		reason = RecoveryRooms
	}
	level := slog.LevelInfo
	if reason == adapter.LogFailure || reason == RecoveryRooms {
		level = slog.LevelWarn
	}
	srv := s.client.srv
	srv.recoveries.fail(reason)
	srv.o.logger.Log(context.Background(), level, "a client could not recover", "nsp", s.name, "sid", s.ID(), "reason", reason, "err", err)
	if s.state.Load() == socketConnecting {
		return nil, true
	}
	s.startOver()
	return nil, false
}

// restore takes the session over, in an order that loses nothing: the socket
// enters the rooms, where it holds what arrives, and the cluster knows of it;
// then what was missed is read. An old socket of the client ends meanwhile.
func (s *Socket) restore(pid, offset string) (*comeback, error) {
	n := s.nsp
	if len(pid) > maxPID {
		return nil, &adapter.Unrecoverable{Reason: adapter.NoSession}
	}
	if len(offset) > maxOffset {
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	// Not the socket's context: the session must not get lost on the way. Three
	// times the time of a request: the node that the client was on may have died
	// just now, and is asked about rooms until the cluster knows; and what leads
	// the log may have died with it, which takes up to 10 s to be replaced. It
	// ends before clients lose patience, which is mostly after 20 s.
	ctx, cancel := context.WithTimeout(context.Background(), 3*n.srv.o.requestTimeout)
	defer cancel()
	data, err := n.log.TakeSession(ctx, pid)
	if err != nil {
		return nil, err
	}
	b := &comeback{session: data, offset: offset}
	if data.SID == "" || len(data.SID) > maxPID || len(data.Rooms) > n.srv.o.maxRooms+1 {
		return nil, &adapter.Unrecoverable{Reason: adapter.NoSession}
	}
	s.member.ID = data.SID // nobody else knows the socket yet
	if !s.state.CompareAndSwap(socketConnecting, socketRecovering) {
		s.putBack(b)
		return nil, errGone
	}
	evicted := s.evictOld(ctx, data)
	if err := s.enterRooms(ctx, data.Rooms); err != nil {
		if errors.Is(err, errGone) {
			s.putBack(b)
		}
		return nil, err
	}
	b.missed, err = n.log.Missed(ctx, data, offset)
	<-evicted
	if err != nil {
		var u *adapter.Unrecoverable
		if !errors.As(err, &u) {
			err = &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
		}
		return nil, err
	}
	s.restoreData(data.Data)
	s.recovered.Store(true)
	return b, nil
}

// evictOld ends the socket that had the session, on this node or on another.
// The channel is closed when it is known to have ended, or has not answered.
func (s *Socket) evictOld(ctx context.Context, data *adapter.Session) <-chan struct{} {
	done := make(chan struct{})
	n := s.nsp
	if n.evict(data.SID) || !data.Live {
		close(done)
		return done
	}
	n.srv.pool.spawn(func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(ctx, evictPatience)
		defer cancel()
		err := n.adapter.Request(ctx, &adapter.Message{
			Kind: adapter.Disconnect, Target: adapter.Target{Rooms: []string{data.SID}}, Close: true, Moved: true,
		}, func(adapter.Response) {})
		if err != nil {
			n.srv.o.logger.Info("the node that had a session did not confirm to have let it go", "nsp", n.name, "sid", data.SID, "err", err)
		}
	})
	return done
}

// evict ends the socket with this id because its session goes on elsewhere. It
// reports whether there was one.
func (n *Namespace) evict(id string) bool {
	m, ok := n.hub.Find(id)
	if ok {
		m.Value.evicted()
	}
	return ok
}

// evicted ends the socket, and waits a while for its disconnect handlers: they
// are to be over when the connect handlers of the next socket with this id run.
func (s *Socket) evicted() {
	over := make(chan struct{})
	s.OnDisconnect(func(context.Context, string) { close(over) })
	if x := s.session.Load(); x != nil {
		x.moved()
	}
	wasThere := s.state.Load() > socketRecovering
	s.disconnect(ReasonRecoveredElsewhere, false)
	s.leaveAll()
	s.client.conn.Close()
	if !wasThere {
		return
	}
	patience := time.NewTimer(evictPatience)
	defer patience.Stop()
	select {
	case <-over:
	case <-patience.C:
	}
}

// enterRooms makes a recovering socket a member of its rooms, here and in the
// cluster. Its id is a room like others if it has been given by another node.
func (s *Socket) enterRooms(ctx context.Context, rooms []string) error {
	n := s.nsp
	for !n.hub.Add(&s.member) {
		if !s.recovering() {
			return errGone
		}
		n.evict(s.ID()) // or it is being removed
		runtime.Gosched()
	}
	announce := map[string]bool{}
	for _, room := range rooms {
		if room == s.ID() {
			continue
		}
		fresh, ok := n.hub.Join(&s.member, room)
		if !ok {
			return errGone
		}
		if fresh {
			announce[room] = true
		}
	}
	if !strings.HasPrefix(s.ID(), n.srv.tag) {
		fresh, ok := n.hub.Join(&s.member, s.ID())
		if !ok {
			return errGone
		}
		if fresh {
			announce[s.ID()] = true
		}
	}
	return n.announceAll(ctx, announce)
}

// putBack returns a session that was taken by a client which has gone again.
func (s *Socket) putBack(b *comeback) {
	n := s.nsp
	b.session.Live = false
	ctx, cancel := n.srv.bounded(context.Background())
	defer cancel()
	if err := n.log.SaveSession(ctx, b.session); err != nil {
		n.srv.recoveries.saveErrors.Add(1)
		n.srv.o.logger.Warn("a session could not be put back", "nsp", n.name, "sid", b.session.SID, "err", err)
	}
}

// startOver puts a new socket in the place of one that has begun to recover and
// cannot.
func (s *Socket) startOver() {
	c := s.client
	s.end()
	s.leaveAll()
	s.nsp.exit()
	other := newSocket(c, s.auth, c.srv.newID())
	other.inbox.push(&Message{kind: kindConnectAnew})
	other.inbox.running = true
	if c.replace(s, other) {
		c.srv.pool.run(other)
		c.srv.pool.kick()
	}
}

// failComeBack ends what connect could not finish. err is why the middleware
// refused; nil if the client has gone.
func (s *Socket) failComeBack(b *comeback, err error, rooms []string) {
	reason := RecoveryInterrupted
	switch {
	case err != nil && !errors.Is(err, ErrDisconnected):
		reason = RecoveryRefused
		if x := s.session.Load(); x != nil {
			x.leave(ReasonServerDisconnect, nil)
		}
	case s.session.Load() != nil:
		s.session.Load().leave(ReasonTransportClose, append([]string{s.ID()}, rooms...))
	default:
		s.putBack(b)
	}
	s.client.srv.recoveries.fail(reason)
}
