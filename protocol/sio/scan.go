package sio

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest. It lets a JSON text of
// any shape be checked with a fixed, small amount of stack.
const MaxDepth = 512

// The reasons of a failed scan.
const (
	badJSON  = "invalid JSON"
	badUTF8  = "invalid UTF-8"
	tooDeep  = "JSON nested too deep"
	badPlace = "invalid placeholder"
)

// bitStack is a stack of MaxDepth booleans; its user keeps the depth.
type bitStack [MaxDepth / 64]uint64

func (s *bitStack) set(i int, v bool) {
	mask := uint64(1) << (i % 64)
	if v {
		s[i/64] |= mask
	} else {
		s[i/64] &^= mask
	}
}

func (s *bitStack) at(i int) bool { return s[i/64]>>(i%64)&1 != 0 }

// scanValue scans one JSON value (RFC 8259, in UTF-8) that starts at b[i],
// after optional space, and returns the index after it. A non-empty reason
// says why there is none.
//
// It loops instead of recursing: a goroutine that decodes small packets then
// never grows its first stack, and no input can make it grow.
func scanValue(b []byte, i int) (end int, reason string) {
	var object bitStack // whether the container at a depth is an object
	depth := 0
	key := false // a member's name comes next
	for {
		i = skipSpace(b, i)
		if key {
			if i, reason = scanKey(b, i); reason != "" {
				return i, reason
			}
			key = false
			i = skipSpace(b, i)
		}
		if i >= len(b) {
			return i, badJSON
		}
		if c := b[i]; c == '{' || c == '[' {
			if depth == MaxDepth {
				return i, tooDeep
			}
			object.set(depth, c == '{')
			depth++
			i = skipSpace(b, i+1)
			if i >= len(b) || b[i] != c+2 { // '}' is '{'+2, ']' is '['+2
				key = c == '{'
				continue
			}
			depth--
			i++
		} else if i, reason = scanScalar(b, i); reason != "" {
			return i, reason
		}
		// A value ended. So do the containers it was the last one of.
		for {
			if depth == 0 {
				return i, ""
			}
			i = skipSpace(b, i)
			if i >= len(b) {
				return i, badJSON
			}
			inObject := object.at(depth - 1)
			if b[i] == ',' {
				key = inObject
				i++
				break
			}
			if inObject && b[i] != '}' || !inObject && b[i] != ']' {
				return i, badJSON
			}
			depth--
			i++
		}
	}
}

// scanKey scans a member's name and the colon behind it.
func scanKey(b []byte, i int) (int, string) {
	if i >= len(b) || b[i] != '"' {
		return i, badJSON
	}
	i, reason := scanString(b, i)
	if reason != "" {
		return i, reason
	}
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != ':' {
		return i, badJSON
	}
	return i + 1, ""
}

// scanScalar scans a value that is neither array nor object. i < len(b).
func scanScalar(b []byte, i int) (int, string) {
	switch b[i] {
	case '"':
		return scanString(b, i)
	case 't':
		return scanLiteral(b, i, "true")
	case 'f':
		return scanLiteral(b, i, "false")
	case 'n':
		return scanLiteral(b, i, "null")
	}
	return scanNumber(b, i)
}

func scanLiteral(b []byte, i int, literal string) (int, string) {
	end := i + len(literal)
	if end > len(b) || string(b[i:end]) != literal {
		return i, badJSON
	}
	return end, ""
}

func scanNumber(b []byte, i int) (int, string) {
	if b[i] == '-' {
		i++
	}
	switch n := digits(b, i); {
	case n == 0, n > 1 && b[i] == '0':
		return i, badJSON
	default:
		i += n
	}
	if i < len(b) && b[i] == '.' {
		n := digits(b, i+1)
		if n == 0 {
			return i, badJSON
		}
		i += 1 + n
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		n := digits(b, i)
		if n == 0 {
			return i, badJSON
		}
		i += n
	}
	return i, ""
}

// digits counts the decimal digits from b[i] on.
func digits(b []byte, i int) int {
	n := 0
	for i+n < len(b) && isDigit(b[i+n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// scanString scans the string that starts with the quote at b[i].
func scanString(b []byte, i int) (int, string) {
	for i++; ; {
		i = skipPlain(b, i)
		if i >= len(b) {
			return i, badJSON
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, ""
		case c == '\\':
			n := escape(b[i:])
			if n == 0 {
				return i, badJSON
			}
			i += n
		case c < utf8.RuneSelf:
			return i, badJSON
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return i, badUTF8
			}
			i += n
		}
	}
}

// skipPlain skips ASCII that stands for itself in a string: no quote,
// backslash or control character. It takes eight bytes at a time.
func skipPlain(b []byte, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^'"'*ones, w^'\\'*ones
		// The high bit of each byte that is not ASCII, below ' ', '"' or
		// '\\'. A borrow can only disturb bytes above a marked one.
		marks := (w | (w-' '*ones)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & highs
		if marks != 0 {
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// escape returns the length of the escape sequence that b starts with, or 0.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if lower := c | 0x20; !isDigit(c) && (lower < 'a' || lower > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// firstName returns the first element of an array, if it is a string or
// a number. What follows the element is not looked at.
func firstName(data []byte) (raw []byte, ok bool) {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '[' {
		return nil, false
	}
	i = skipSpace(data, i+1)
	if i >= len(data) || data[i] != '"' && data[i] != '-' && !isDigit(data[i]) {
		return nil, false
	}
	end, reason := scanScalar(data, i)
	return data[i:end], reason == ""
}

// unquote returns the value of a JSON string that a scan accepted.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic(err) // what a scan accepts is valid JSON
	}
	return s
}
