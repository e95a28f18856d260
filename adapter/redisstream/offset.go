package redisstream

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// offset is the id of a stream entry.
type offset struct{ ms, seq uint64 }

// parseOffset reads an id in the one form that Redis writes, so that equal ids
// are equal strings.
func parseOffset(s string) (o offset, ok bool) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		return o, false
	}
	var ok1, ok2 bool
	o.ms, ok1 = parseNumber(a)
	o.seq, ok2 = parseNumber(b)
	return o, ok1 && ok2
}

func parseNumber(s string) (n uint64, ok bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// Compare is as [cmp.Compare].
func (o offset) Compare(p offset) int {
	return cmp.Or(cmp.Compare(o.ms, p.ms), cmp.Compare(o.seq, p.seq))
}

func (o offset) after(p offset) bool { return o.Compare(p) > 0 }

// before returns the last offset that is smaller, or the same for the first one.
func (o offset) before() offset {
	switch {
	case o.seq > 0:
		o.seq--
	case o.ms > 0:
		o.ms, o.seq = o.ms-1, math.MaxUint64
	}
	return o
}

func (o offset) String() string {
	b := make([]byte, 0, 24)
	b = strconv.AppendUint(b, o.ms, 10)
	b = append(b, '-')
	return string(strconv.AppendUint(b, o.seq, 10))
}
