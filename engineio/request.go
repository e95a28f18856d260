package engineio

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Request is what is kept of a connection's first HTTP request: little, for
// it is kept for every connection.
type Request struct {
	URI    string    // as requested: path and query
	Remote string    // address of the peer, host:port
	Time   time.Time // when it came
	TLS    bool

	host   string
	header string // lines of "Name: value\n"
}

func newRequest(r *http.Request) Request {
	var b strings.Builder
	for name, values := range r.Header {
		for _, v := range values {
			b.WriteString(name)
			b.WriteString(": ")
			b.WriteString(v)
			b.WriteByte('\n')
		}
	}
	return Request{
		URI:    strings.Clone(r.RequestURI),
		Remote: r.RemoteAddr,
		Time:   time.Now().Round(0), // wall clock only
		TLS:    r.TLS != nil,
		host:   strings.Clone(r.Host),
		header: b.String(),
	}
}

// Header returns the request's header, Host included, in a new map.
func (r *Request) Header() http.Header {
	h := http.Header{"Host": {r.host}}
	for line := range strings.Lines(r.header) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		h[name] = append(h[name], value)
	}
	return h
}

// Query returns the request's query parameters.
func (r *Request) Query() url.Values {
	_, query, _ := strings.Cut(r.URI, "?")
	v, _ := url.ParseQuery(query) // what is valid of it
	return v
}
