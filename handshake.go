package socketeer

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Handshake is how a client introduced itself.
type Handshake struct {
	Header  http.Header     // of the first HTTP request, Host included
	Query   url.Values      // of it, with EIO and transport
	URL     string          // of it: path and query
	Address string          // IP of the peer; behind a proxy see X-Forwarded-For
	Time    time.Time       // when it came
	Secure  bool            // it came over TLS
	XDomain bool            // it had an Origin
	Auth    json.RawMessage // what came with the CONNECT, a JSON object; {} if nothing
}

// Handshake returns how the client introduced itself. It is put together at
// each call.
func (s *Socket) Handshake() Handshake {
	r := s.client.conn.Request()
	h := Handshake{
		Header: r.Header(), Query: r.Query(), URL: r.URI, Address: r.Remote,
		Time: r.Time, Secure: r.TLS, Auth: s.auth,
	}
	if host, _, err := net.SplitHostPort(r.Remote); err == nil {
		h.Address = host
	}
	h.XDomain = h.Header.Get("Origin") != ""
	if h.Auth == nil {
		h.Auth = json.RawMessage("{}")
	}
	return h
}

// handshakeJSON is the handshake as JavaScript servers describe it.
func (s *Socket) handshakeJSON() []byte {
	h := s.Handshake()
	headers := make(map[string]string, len(h.Header))
	for name, values := range h.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	query := make(map[string]any, len(h.Query))
	for name, values := range h.Query {
		if len(values) == 1 {
			query[name] = values[0]
		} else {
			query[name] = values
		}
	}
	b, err := json.Marshal(struct {
		Headers map[string]string `json:"headers"`
		Time    string            `json:"time"`
		Address string            `json:"address"`
		XDomain bool              `json:"xdomain"`
		Secure  bool              `json:"secure"`
		Issued  int64             `json:"issued"`
		URL     string            `json:"url"`
		Query   map[string]any    `json:"query"`
		Auth    json.RawMessage   `json:"auth"`
	}{headers, jsTime(h.Time), h.Address, h.XDomain, h.Secure, h.Time.UnixMilli(), h.URL, query, h.Auth})
	if err != nil { // strings, and JSON that was decoded before
		return []byte("{}")
	}
	return b
}

// jsTime is a time as JavaScript's Date prints it.
func jsTime(t time.Time) string {
	return t.UTC().Format("Mon Jan 02 2006 15:04:05 GMT+0000 (Coordinated Universal Time)")
}
