// Package wsconn is the WebSocket (RFC 6455) underneath Engine.IO: handshakes
// and frames. It is the only package that names the WebSocket library.
//
// The server side ([Conn]) is built for many mostly idle connections: where it
// can be watched by a poller, an idle one owns no goroutine and no buffer. Bytes
// are pushed into a small parser; writes are whole encoded frames that may be
// shared by any number of connections.
package wsconn

import (
	"encoding/binary"
	"fmt"

	"github.com/gobwas/ws"
)

// Close codes of RFC 6455, section 7.4.1.
const (
	CloseNormal      = 1000
	CloseGoingAway   = 1001
	CloseProtocol    = 1002
	CloseNoStatus    = 1005 // never on the wire: a close frame without a code
	CloseInvalidData = 1007
	ClosePolicy      = 1008
	CloseTooBig      = 1009
)

// CloseError says that the peer, or this side because of what the peer sent,
// ended the connection with a code.
type CloseError struct {
	Code   int
	Reason string
	Remote bool // the peer sent a close frame
}

// Error tells code and reason.
func (e *CloseError) Error() string {
	who := "socketeer: websocket closed"
	if e.Remote {
		who += " by the peer"
	}
	return fmt.Sprintf("%s: %d %s", who, e.Code, e.Reason)
}

func protocolError(reason string) error { return &CloseError{Code: CloseProtocol, Reason: reason} }

// AppendFrame appends an unmasked, final data frame.
func AppendFrame(dst []byte, payload []byte, isBinary bool) []byte {
	op := ws.OpText
	if isBinary {
		op = ws.OpBinary
	}
	dst = appendHeader(dst, op, len(payload), 0)
	return append(dst, payload...)
}

// MaxHeader is the most bytes [PutHeader] needs.
const MaxHeader = 10

// PutHeader writes the header of an unmasked, final text frame of n bytes so
// that it ends at the end of b, and returns where it starts.
func PutHeader(b []byte, n int) int {
	var h [MaxHeader]byte
	hdr := appendHeader(h[:0], ws.OpText, n, 0)
	start := len(b) - len(hdr)
	copy(b[start:], hdr)
	return start
}

// AppendPong appends the pong that answers a ping with this payload.
func AppendPong(dst, payload []byte) []byte {
	dst = appendHeader(dst, ws.OpPong, len(payload), 0)
	return append(dst, payload...)
}

// AppendClose appends a close frame; code CloseNoStatus sends one without a
// code.
func AppendClose(dst []byte, code int, reason string) []byte {
	if code == CloseNoStatus {
		return appendHeader(dst, ws.OpClose, 0, 0)
	}
	if len(reason) > 123 {
		reason = reason[:123]
	}
	dst = appendHeader(dst, ws.OpClose, 2+len(reason), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

func appendHeader(dst []byte, op ws.OpCode, n int, rsv byte) []byte {
	dst = append(dst, 0x80|rsv<<4|byte(op))
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
}
