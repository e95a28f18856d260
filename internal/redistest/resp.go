package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// maxReply bounds a string or array of an answer.
const maxReply = 16 << 20

// exchange sends commands and returns the answer to the last one. An answer
// that is an error ends it.
func exchange(conn net.Conn, commands ...[]string) (any, error) {
	var b []byte
	for _, c := range commands {
		b = fmt.Appendf(b, "*%d\r\n", len(c))
		for _, arg := range c {
			b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
		}
	}
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	var last any
	for range commands {
		v, err := reply(r, 0)
		if err != nil {
			return nil, err
		}
		last = v
	}
	return last, nil
}

// reply reads one answer of RESP2.
func reply(r *bufio.Reader, depth int) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || depth > 8 {
		return nil, fmt.Errorf("malformed answer %q", line)
	}
	text := line[1 : len(line)-2]
	switch line[0] {
	case '+':
		return text, nil
	case '-':
		return nil, errors.New(text)
	case ':':
		return strconv.ParseInt(text, 10, 64)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > maxReply {
		return nil, fmt.Errorf("malformed answer %q", line)
	}
	if n < 0 {
		return nil, nil
	}
	switch line[0] {
	case '$':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		return string(b[:n]), nil
	case '*':
		list := make([]any, 0, min(n, 1024))
		for range n {
			v, err := reply(r, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	return nil, fmt.Errorf("malformed answer %q", line)
}
