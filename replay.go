package socketeer

import (
	"bytes"
	"context"
	"runtime"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// maxHeld bounds the bytes that are held for a socket while it recovers. When
// there is more, all of it is read from the log.
const maxHeld = 1 << 20

// held is what was sent to a socket while it recovers. Guarded by Socket.mu.
type held struct {
	list    []heldMessage
	bytes   int
	overrun bool // too much: nothing is held since
}

type heldMessage struct {
	m      *adapter.Message
	msg    *engineio.Message
	offset string
}

// recovering reports whether the socket is in its rooms and not connected yet.
func (s *Socket) recovering() bool { return s.state.Load() == socketRecovering }

// takes reports whether an event is to be sent to the socket, which was not
// connected a moment ago. While it recovers the event is held instead, unless it
// is volatile. The state is looked at once each time: a socket that is admitted
// between two looks, one for each answer, would get the event by neither.
func (s *Socket) takes(m *adapter.Message, msg *engineio.Message, offset string) bool {
	for {
		switch s.state.Load() {
		case socketConnected:
			return true
		case socketAdmitted: // see reachable
			runtime.Gosched()
		case socketRecovering:
			if m.Flags.Volatile || s.hold(m, msg, offset) {
				return false
			} // it has recovered just now
		default:
			return false
		}
	}
}

// hold keeps what is sent to a recovering socket. It reports false when the
// socket recovers no more.
func (s *Socket) hold(m *adapter.Message, msg *engineio.Message, offset string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != socketRecovering {
		return false
	}
	e := s.more()
	if e.held == nil {
		e.held = &held{}
	}
	h := e.held
	if !h.overrun {
		h.overrun = h.bytes+msg.Len() > maxHeld
		h.list, h.bytes = append(h.list, heldMessage{m, msg, offset}), h.bytes+msg.Len()
		if h.overrun {
			h.list, h.bytes = nil, 0
		}
	}
	return true
}

// release returns what is held. When that is nothing, the socket is admitted.
func (s *Socket) release() (list []heldMessage, overrun, admitted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.more().held; h != nil {
		s.extra.held = nil
		return h.list, h.overrun, false
	}
	return nil, false, s.state.CompareAndSwap(socketRecovering, socketAdmitted)
}

// has reports whether the client has what was kept at this offset, because it
// came back with a later one or that has been replayed. As a node sees offsets in
// order, the first that is newer ends the question.
func (s *Socket) has(offset string) bool {
	floor := s.floor.Load()
	if floor == nil {
		return false
	}
	if !s.nsp.log.Newer(offset, *floor) {
		return true
	}
	s.floor.Store(nil)
	return false
}

// resume sends the client what it missed, then what has arrived since, and then
// that it is connected. It reports false when the client has gone.
func (s *Socket) resume(b *comeback) bool {
	n, c := s.nsp, s.client
	x := newSession(s, b.session.PID)
	s.session.Store(x)
	ctx, cancel := n.srv.bounded(context.Background())
	defer cancel()
	_ = x.save(ctx, 1) // before it can be needed; else the keeper tries again, and has counted it
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	c.joined = true
	c.mu.Unlock()
	c.conn.Keep()
	if !s.catchUp(b) {
		return false
	}
	n.srv.keeper.begin(x)
	s.tellConnected(x)
	n.srv.recoveries.recovered.Add(1)
	return true
}

// catchUp sends what was missed until nothing is, and admits the socket. What
// it holds is older than what was read, or follows it without a gap.
func (s *Socket) catchUp(b *comeback) bool {
	floor, missed := b.offset, b.missed
	for {
		for _, m := range missed {
			if !s.replay(m, encodeKept(s.packet(m), m.Offset)) {
				return false
			}
			floor = m.Offset
		}
		has := floor
		s.floor.Store(&has)
		list, overrun, admitted := s.release()
		switch {
		case admitted:
			return true
		case !s.recovering():
			return false
		}
		for _, h := range list {
			if h.offset != "" && !s.nsp.log.Newer(h.offset, floor) {
				continue
			}
			if !s.replay(h.m, h.msg) {
				return false
			}
			if h.offset != "" {
				floor = h.offset
			}
		}
		if missed = nil; overrun {
			var err error
			ctx, cancel := s.nsp.srv.bounded(context.Background())
			missed, err = s.nsp.log.Missed(ctx, b.session, floor)
			cancel()
			if err != nil {
				s.nsp.srv.o.logger.Warn("a client that recovered cannot be given all it missed", "nsp", s.name, "sid", s.ID(), "err", err)
				s.client.conn.Close() // it has a part already; it comes again and gets a new session
				return false
			}
		}
	}
}

func (s *Socket) packet(m *adapter.Message) sio.Packet {
	return sio.Packet{Type: sio.Event, Namespace: s.name, Data: m.Data, Attachments: m.Attachments}
}

// replay sends what the socket missed, as fast as the client takes it.
func (s *Socket) replay(m *adapter.Message, msg *engineio.Message) bool {
	if m.Flags.NoCompress {
		msg.Uncompressed()
	}
	if !s.awaitRoom() || s.client.send(msg, 0) != nil {
		return false
	}
	if s.outgoing.Load() != nil {
		if name, err := (sio.Packet{Data: m.Data}).Event(); err == nil {
			s.sent(name, m.Data)
		}
	}
	s.nsp.srv.recoveries.replayed.Add(1)
	return true
}

// roomInterval is how often is looked whether a slow client has taken something.
const roomInterval = 5 * time.Millisecond

// awaitRoom waits until the client's send buffer is not crowded. It reports
// false when the client has gone.
func (s *Socket) awaitRoom() bool {
	conn := s.client.conn
	if !conn.Crowded() {
		return s.recovering()
	}
	t := time.NewTicker(roomInterval)
	defer t.Stop()
	for conn.Crowded() {
		conn.Flush()
		select {
		case <-t.C:
		case <-s.Context().Done():
			return false
		}
	}
	return s.recovering()
}

// encodeKept makes the message of an event with its offset as last argument.
func encodeKept(p sio.Packet, offset string) *engineio.Message {
	data := bytes.TrimRight(p.Data, " \t\r\n")
	data = data[:len(data)-1]
	b := make([]byte, engineio.Headroom, engineio.Headroom+len(p.Namespace)+len(data)+len(offset)+32)
	b = append(p.AppendHeader(b), data...)
	b = append(append(append(b, `,"`...), offset...), `"]`...)
	return engineio.NewMessage(b, p.Attachments...)
}

// emitInTurn is emit with recovery: the event is a broadcast to the socket's own
// room, so that it is kept.
func (s *Socket) emitInTurn(f engineio.Flags, noCompress bool, event string, args []any) error {
	data, attachments, err := encodeEvent(event, args)
	if err != nil {
		return err
	}
	volatile := f&engineio.Volatile != 0
	if s.state.Load() == socketDisconnected {
		if x := s.session.Load(); volatile || x == nil || !x.mayReturn() {
			return ErrDisconnected
		}
	}
	return s.nsp.emit(&adapter.Message{
		Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{s.ID()}},
		Flags: adapter.Flags{Volatile: volatile, NoCompress: noCompress}, Data: data, Attachments: attachments,
	}, volatile)
}

// awaitTurn waits until what was sent before has been delivered, or ctx ends:
// who joins a room must not get it.
func (s *Socket) awaitTurn(ctx context.Context) {
	out := s.nsp.out
	if out == nil || out.waiting.Load() == 0 {
		return
	}
	s.client.conn.Flush()
	done := make(chan struct{})
	if out.inTurn(0, func() { close(done) }) != nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
