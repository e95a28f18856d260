package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

var (
	errNotHTTP  = errors.New("socketeer: server's answer is no HTTP/1.1 response")
	errNoLength = errors.New("socketeer: server's HTTP response has no plain Content-Length")
	errLongHead = fmt.Errorf("socketeer: server's response head is longer than %d bytes", maxHead)
)

// response is an HTTP response whose length is known. body aliases the buffer
// it was read from.
type response struct {
	status int
	body   []byte
	last   bool // the server closes the connection behind it
}

// nextResponse splits the first response off b. n is its length on the wire, 0
// when b does not hold all of it. Heads longer than maxHead, bodies longer
// than limit, interim responses and chunked bodies are errors: Engine.IO
// servers send none of them to a client that does not accept compression.
func nextResponse(b []byte, limit int) (r response, n int, err error) {
	end := bytes.Index(b[:min(len(b), maxHead)], []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) >= maxHead {
			return response{}, 0, errLongHead
		}
		return response{}, 0, nil
	}
	status, fields, _ := bytes.Cut(b[:end], []byte("\r\n"))
	r.status, err = statusCode(status)
	if err != nil {
		return response{}, 0, err
	}
	size := -1
	for len(fields) > 0 {
		var line []byte
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err := strconv.ParseUint(string(value), 10, 31)
			if err != nil || size >= 0 {
				return response{}, 0, errNoLength
			}
			size = int(length)
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return response{}, 0, errNoLength
		case bytes.EqualFold(name, []byte("Connection")):
			r.last = bytes.EqualFold(value, []byte("close"))
		}
	}
	switch n = end + 4 + size; {
	case size < 0:
		return response{}, 0, errNoLength
	case size > limit:
		return response{}, 0, fmt.Errorf("socketeer: server sent a body of %d bytes, more than the %d this client reads", size, limit)
	case len(b) < n:
		return response{}, 0, nil
	}
	r.body = b[end+4 : n : n]
	return r, n, nil
}

// statusCode reads a status line (RFC 9112, section 4).
func statusCode(line []byte) (int, error) {
	const version = "HTTP/1.1 "
	if len(line) < len(version)+3 || string(line[:len(version)]) != version {
		return 0, errNotHTTP
	}
	code, err := strconv.ParseUint(string(line[len(version):len(version)+3]), 10, 10)
	if err != nil || code < 200 {
		return 0, errNotHTTP
	}
	return int(code), nil
}
