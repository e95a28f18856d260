package loadgen

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
)

// key is every connection's Sec-WebSocket-Key. It guards against caches that
// do not know WebSocket, of which there are none between a load generator
// and its server; one key for all makes the answer known in advance.
const key = "c29ja2V0ZWVyLWJlbmNoIQ=="

// maxHead bounds the response head of an upgrade.
const maxHead = 8 << 10

// shownBody is how much of an answer's body is shown.
const shownBody = 120

// refusal is an answer other than the one that was asked for.
type refusal struct {
	what   string
	status int
	body   string // its beginning
}

// Error tells status and body.
func (r *refusal) Error() string {
	return fmt.Sprintf("socketeer: %s: %d %s %q", r.what, r.status, http.StatusText(r.status), r.body)
}

// upgradeRequest returns the HTTP request that opens a WebSocket transport.
func upgradeRequest(host, path string) []byte {
	return fmt.Appendf(nil, "GET %s?EIO=4&transport=websocket HTTP/1.1\r\n"+
		"Host: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", path, host, key)
}

// acceptValue is the Sec-WebSocket-Accept that answers key (RFC 6455, 4.2.2).
func acceptValue() []byte {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

// upgradeResponse reads the response head at the start of b. n is its length,
// 0 when b does not hold all of it.
func upgradeResponse(b, accept []byte) (n int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxHead {
			return 0, errLongHead
		}
		return 0, nil
	}
	head := b[:end]
	status, _, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 101")) {
		body := b[end+4:]
		code, err := statusCode(status)
		if err != nil {
			return 0, err
		}
		return 0, &refusal{"server refused the WebSocket", code, string(body[:min(len(body), shownBody)])}
	}
	if !bytes.Contains(head, accept) {
		return 0, fmt.Errorf("socketeer: server's Sec-WebSocket-Accept is missing or wrong")
	}
	return end + 4, nil
}
