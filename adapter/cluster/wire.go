package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/socketeer-io/socketeer/cluster"
)

// A frame is a fixed header and a body of msgpack:
//
//	 0     version
//	 1     kind
//	 2     path: which counter the path sequence belongs to
//	 3     reserved, 0
//	 4-11  sequence of the sender, big endian; the same in all copies of a message
//	12-19  path sequence, big endian
//	20-35  incarnation of the sender
//	36-    body
//
// Sequences stand at fixed places so that the copies of a message differ in
// place and the body is encoded once.
const (
	wireVersion = 1
	headerLen   = 20 + cluster.IncarnationLen
)

type frameKind uint8

const (
	frameOp       frameKind = iota + 1 // body: op
	frameRequest                       // body: request id, remaining ns, op
	frameResponse                      // body: request id, response
	frameCancel                        // body: request id
	frameSync                          // body: barrier id
	frameSynced                        // body: barrier id
	frameMember                        // body: an announcement of package cluster
	frameProbe                         // body: nothing
	frameLog                           // body: a frame of package peerlog
	frameFence                         // body: namespace, number; see streamed
	frameKinds
)

type pathKind uint8

const (
	pathNone pathKind = iota // a room: receivers come and go, gaps are normal
	pathNode
	pathNamespace
)

type header struct {
	kind    frameKind
	path    pathKind
	seq     uint64
	pathSeq uint64
	sender  []byte // aliases the frame
}

var (
	errShort   = errors.New("socketeer: truncated frame")
	errVersion = errors.New("socketeer: frame of an unknown version or kind")
)

func appendHeader(b []byte, k frameKind, sender string) []byte {
	b = append(b, wireVersion, byte(k), 0, 0)
	b = append(b, make([]byte, 16)...)
	return append(b, sender...)
}

func setSeq(frame []byte, seq uint64) { binary.BigEndian.PutUint64(frame[4:], seq) }

func setPath(frame []byte, p pathKind, seq uint64) {
	frame[2] = byte(p)
	binary.BigEndian.PutUint64(frame[12:], seq)
}

func parseHeader(b []byte) (h header, body []byte, err error) {
	if len(b) < headerLen {
		return h, nil, errShort
	}
	h.kind = frameKind(b[1])
	if b[0] != wireVersion || h.kind == 0 || h.kind >= frameKinds {
		return h, nil, errVersion
	}
	h.path = pathKind(b[2])
	h.seq = binary.BigEndian.Uint64(b[4:])
	h.pathSeq = binary.BigEndian.Uint64(b[12:])
	h.sender = b[20:headerLen]
	return h, b[headerLen:], nil
}

// TooLargeError says that a message exceeds what the bus carries.
type TooLargeError struct {
	Size  int // of the message as encoded, in bytes
	Limit int // of the bus, in bytes
}

// Error tells size and limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("socketeer: message of %d bytes exceeds the cluster's limit of %d", e.Size, e.Limit)
}
