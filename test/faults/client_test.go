package faults_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/client"
)

// listener is a client that notes what it gets, and whose connection can be cut
// and led elsewhere.
type listener struct {
	*receiver
	socket *client.Socket

	link
	connected chan entry // each time that it is connected
	entered   chan entry // each time that it is in its rooms: recovered, or told so
}

// entry is a connection of a listener.
type entry struct {
	recovered bool
	id        string
	at        time.Time
}

// link is a client's way to a server.
type link struct {
	mu   sync.Mutex
	addr string // "" is nowhere
	conn net.Conn
}

var errNowhere = errors.New("there is no way to a server")

func (l *link) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	l.mu.Lock()
	addr := l.addr
	l.mu.Unlock()
	if addr == "" {
		return nil, errNowhere
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addr != addr {
		return nil, errors.Join(errNowhere, conn.Close())
	}
	l.conn = conn
	return conn, nil
}

// then has the client's next connection go to a server.
func (l *link) then(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addr = addr
}

// to leads the client to a server, and cuts its connection if it has one
// elsewhere.
func (l *link) to(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && l.addr != addr {
		_ = l.conn.Close() // the fault
		l.conn = nil
	}
	l.addr = addr
}

// listen connects a client. What it gets are events "n" with the sender, the
// room and the number; "entered" says that it is in its rooms.
func listen(t testing.TB, name, addr string) *listener {
	t.Helper()
	l := &listener{receiver: newReceiver(name), connected: make(chan entry, 100), entered: make(chan entry, 100)}
	l.to(addr)
	c, err := client.New("http://node.test", client.WithTransports(client.WebSocket), client.WithDialer(l.dial),
		client.WithReconnectDelay(20*time.Millisecond, 200*time.Millisecond, 0.5))
	must(t, err)
	t.Cleanup(func() { c.Close() })
	l.socket = c.Of("/")
	l.socket.On("n", func(_ context.Context, m *client.Message) error {
		var where lane
		var number int
		if err := m.Decode(&where.sender, &where.room, &number); err != nil {
			t.Errorf("%s: %v", name, err)
			return err
		}
		l.take(where, number)
		return nil
	})
	l.socket.On("entered", func(context.Context, *client.Message) error {
		l.entered <- entry{false, l.socket.ID(), time.Now()}
		return nil
	})
	l.socket.On("msg", func(_ context.Context, m *client.Message) error { // the bench application's
		var said saying
		if err := m.Decode(&said); err != nil {
			t.Errorf("%s: %v", name, err)
			return err
		}
		l.take(said.lane(), said.Number)
		return nil
	})
	l.socket.OnConnect(func(context.Context) {
		e := entry{l.socket.Recovered(), l.socket.ID(), time.Now()}
		l.connected <- e
		if e.recovered {
			l.entered <- e
		}
	})
	must(t, l.socket.Connect(patient(t)))
	return l
}

// saying is what clients of the bench application say.
type saying struct {
	Sender, Room string
	Number       int
}

func (s saying) lane() lane { return lane{s.Sender, s.Room} }

// enters waits until the client is in its rooms.
func (l *listener) enters(t testing.TB) entry {
	t.Helper()
	select {
	case e := <-l.entered:
		return e
	case <-time.After(patience):
		t.Fatalf("%s does not enter", l.name)
		return entry{}
	}
}
