package mesh

import "bytes"

// What crosses the network, for fuzzing.
var (
	NextFrame  = nextFrame
	ParseHello = parseHello
)

// AppendHello is a hello of these fields.
func AppendHello(cluster, incarnation, addr string, nonce []byte) []byte {
	return (&hello{cluster, incarnation, addr, nonce}).append(nil)
}

// AppendMessage is a frame with a message.
func AppendMessage(b, body []byte) []byte { return appendFrame(b, framePublish, body) }

// Hello is hello.
type Hello = hello

// Fields are those of a hello.
func Fields(h *Hello) (cluster, incarnation, addr string, nonce []byte) {
	return h.cluster, h.incarnation, h.addr, h.nonce
}

// Same compares two.
func Same(a, b *Hello) bool {
	return a.cluster == b.cluster && a.incarnation == b.incarnation && a.addr == b.addr && bytes.Equal(a.nonce, b.nonce)
}
