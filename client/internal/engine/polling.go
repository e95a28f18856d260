package engine

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/socketeer-io/socketeer/protocol/eio"
)

// maxErrorBody is how much is read of an answer that is not a success.
const maxErrorBody = 4 << 10

// pollTransport receives by GET and sends by POST.
type pollTransport struct {
	opts   Options
	client *http.Client
	url    *url.URL

	// set by the handshake
	maxPayload int64
	timeout    time.Duration // of a POST; a GET is under the connection's watch
}

func newPollTransport(opts Options) *pollTransport {
	rt := &http.Transport{
		DialContext:         opts.NetDial,
		TLSClientConfig:     opts.TLS.Clone(),
		MaxIdleConnsPerHost: 2, // one GET beside one POST
	}
	return &pollTransport{
		opts:   opts,
		client: &http.Client{Transport: rt, Jar: opts.Jar},
		url:    endpoint(opts.URL, Polling, ""),
	}
}

// openPolling makes the handshake by a first poll, whose response may hold more
// than the handshake.
func (c *Conn) openPolling(ctx context.Context) error {
	t := newPollTransport(c.opts)
	opened := false
	err := t.receive(ctx, func(p eio.Packet) error {
		if opened {
			c.early = append(c.early, p)
			return nil
		}
		opened = true
		return c.setHandshake(p)
	})
	if err != nil {
		t.close()
		return err
	}
	t.url = endpoint(c.opts.URL, Polling, c.handshake.SID)
	t.maxPayload = c.handshake.MaxPayload
	t.timeout = c.handshake.PingInterval + c.handshake.PingTimeout
	c.current = t
	return nil
}

// setHandshake takes what the server opens with.
func (c *Conn) setHandshake(p eio.Packet) error {
	if p.Type != eio.Open {
		return fmt.Errorf("socketeer: expected a handshake, got %v", p.Type)
	}
	hs, err := eio.ParseHandshake(p.Data)
	if err != nil {
		return err
	}
	if hs.PingInterval <= 0 || hs.PingTimeout <= 0 {
		return errors.New("socketeer: handshake without ping interval or timeout")
	}
	c.handshake = hs
	return nil
}

func (t *pollTransport) name() string { return Polling }

func (t *pollTransport) receive(ctx context.Context, handle func(eio.Packet) error) error {
	body, err := t.do(ctx, http.MethodGet, nil)
	if err != nil {
		return err
	}
	for p, err := range eio.Packets(body) {
		if err != nil {
			return fmt.Errorf("%w: %w", errParse, err)
		}
		if err := handle(p); err != nil {
			return err
		}
	}
	return nil
}

// send packs ps into as few requests as the server's limit allows. A packet
// over the limit travels alone and is the server's to refuse.
func (t *pollTransport) send(ctx context.Context, ps []eio.Packet) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	for len(ps) > 0 {
		if ps[0].Type == fence { // the answer to the POST before was the server's word
			ps = ps[1:]
			continue
		}
		n := fitting(ps, t.maxPayload)
		if _, err := t.do(ctx, http.MethodPost, eio.AppendPayload(nil, ps[:n]...)); err != nil {
			return err
		}
		ps = ps[n:]
	}
	return nil
}

// fitting returns how many of ps, up to a fence, make a payload of at most limit
// bytes, 0 being no limit: at least one.
func fitting(ps []eio.Packet, limit int64) int {
	size := int64(-1) // one separator fewer than packets
	for i := range ps {
		size += 1 + textSize(ps[i])
		if i > 0 && (limit > 0 && size > limit || ps[i].Type == fence) {
			return i
		}
	}
	return len(ps)
}

// textSize is the length of a packet's text form.
func textSize(p eio.Packet) int64 {
	if p.Binary {
		return 1 + int64(base64.StdEncoding.EncodedLen(len(p.Data)))
	}
	return 1 + int64(len(p.Data))
}

// goodbye is over when the request is: the server has closed the session before
// it answers, and a poll that it may hold has nothing more to bring.
func (t *pollTransport) goodbye(ctx context.Context) (over bool, err error) {
	return true, t.send(ctx, []eio.Packet{{Type: eio.Close}})
}

// close leaves the requests under way to their context.
func (t *pollTransport) close() { t.client.CloseIdleConnections() }

func (t *pollTransport) do(ctx context.Context, method string, body []byte) ([]byte, error) {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, t.url.String(), r)
	if err != nil {
		return nil, fmt.Errorf("socketeer: poll: %w", err)
	}
	for k, v := range t.opts.Header {
		req.Header[k] = v
	}
	req.Host = req.Header.Get("Host")
	if body != nil {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("socketeer: poll: %w", withoutQuery(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		return nil, parseRefusal(resp.StatusCode, b)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, t.opts.ReadLimit+1))
	if err != nil {
		return nil, fmt.Errorf("socketeer: poll: %w", err)
	}
	if int64(len(b)) > t.opts.ReadLimit {
		return nil, fmt.Errorf("socketeer: poll: response over the limit of %d bytes", t.opts.ReadLimit)
	}
	return b, nil
}

// withoutQuery takes the URL out of the error: the session id in its query is a
// secret, and errors end in logs.
func withoutQuery(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// parseRefusal reads Engine.IO's own error from an answer, when it is one.
func parseRefusal(status int, body []byte) *HTTPError {
	e := &HTTPError{Status: status, Code: -1}
	var own struct {
		Code    *int   `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &own) == nil && own.Code != nil {
		e.Code, e.Message = *own.Code, own.Message
	}
	return e
}
