package mesh

import (
	"encoding/binary"
	"errors"

	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
)

// A link carries frames: four bytes of length, big endian, of what follows; a
// byte that tells the kind; and the rest. Kinds that are not known are passed
// over, so that later versions may add some.
type frameKind uint8

const (
	framePublish     frameKind = iota + 1 // a message
	frameSubscribe                        // a subject
	frameUnsubscribe                      // a subject
	framePeer                             // the address of another node
	framePing                             // nothing: the link lives
	frameHello                            // see hello
	frameProof                            // see hello
	frameVerdict                          // a byte: 1 to use the link, 0 that there is another
)

const (
	lengthSize = 4
	// maxControl is the length that no frame exceeds but one that carries a
	// message, in bytes.
	maxControl = 1024
	// maxAddr is the longest address that is told to others, in bytes.
	maxAddr = 512
)

var (
	errFrame     = errors.New("socketeer: mesh: malformed frame")
	errFrameSize = errors.New("socketeer: mesh: frame exceeds its limit")
)

func appendFrame[T []byte | string](b []byte, k frameKind, body T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(body)))
	b = append(b, byte(k))
	return append(b, body...)
}

// nextFrame takes the first frame off b. ok is false, without an error, while
// it is not complete; need is then how long b has to be, as far as is known.
// The body aliases b. maxMessage bounds the body of a message.
func nextFrame(b []byte, maxMessage int) (k frameKind, body, rest []byte, need int, ok bool, err error) {
	if len(b) <= lengthSize {
		return 0, nil, b, lengthSize + 1, false, nil
	}
	size := int(binary.BigEndian.Uint32(b))
	k = frameKind(b[lengthSize])
	limit := maxControl
	if k == framePublish {
		limit = maxMessage
	}
	switch {
	case size < 1:
		return 0, nil, nil, 0, false, errFrame
	case size-1 > limit:
		return 0, nil, nil, 0, false, errFrameSize
	case len(b) < lengthSize+size:
		return 0, nil, b, lengthSize + size, false, nil
	}
	return k, b[lengthSize+1 : lengthSize+size], b[lengthSize+size:], 0, true, nil
}

// validSubject reports whether a peer may subscribe to it.
func validSubject(s []byte) bool {
	if len(s) == 0 || len(s) > buscluster.MaxSubject {
		return false
	}
	for _, c := range s {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
