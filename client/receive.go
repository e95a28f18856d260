package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/socketeer-io/socketeer/client/internal/engine"
	"github.com/socketeer-io/socketeer/protocol/eio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

var (
	errOldServer = errors.New("socketeer: the server speaks an older Socket.IO protocol")
	errHeld      = errors.New("socketeer: too many events before the namespace was confirmed")
)

// onPacket handles what the connection brings. The goroutine of run calls it.
func (c *Client) onPacket(ep eio.Packet) error {
	var p sio.Packet
	var ok bool
	var err error
	if ep.Binary {
		if ep.Data == nil {
			ep.Data = []byte{} // no bytes are not no value
		}
		p, ok, err = c.decoder.Binary(ep.Data)
	} else {
		p, ok, err = c.decoder.Text(ep.Data)
	}
	if err != nil || !ok {
		return err
	}
	if p.Type == sio.Event {
		return c.onEvent(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sockets[p.Namespace]
	if s == nil || !s.active {
		return nil
	}
	switch p.Type {
	case sio.Connect:
		s.onConnectLocked(p)
	case sio.ConnectError:
		s.refusedLocked(parseRefusal(p.Data))
	case sio.Disconnect:
		s.asked = false
		s.deactivateLocked(ErrDisconnected)
		s.downLocked(ReasonServerDisconnect)
		c.restLocked()
	case sio.Ack:
		if w, ok := s.acks[p.ID]; ok {
			delete(s.acks, p.ID)
			w.settle(callResult{packet: p})
		}
	}
	return nil
}

func (c *Client) onEvent(p sio.Packet) error {
	name, err := p.Event()
	if err != nil {
		return err
	}
	c.mu.Lock()
	s := c.sockets[p.Namespace]
	if s == nil || !s.active {
		c.mu.Unlock()
		return nil
	}
	conn := c.conn
	m := &Message{socket: s, session: s.session, event: name, data: p.Data, attachments: p.Attachments, id: p.ID}
	if p.HasID {
		m.ack.Store(ackWanted)
	}
	if !s.connected {
		// From a middleware, or missed before a recovery: the confirmation
		// follows. Nothing else makes room here, so waiting would not help.
		defer c.mu.Unlock()
		if s.heldBytes >= s.inbox.limit*stretch {
			return errHeld
		}
		s.held = append(s.held, m)
		s.heldBytes += messageCost + m.size()
		return nil
	}
	s.noteOffsetLocked(m)
	c.mu.Unlock()
	c.counts.received.Add(1)
	s.inbox.push(conn.Context(), m, c.room, func() bool { return c.awaited.Load() > 0 })
	return nil
}

// noteOffsetLocked remembers where to go on after a reconnect: with the last
// argument, when it is a string, of any event that is recorded, which those
// that want an answer are not.
func (s *Socket) noteOffsetLocked(m *Message) {
	if s.pid == "" || m.ack.Load() != ackNone {
		return
	}
	args, _ := sio.Args(m.data) // the decoder has checked it
	var offset string
	if n := len(args); n > 1 && args[n-1][0] == '"' && json.Unmarshal(args[n-1], &offset) == nil {
		s.offset = offset
	}
}

// onConnectLocked takes the server's confirmation.
func (s *Socket) onConnectLocked(p sio.Packet) {
	var said struct {
		SID string `json:"sid"`
		PID string `json:"pid"`
	}
	if p.Data == nil || json.Unmarshal(p.Data, &said) != nil || said.SID == "" {
		s.refusedLocked(errOldServer)
		return
	}
	if s.connected {
		// The answer to a second request, after a Disconnect and a Connect in
		// close succession: the first socket is gone.
		s.id, s.pid = said.SID, said.PID
		return
	}
	s.recovered = said.PID != "" && said.PID == s.pid
	if !s.recovered {
		s.offset = ""
	}
	s.id, s.pid = said.SID, said.PID
	s.connected, s.everUp = true, true
	s.session++
	s.try.resolve(nil)
	s.inbox.tell(func(ctx context.Context) {
		s.hmu.RLock()
		fs := s.onUp
		s.hmu.RUnlock()
		for _, f := range fs {
			s.guard("connect", func() { f(ctx) })
		}
	})
	for _, m := range s.held {
		m.session = s.session
		s.noteOffsetLocked(m)
		s.c.counts.received.Add(1)
		s.inbox.put(item{message: m}, 0)
	}
	s.held, s.heldBytes = nil, 0
	s.flushLocked(s.c.conn)
}

// refusedLocked ends the attempt to join for good.
func (s *Socket) refusedLocked(err error) {
	s.asked = false
	s.deactivateLocked(err)
	s.downLocked(ReasonServerDisconnect)
	s.tellError(err)
	s.c.restLocked()
}

// joinLocked asks the server for the namespace.
func (s *Socket) joinLocked(conn *engine.Conn) {
	s.joining++
	if s.cfg.authFunc == nil {
		s.askLocked(conn, s.cfg.auth)
		return
	}
	nth := s.joining
	s.c.handlers.Go(func() { s.authenticate(conn, nth) })
}

// authenticate calls the auth function, until it succeeds when the socket has
// been connected before, and asks the server.
func (s *Socket) authenticate(conn *engine.Conn, nth uint64) {
	ctx, cancel := context.WithCancel(conn.Context())
	defer cancel()
	defer context.AfterFunc(s.c.ctx, cancel)()
	for n := 1; ; n++ {
		var auth any
		err := errHandlerPanic
		s.guard("auth", func() { auth, err = s.cfg.authFunc(ctx) })
		if s.authenticated(conn, nth, auth, err) {
			return
		}
		timer := time.NewTimer(backoff(n, s.c.cfg.delay, s.c.cfg.maxDelay, s.c.cfg.jitter))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// authenticated goes on with what the auth function returned; false means that
// it is to be called again.
func (s *Socket) authenticated(conn *engine.Conn, nth uint64, auth any, err error) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.joining != nth || s.c.conn != conn:
		return true
	case err == nil:
		s.askLocked(conn, auth)
		return true
	case !s.everUp:
		s.refusedLocked(fmt.Errorf("socketeer: auth: %w", err))
		return true
	}
	s.tellError(fmt.Errorf("socketeer: auth: %w", err))
	return false
}

func (s *Socket) askLocked(conn *engine.Conn, auth any) {
	data, err := connectData(auth, s.pid, s.offset)
	if err != nil {
		s.refusedLocked(err)
		return
	}
	s.asked = true
	// A connection that has just ended is followed by another, with its own
	// attempt to join.
	_ = conn.Push(encode(sio.Packet{Type: sio.Connect, Namespace: s.namespace, Data: data})...)
}

// connectData is what a CONNECT packet carries: the auth object, after what
// asks for the recovery of a session. What auth says under these names wins.
func connectData(auth any, pid, offset string) ([]byte, error) {
	var data []byte
	if auth != nil {
		var err error
		if data, err = json.Marshal(auth); err != nil {
			return nil, fmt.Errorf("socketeer: auth: %w", err)
		}
	}
	if string(data) == "null" {
		data = nil
	}
	if data != nil && data[0] != '{' {
		return nil, errors.New("socketeer: auth is not a JSON object")
	}
	if pid == "" {
		return data, nil
	}
	session := struct {
		PID    string `json:"pid"`
		Offset string `json:"offset,omitempty"`
	}{pid, offset}
	head, err := json.Marshal(session)
	if err != nil || len(data) <= len("{}") {
		return head, err
	}
	return append(append(bytes.TrimSuffix(head, []byte("}")), ','), data[1:]...), nil
}
