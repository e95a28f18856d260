package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/internal/wsconn"
	"github.com/socketeer-io/socketeer/protocol/eio"
)

const (
	writeChunk   = 64 << 10 // bytes gathered before a write
	fenceTimeout = time.Second
)

// wsTransport carries one packet in each WebSocket message.
type wsTransport struct {
	ws   *wsconn.Client
	text []byte // scratch, owned by the sender
}

// openWebSocket makes the handshake on a new WebSocket.
func (c *Conn) openWebSocket(ctx context.Context) error {
	t, err := c.dialWebSocket(ctx, "")
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, t.close)
	err = t.receive(ctx, c.setHandshake)
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		t.close()
		return err
	}
	c.current = t
	return nil
}

func (c *Conn) dialWebSocket(ctx context.Context, sid string) (*wsTransport, error) {
	u := endpoint(c.opts.URL, WebSocket, sid)
	header := withCookies(c.opts.Header, c.opts.Jar, u)
	u.Scheme = "ws" + strings.TrimPrefix(u.Scheme, "http")
	ws, err := wsconn.Dial(ctx, u.String(), wsconn.DialOptions{
		Header:     header,
		TLS:        c.opts.TLS,
		NetDial:    c.opts.NetDial,
		MaxMessage: c.opts.ReadLimit,
	})
	var refused *wsconn.HandshakeError
	if errors.As(err, &refused) {
		return nil, parseRefusal(refused.Status, refused.Body)
	}
	if err != nil {
		return nil, err
	}
	return &wsTransport{ws: ws}, nil
}

// withCookies adds to the headers what an http.Client would add by itself.
func withCookies(h http.Header, jar http.CookieJar, u *url.URL) http.Header {
	if jar == nil {
		return h
	}
	cookies := jar.Cookies(u)
	if len(cookies) == 0 {
		return h
	}
	r := http.Request{Header: h.Clone()}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return r.Header
}

func (t *wsTransport) name() string { return WebSocket }

func (t *wsTransport) receive(_ context.Context, handle func(eio.Packet) error) error {
	data, binary, err := t.ws.ReadMessage()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", errBye, err)
	case err != nil:
		return err
	case binary:
		return handle(eio.Packet{Type: eio.Message, Data: data, Binary: true})
	}
	p, err := eio.DecodeText(data)
	if err != nil {
		return fmt.Errorf("%w: %w", errParse, err)
	}
	return handle(p)
}

func (t *wsTransport) send(ctx context.Context, ps []eio.Packet) error {
	gathered := 0
	for i := range ps {
		if gathered > writeChunk {
			if err := t.ws.Flush(); err != nil {
				return err
			}
			gathered = 0
		}
		gathered += len(ps[i].Data)
		switch {
		case ps[i].Type == fence:
			t.wait(ctx)
		case ps[i].Binary:
			t.ws.Append(ps[i].Data, true)
		default:
			t.text = eio.AppendText(t.text[:0], ps[i])
			t.ws.Append(t.text, false)
		}
	}
	if cap(t.text) > writeChunk {
		t.text = nil
	}
	return t.ws.Flush()
}

// wait returns when the server has handled what was sent, or has had its time: a
// fence is a service to what was sent before, no reason not to go on.
func (t *wsTransport) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	_ = t.ws.Ping(ctx)
}

// goodbye is over when the server closes in turn, which the reader sees. Cutting
// before could lose what is still on its way.
func (t *wsTransport) goodbye(context.Context) (over bool, err error) {
	const normalClosure = 1000
	return false, t.ws.WriteClose(normalClosure, "")
}

func (t *wsTransport) close() { _ = t.ws.Close() }
