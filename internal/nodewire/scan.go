package nodewire

import (
	"encoding/binary"
	"math/bits"
)

// MaxDepth is how deep arrays and objects may nest in a value: as deep as in a
// packet of a client, so that what a client sent can be passed on.
const MaxDepth = 512

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// skipJSON checks the JSON value that starts at b[i], after optional space, and
// returns the index after it. b is valid UTF-8. The kinds of the containers
// that are open are kept as bits, so that no input makes the stack grow.
func skipJSON(b []byte, i int) (end int, err error) {
	var objects [MaxDepth / 64]uint64
	depth := 0
	opened := false // the container has no element yet
	for {
		i = skipSpace(b, i)
		if i >= len(b) {
			return i, ErrMalformed
		}
		if depth > 0 {
			object := objects[(depth-1)/64]>>((depth-1)%64)&1 != 0
			if object && b[i] == '}' || !object && b[i] == ']' {
				i++
				opened = false
				if depth--; depth == 0 {
					return i, nil
				}
				continue
			}
			if i, err = skipToElement(b, i, opened, object); err != nil {
				return i, err
			}
			opened = false
		}
		if c := b[i]; c == '{' || c == '[' {
			if depth == MaxDepth {
				return i, ErrDepth
			}
			objects[depth/64] &^= 1 << (depth % 64)
			if c == '{' {
				objects[depth/64] |= 1 << (depth % 64)
			}
			depth++
			i++
			opened = true
			continue
		}
		if i, err = skipScalar(b, i); err != nil || depth == 0 {
			return i, err
		}
	}
}

// skipToElement skips the comma before an element, unless it is the first one,
// and in an object its name. i is less than len(b), as is what it returns.
func skipToElement(b []byte, i int, first, object bool) (int, error) {
	if !first {
		if b[i] != ',' {
			return i, ErrMalformed
		}
		i = skipSpace(b, i+1)
	}
	if object {
		end, ok := skipString(b, i)
		if !ok {
			return i, ErrMalformed
		}
		i = skipSpace(b, end)
		if i >= len(b) || b[i] != ':' {
			return i, ErrMalformed
		}
		i = skipSpace(b, i+1)
	}
	if i >= len(b) {
		return i, ErrMalformed
	}
	return i, nil
}

// skipScalar skips a value that is no container. i is less than len(b).
func skipScalar(b []byte, i int) (end int, err error) {
	ok := false
	switch b[i] {
	case '"':
		end, ok = skipString(b, i)
	case 't':
		end, ok = skipLiteral(b, i, "true")
	case 'f':
		end, ok = skipLiteral(b, i, "false")
	case 'n':
		end, ok = skipLiteral(b, i, "null")
	default:
		end, _, ok = skipNumber(b, i)
	}
	if !ok {
		return i, ErrMalformed
	}
	return end, nil
}

func skipLiteral(b []byte, i int, literal string) (end int, ok bool) {
	end = i + len(literal)
	return end, end <= len(b) && string(b[i:end]) == literal
}

// skipNumber also tells whether the number has neither fraction nor exponent.
func skipNumber(b []byte, i int) (end int, whole, ok bool) {
	whole = true
	if i < len(b) && b[i] == '-' {
		i++
	}
	start := i
	if i = skipDigits(b, i); i == start || i > start+1 && b[start] == '0' {
		return i, whole, false
	}
	if i < len(b) && b[i] == '.' {
		whole = false
		start = i + 1
		if i = skipDigits(b, start); i == start {
			return i, whole, false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		whole = false
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		start = i
		if i = skipDigits(b, start); i == start {
			return i, whole, false
		}
	}
	return i, whole, true
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

// skipString skips the string that starts with the quote at b[i].
func skipString(b []byte, i int) (end int, ok bool) {
	if i >= len(b) || b[i] != '"' {
		return i, false
	}
	for i++; ; {
		i = skipPlain(b, i)
		if i >= len(b) || b[i] < ' ' {
			return i, false
		}
		if b[i] == '"' {
			return i + 1, true
		}
		n := escapeLen(b[i:]) // plain text ends at a backslash too
		if n == 0 {
			return i, false
		}
		i += n
	}
}

// skipPlain skips what stands for itself in a string: all but quotes,
// backslashes and control characters. It takes eight bytes at a time.
func skipPlain(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^'"'*ones, w^'\\'*ones
		// The high bit of each byte below ' ' or equal to one of the two. A
		// borrow disturbs only bytes above a marked one.
		marks := ((w-' '*ones)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & highs
		if marks != 0 {
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// escapeLen returns the length of the escape sequence that b starts with, or 0.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (v rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case isDigit(c):
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}
