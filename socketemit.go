package socketeer

import (
	"context"
	"fmt"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Emit sends an event to this client. It never waits. An error says that an
// argument cannot be encoded, or that the socket is disconnected
// (ErrDisconnected).
func (s *Socket) Emit(event string, args ...any) error { return s.emit(0, false, event, args) }

func (s *Socket) emit(f engineio.Flags, noCompress bool, event string, args []any) error {
	if s.nsp.out != nil && s.state.Load() != socketConnecting {
		return s.emitInTurn(f, noCompress, event, args)
	}
	p := sio.Packet{Type: sio.Event, Namespace: s.nsp.name}
	m, err := encodeEventArgs(&p, event, args)
	if err != nil {
		return err
	}
	if s.state.Load() == socketDisconnected {
		return ErrDisconnected
	}
	if noCompress {
		m.Uncompressed()
	}
	s.sent(event, p.Data)
	return s.client.send(m, f)
}

// sent tells the catch-all listeners.
func (s *Socket) sent(event string, data []byte) {
	if fs := s.outgoing.Load(); fs != nil {
		for _, f := range *fs {
			_ = s.nsp.srv.protect(func() error { (*f)(event, data); return nil }, "outgoing", event, s) // logged
		}
	}
}

// EmitWithAck sends an event and waits for the client's acknowledgement, until
// ctx ends (its cause) or the socket disconnects (ErrDisconnected). There is no
// other bound: with a ctx without a deadline it waits for as long as a client
// that does not acknowledge is connected.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (*Reply, error) {
	id := s.nsp.acks.Add(1) - 1
	p := sio.Packet{Type: sio.Event, Namespace: s.nsp.name, ID: id, HasID: true}
	m, err := encodeEventArgs(&p, event, args)
	if err != nil {
		return nil, err
	}
	replies := make(chan *Reply, 1)
	if !s.expect(id, func(r *Reply) { replies <- r }) {
		return nil, ErrDisconnected
	}
	err = s.nsp.inTurn(m.Len(), func() {
		s.sent(event, p.Data)
		// When it fails, the socket's end is the answer.
		_ = s.client.send(m, 0)
		s.client.conn.Flush() // we may be in a handler of this very client
	})
	if err != nil {
		s.unexpect(id)
		return nil, err
	}
	select {
	case r := <-replies:
		if r == nil {
			return nil, ErrDisconnected
		}
		return r, nil
	case <-ctx.Done():
		s.unexpect(id)
		if s.state.Load() == socketDisconnected { // ctx may be the socket's
			return nil, ErrDisconnected
		}
		return nil, fmt.Errorf("socketeer: no acknowledgement: %w", context.Cause(ctx))
	}
}

// expect has f called once: with the acknowledgement, or with nil when the
// socket disconnects. It reports false when it has.
func (s *Socket) expect(id uint64, f func(*Reply)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == socketDisconnected {
		return false
	}
	e := s.more()
	if e.acks == nil {
		e.acks = make(map[uint64]func(*Reply))
	}
	e.acks[id] = f
	s.makeSpace() // see crowded
	return true
}

// unexpect takes expect back, and returns its function unless it was called.
func (s *Socket) unexpect(id uint64) func(*Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return nil
	}
	f := s.extra.acks[id]
	delete(s.extra.acks, id)
	return f
}

// acknowledged handles an acknowledgement of the client.
func (s *Socket) acknowledged(p sio.Packet) {
	if f := s.unexpect(p.ID); f != nil {
		f(&Reply{SID: s.ID(), data: p.Data, attachments: p.Attachments})
	}
}

// Volatile returns a way to send events that are dropped when the client's
// connection is not writable.
func (s *Socket) Volatile() Direct { return Direct{s: s, flags: engineio.Volatile} }

// Compress returns a way to send events that may or may not be compressed.
func (s *Socket) Compress(compress bool) Direct { return Direct{s: s, noCompress: !compress} }

// Direct sends events to one socket with flags.
type Direct struct {
	s          *Socket
	flags      engineio.Flags
	noCompress bool
}

// Volatile adds the flag of [Socket.Volatile].
func (d Direct) Volatile() Direct { d.flags |= engineio.Volatile; return d }

// Compress adds the flag of [Socket.Compress].
func (d Direct) Compress(compress bool) Direct { d.noCompress = !compress; return d }

// Emit sends an event, like [Socket.Emit].
func (d Direct) Emit(event string, args ...any) error {
	return d.s.emit(d.flags, d.noCompress, event, args)
}
