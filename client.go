package socketeer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// client is one connection and the sockets that share it. It implements
// engineio.Session.
type client struct {
	srv  *Server
	conn *engineio.Conn
	dec  sio.Decoder // owned by the connection's reader

	mu     sync.Mutex
	closed bool
	joined bool    // some namespace, once
	first  *Socket // most clients have just one
	more   map[string]*Socket
	left   []departure // the last namespaces that were left
}

// Bounds on one client.
const (
	maxSockets = 1000 // namespaces joined at a time
	maxLeft    = 32   // namespaces remembered as left
)

// departure is a namespace that was left, and what may still come for it: if
// this side left it, whatever was on its way; if the client did, an
// acknowledgement that took its time.
type departure struct {
	namespace string
	byClient  bool
}

var errViolation = errors.New("socketeer: packet is not allowed at this point")

func (s *Server) accept(conn *engineio.Conn) engineio.Session {
	c := &client{srv: s, conn: conn}
	c.dec.MaxAttachments = s.o.maxAttachments
	conn.CloseAfter(s.o.connectTimeout)
	return c
}

func (c *client) send(m *engineio.Message, f engineio.Flags) error {
	err := c.conn.Send(m, f)
	if errors.Is(err, engineio.ErrClosed) {
		return ErrDisconnected
	}
	return err
}

// Message implements engineio.Session.
func (c *client) Message(data []byte, isBinary bool) error {
	p, ok, err := c.decode(data, isBinary)
	if err != nil {
		c.srv.o.logger.Debug("packet cannot be decoded", "sid", c.conn.ID(), "err", err)
		return err
	}
	if !ok {
		return nil
	}
	if p.Type == sio.Connect {
		return c.connect(p)
	}
	s := c.socket(p.Namespace)
	if s == nil {
		if c.hasLeft(p.Namespace, p.Type) {
			return nil
		}
		return fmt.Errorf("%w: type %d for a namespace that was not joined", errViolation, p.Type)
	}
	switch p.Type {
	case sio.Event:
		return s.incoming(p)
	case sio.Ack:
		s.acknowledged(p)
	case sio.Disconnect:
		c.remove(s, true)
		s.disconnect(ReasonClientDisconnect, false)
	default:
		return fmt.Errorf("%w: type %d", errViolation, p.Type)
	}
	return nil
}

// decode copies what it must keep of data.
func (c *client) decode(data []byte, isBinary bool) (sio.Packet, bool, error) {
	wasPending := c.dec.Pending()
	kept := make([]byte, len(data)) // not nil, even if empty
	copy(kept, data)
	var p sio.Packet
	var ok bool
	var err error
	if isBinary {
		p, ok, err = c.dec.Binary(kept)
	} else {
		p, ok, err = c.dec.Text(kept)
	}
	pending := c.dec.Pending()
	if pending && int64(c.dec.PendingBytes()) > c.srv.maxPayload() {
		return p, false, errors.New("socketeer: packet with its attachments is too large")
	}
	switch {
	case pending && !wasPending: // a packet may not stay incomplete for ever
		c.conn.CloseAfter(c.srv.o.connectTimeout)
	case !pending && wasPending && c.hasJoined():
		c.conn.Keep()
	}
	return p, ok, err
}

// connect begins to join a namespace. The rest is done by a worker.
func (c *client) connect(p sio.Packet) error {
	name := p.Namespace
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	if c.find(name) != nil {
		return fmt.Errorf("%w: second CONNECT to a namespace", errViolation)
	}
	if len(c.more) >= maxSockets {
		return errors.New("socketeer: client joins too many namespaces")
	}
	// The socket holds the place while nobody knows yet whether there is such
	// a namespace.
	s := newSocket(c, p.Data, c.srv.newID())
	c.keep(name, s)
	s.inbox.push(&Message{kind: kindConnect})
	s.inbox.running = true
	c.srv.pool.run(s)
	return nil
}

func (c *client) find(name string) *Socket {
	if c.first != nil && c.first.name == name {
		return c.first
	}
	return c.more[name]
}

func (c *client) keep(name string, s *Socket) {
	s.name = name
	c.left = slices.DeleteFunc(c.left, func(d departure) bool { return d.namespace == name })
	if c.first == nil {
		c.first = s
		return
	}
	if c.more == nil {
		c.more = make(map[string]*Socket)
	}
	c.more[name] = s
}

// replace puts another socket in the place of s, and reports false if the client
// has gone.
func (c *client) replace(s, other *Socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return false
	case c.first == s:
		c.first = other
	case c.more[s.name] == s:
		c.more[s.name] = other
	default:
		return false
	}
	other.name = s.name
	return true
}

// socket returns the one in this namespace, whether connected or not yet.
func (c *client) socket(name string) *Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(name)
	if s == nil || s.state.Load() <= socketRecovering {
		return nil
	}
	return s
}

// hasLeft reports whether a packet is for a namespace that was left while it
// was on its way.
func (c *client) hasLeft(name string, t sio.Type) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.left, departure{name, false}) || t == sio.Ack && slices.Contains(c.left, departure{name, true})
}

func (c *client) hasJoined() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joined
}

// remove forgets a socket.
func (c *client) remove(s *Socket, byClient bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.first == s:
		c.first = nil
	case c.more[s.name] == s:
		delete(c.more, s.name)
	default:
		return
	}
	if len(c.left) == maxLeft {
		c.left = slices.Delete(c.left, 0, 1)
	}
	c.left = append(c.left, departure{s.name, byClient})
}

// sockets returns all.
func (c *client) sockets() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.socketsLocked()
}

func (c *client) socketsLocked() []*Socket {
	list := make([]*Socket, 0, 1+len(c.more))
	if c.first != nil {
		list = append(list, c.first)
	}
	for _, s := range c.more {
		list = append(list, s)
	}
	return list
}

// disconnectAll tells the client that it is out of all namespaces, and closes
// the connection.
func (c *client) disconnectAll() {
	for _, s := range c.sockets() {
		s.disconnect(ReasonServerDisconnect, true)
	}
	c.conn.Close()
}

// Close implements engineio.Session.
func (c *client) Close(reason engineio.Reason, _ error) {
	c.mu.Lock()
	c.closed = true
	sockets := c.socketsLocked()
	c.mu.Unlock()
	for _, s := range sockets {
		s.disconnect(string(reason), false)
	}
}

// connectError refuses a CONNECT.
func (c *client) connectError(name string, e any) {
	data, err := json.Marshal(e)
	if err != nil { // our own types
		data = []byte(`{"message":"internal error"}`)
	}
	// When it fails, the client is gone.
	_ = c.conn.Send(encode(sio.Packet{Type: sio.ConnectError, Namespace: name, Data: data}), 0)
}
