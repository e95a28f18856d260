package jslog

import (
	"cmp"
	"strconv"
	"strings"
)

// position is the place of a message: in the batch with this sequence of the
// stream, the how manieth.
type position struct {
	seq   uint64
	index uint32
}

// Compare is as [cmp.Compare].
func (p position) Compare(o position) int {
	return cmp.Or(cmp.Compare(p.seq, o.seq), cmp.Compare(p.index, o.index))
}

func (p position) after(o position) bool { return p.Compare(o) > 0 }

// endOf is behind everything in a batch.
func endOf(seq uint64) position { return position{seq, 1<<32 - 1} }

// offset is what a client remembers of a message: besides its place, when the
// stream was made and when the batch was stored, both in nanoseconds, by which a
// stream that lost its messages and began anew is known.
type offset struct {
	born   int64
	pos    position
	stored int64
}

// String returns the offset as born.seq.index.stored, in base 36.
func (o offset) String() string {
	b := make([]byte, 0, 48)
	b = append(strconv.AppendInt(b, o.born, 36), '.')
	b = append(strconv.AppendUint(b, o.pos.seq, 36), '.')
	b = append(strconv.AppendUint(b, uint64(o.pos.index), 36), '.')
	return string(strconv.AppendInt(b, o.stored, 36))
}

// parseOffset reads what String wrote, and nothing else.
func parseOffset(s string) (o offset, ok bool) {
	part := strings.Split(s, ".")
	if len(s) > 64 || len(part) != 4 {
		return o, false
	}
	var err [4]error
	var index uint64
	o.born, err[0] = strconv.ParseInt(part[0], 36, 64)
	o.pos.seq, err[1] = strconv.ParseUint(part[1], 36, 64)
	index, err[2] = strconv.ParseUint(part[2], 36, 32)
	o.stored, err[3] = strconv.ParseInt(part[3], 36, 64)
	o.pos.index = uint32(index)
	return o, err == [4]error{} && o.pos.seq > 0 && o.stored > 0 && o.String() == s
}

// Newer reports whether offset a was given after b. Both are offsets, else the
// answer may be any.
func Newer(a, b string) bool {
	x, _ := parseOffset(a)
	y, _ := parseOffset(b)
	return cmp.Or(cmp.Compare(x.born, y.born), x.pos.Compare(y.pos)) > 0
}
