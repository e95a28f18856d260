package peerlog

import (
	"slices"
	"strings"
)

const (
	// tagLen is the length of the part of an incarnation that stands in offsets.
	tagLen = 4
	// maxMarks bounds the senders in an offset.
	maxMarks = 256
	// offsetSign begins every offset, since few other strings do.
	offsetSign = '~'
	digits     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-"
)

// mark says how far a node got with a sender.
type mark struct {
	tag string
	pos uint64
}

// vector is an offset taken apart: the marks of different senders, the sender
// of the message that had the offset first.
type vector []mark

// appendOffset appends "~<tag><number>.<tag><number>..." with numbers of base
// 64.
func appendOffset(b []byte, v vector) []byte {
	sep := byte(offsetSign)
	for _, m := range v {
		b = append(append(b, sep), m.tag...)
		b = appendNumber(b, m.pos)
		sep = '.'
	}
	return b
}

func appendNumber(b []byte, n uint64) []byte {
	var d [11]byte
	i := len(d)
	for {
		i--
		d[i] = digits[n%64]
		if n /= 64; n == 0 {
			return append(b, d[i:]...)
		}
	}
}

// parseOffset reads what appendOffset wrote.
func parseOffset(s string) (vector, bool) {
	if len(s) < 1 || s[0] != offsetSign {
		return nil, false
	}
	var v vector
	for part := range strings.SplitSeq(s[1:], ".") {
		if len(part) <= tagLen || len(part) > tagLen+10 || len(v) == maxMarks {
			return nil, false
		}
		m := mark{tag: part[:tagLen]}
		for i := tagLen; i < len(part); i++ {
			d := strings.IndexByte(digits, part[i])
			if d < 0 {
				return nil, false
			}
			m.pos = m.pos<<6 | uint64(d)
		}
		if m.pos == 0 || v.has(m.tag) {
			return nil, false
		}
		v = append(v, m)
	}
	return v, true
}

func (v vector) has(tag string) bool {
	return slices.ContainsFunc(v, func(m mark) bool { return m.tag == tag })
}

// of returns how far the vector is with a sender.
func (v vector) of(tag string) uint64 {
	for _, m := range v {
		if m.tag == tag {
			return m.pos
		}
	}
	return 0
}

// Newer reports whether the message with offset a was not yet delivered where
// and when b was given: whether b's vector lacks it.
func Newer(a, b string) bool {
	x, ok := parseOffset(a)
	if !ok {
		return false
	}
	y, _ := parseOffset(b)
	return x[0].pos > y.of(x[0].tag)
}
