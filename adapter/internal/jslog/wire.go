package jslog

import (
	"encoding/binary"
	"errors"
)

// A batch is a version, the incarnation of its sender and records up to its
// end. A record is its kind, its number, the length of its body and the body;
// numbers are uvarints.
const (
	wireVersion    = 1
	incarnationLen = 16
	batchHeader    = 1 + incarnationLen
	recordOverhead = 1 + 2*binary.MaxVarintLen64
)

type recordKind uint8

const (
	kindMessage recordKind = iota + 1
	kindGap                // a marker: something before it was not kept
)

// record is one thing in a batch.
type record struct {
	kind   recordKind
	number uint64 // its sender's count of records
	body   []byte
}

var errBatch = errors.New("socketeer: malformed batch of messages")

func appendBatch(b []byte, sender string) []byte { return append(append(b, wireVersion), sender...) }

func appendRecord(b []byte, r record) []byte {
	b = append(b, byte(r.kind))
	b = binary.AppendUvarint(b, r.number)
	b = binary.AppendUvarint(b, uint64(len(r.body)))
	return append(b, r.body...)
}

// decodeBatch reads a batch. Bodies alias b.
func decodeBatch(b []byte) (sender string, list []record, err error) {
	if len(b) < batchHeader || b[0] != wireVersion {
		return "", nil, errBatch
	}
	sender, b = string(b[1:batchHeader]), b[batchHeader:]
	for len(b) > 0 {
		r := record{kind: recordKind(b[0])}
		b = b[1:]
		var n int
		if r.number, n = binary.Uvarint(b); n <= 0 {
			return "", nil, errBatch
		}
		b = b[n:]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return "", nil, errBatch
		}
		r.body, b = b[n:n+int(size):n+int(size)], b[n+int(size):]
		list = append(list, r)
	}
	return sender, list, nil
}
