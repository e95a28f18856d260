package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/client/internal/engine"
	"github.com/socketeer-io/socketeer/protocol/eio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Stats are counts since the client was made.
type Stats struct {
	Received      uint64 // events
	Emitted       uint64 // events that were queued for a connection
	Volatile      uint64 // volatile events dropped
	Refused       uint64 // events refused with ErrBufferFull or ErrTooLarge
	HandlerErrors uint64
	Panics        uint64 // of handlers
	Reconnects    uint64
}

type counts struct {
	received, emitted, volatile, refused, handlerErrors, panics, reconnects atomic.Uint64
}

// Stats returns the client's counts, over all namespaces.
func (c *Client) Stats() Stats {
	n := &c.counts
	return Stats{
		Received:      n.received.Load(),
		Emitted:       n.emitted.Load(),
		Volatile:      n.volatile.Load(),
		Refused:       n.refused.Load(),
		HandlerErrors: n.handlerErrors.Load(),
		Panics:        n.panics.Load(),
		Reconnects:    n.reconnects.Load(),
	}
}

// call is a wait for an acknowledgement.
type call struct {
	result chan callResult // holds one, sent once
}

type callResult struct {
	packet sio.Packet
	err    error
}

func (w *call) fail(err error) { w.settle(callResult{err: err}) }

func (w *call) settle(r callResult) {
	select {
	case w.result <- r:
	default:
	}
}

// Emit sends an event. Arguments are anything that becomes JSON; []byte, at any
// depth, travels as binary. Delivery is at most once and in order.
//
// While the socket is connected, Emit waits for room in the send buffer. While
// it is not, events are kept for the next connect, in the order of Emit, and
// ErrBufferFull refuses what does not fit (see [WithSendBuffer]). ErrTooLarge,
// ErrReserved, ErrClosed and errors of the encoding say what they mean.
func (s *Socket) Emit(event string, args ...any) error {
	p, err := s.event(event, args)
	if err != nil {
		return err
	}
	return s.send(s.c.ctx, p, nil)
}

// EmitWithAck sends an event and waits for the server to acknowledge it, or for
// the context: give it a deadline, for a server may never answer. When the
// socket is disconnected after the event has left, nobody knows whether it
// arrived: that is ErrDisconnected. An event that the context overtakes before it
// has left is not sent.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (*Reply, error) {
	p, err := s.event(event, args)
	if err != nil {
		return nil, err
	}
	p.ID, p.HasID = s.nextID.Add(1)-1, true
	w := &call{result: make(chan callResult, 1)}

	s.c.awaited.Add(1)
	defer s.c.awaited.Add(-1)
	s.c.stir() // the reader may be waiting for room in an inbox: see inbox.push
	if err := s.send(ctx, p, w); err != nil {
		return nil, err
	}
	select {
	case r := <-w.result:
		if r.err != nil {
			return nil, r.err
		}
		return &Reply{event: event, data: r.packet.Data, attachments: r.packet.Attachments}, nil
	case <-ctx.Done():
		s.forget(p.ID, w)
		return nil, fmt.Errorf("socketeer: acknowledgement of %q: %w", event, context.Cause(ctx))
	}
}

// Volatile returns a way to emit events that may be lost: they are dropped when
// they cannot leave at once.
func (s *Socket) Volatile() Volatile { return Volatile{s} }

// Volatile emits what may be lost; see [Socket.Volatile].
type Volatile struct{ s *Socket }

// Emit is [Socket.Emit] that drops the event, without an error, when the socket
// is not connected or other events are still on their way out.
func (v Volatile) Emit(event string, args ...any) error {
	p, err := v.s.event(event, args)
	if err != nil {
		return err
	}
	c := v.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if !v.s.connected || !c.conn.Writable() {
		c.counts.volatile.Add(1)
		return nil
	}
	ps := encode(p)
	if !c.conn.Fits(ps) {
		c.counts.refused.Add(1)
		return ErrTooLarge
	}
	if c.conn.Send(ps...) != nil {
		c.counts.volatile.Add(1)
		return nil
	}
	c.counts.emitted.Add(1)
	return nil
}

func (s *Socket) event(event string, args []any) (sio.Packet, error) {
	if sio.Reserved(event) {
		return sio.Packet{}, fmt.Errorf("%w: %q", ErrReserved, event)
	}
	all := make([]any, 0, 1+len(args))
	data, attachments, err := sio.Encode(append(append(all, event), args...)...)
	if err != nil {
		return sio.Packet{}, err
	}
	return sio.Packet{Type: sio.Event, Namespace: s.namespace, Data: data, Attachments: attachments}, nil
}

// send queues a packet for the connection, waiting for room, or keeps it for
// the next one.
func (s *Socket) send(ctx context.Context, p sio.Packet, w *call) error {
	ps := encode(p)
	for {
		conn, err := s.trySend(ps, p.ID, w)
		if err == nil {
			return nil
		}
		if !errors.Is(err, engine.ErrFull) {
			return err
		}
		if err := conn.Wait(ctx); err != nil {
			return fmt.Errorf("socketeer: emit: %w", err)
		}
	}
}

// trySend returns engine.ErrFull, and the connection to wait for, when there is
// one without room.
func (s *Socket) trySend(ps []eio.Packet, id uint64, w *call) (*engine.Conn, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if s.connected {
		if !c.conn.Fits(ps) {
			c.counts.refused.Add(1)
			return nil, ErrTooLarge
		}
		err := c.conn.Send(ps...)
		if err == nil {
			c.counts.emitted.Add(1)
			if w != nil {
				s.acks[id] = w
			}
			return nil, nil
		}
		if errors.Is(err, engine.ErrFull) {
			return c.conn, err
		}
		// The connection has just ended; the next one will take it.
	}
	if s.bufBytes >= c.cfg.sendBuffer {
		c.counts.refused.Add(1)
		return nil, ErrBufferFull
	}
	s.buffer = append(s.buffer, buffered{packets: ps, id: id, call: w})
	s.bufBytes += cost(ps)
	return nil, nil
}

func cost(ps []eio.Packet) int {
	n := 0
	for i := range ps {
		n += messageCost + len(ps[i].Data)
	}
	return n
}

// flushLocked sends what was kept while there was no connection.
func (s *Socket) flushLocked(conn *engine.Conn) {
	for i, b := range s.buffer {
		err := ErrTooLarge
		if conn.Fits(b.packets) {
			err = conn.Push(b.packets...)
		}
		switch {
		case err == nil:
			s.c.counts.emitted.Add(1)
			if b.call != nil {
				s.acks[b.id] = b.call
			}
		case errors.Is(err, ErrTooLarge):
			s.c.counts.refused.Add(1)
			s.c.cfg.logger.Warn("socketeer: event dropped", "nsp", s.namespace, "err", err)
			if b.call != nil {
				b.call.fail(err)
			}
		default: // the connection has just ended
			s.buffer = slices.Clone(s.buffer[i:])
			s.recountLocked()
			return
		}
	}
	s.buffer, s.bufBytes = nil, 0
}

func (s *Socket) recountLocked() {
	s.bufBytes = 0
	for _, b := range s.buffer {
		s.bufBytes += cost(b.packets)
	}
}

// forget ends a wait: the event is not sent if it has not been.
func (s *Socket) forget(id uint64, w *call) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.acks[id] == w {
		delete(s.acks, id)
	}
	s.buffer = slices.DeleteFunc(s.buffer, func(b buffered) bool { return b.call == w })
	s.recountLocked()
}

// sendAck sends the acknowledgement of an event, if the connection is still the
// one on which it came.
func (s *Socket) sendAck(m *Message, p sio.Packet) error {
	ps := encode(p)
	c := s.c
	for {
		c.mu.Lock()
		if !s.connected || s.session != m.session {
			c.mu.Unlock()
			return ErrDisconnected
		}
		conn := c.conn
		err := ErrTooLarge
		if conn.Fits(ps) {
			err = conn.Send(ps...)
		}
		c.mu.Unlock()
		switch {
		case errors.Is(err, engine.ErrFull):
			if err := conn.Wait(c.ctx); err != nil {
				return err
			}
		case errors.Is(err, ErrTooLarge), err == nil:
			return err
		default:
			return ErrDisconnected
		}
	}
}
