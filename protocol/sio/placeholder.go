package sio

import (
	"bytes"
	"math"
	"strconv"
)

// The members of a placeholder: {"_placeholder":true,"num":0}.
const (
	placeholderKey = "_placeholder"
	numberKey      = "num"

	placeholderHead = `{"_placeholder":true,"num":`
)

// AppendPlaceholder appends the JSON that stands for attachment number n.
func AppendPlaceholder(dst []byte, n int) []byte {
	dst = append(dst, placeholderHead...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '}')
}

// parsePlaceholder parses a placeholder that is spelled as AppendPlaceholder
// does, which is JavaScript's way too.
func parsePlaceholder(raw []byte) (n int, ok bool) {
	if len(raw) < len(placeholderHead) || string(raw[:len(placeholderHead)]) != placeholderHead {
		return 0, false
	}
	v, width := parseInt(raw[len(placeholderHead):], math.MaxInt32)
	return int(v), width > 0 && string(raw[len(placeholderHead)+width:]) == "}"
}

// scanPlaceholders counts the placeholders in data, valid JSON no deeper than
// MaxDepth, and checks that each of them names one of n attachments. It calls
// each, if not nil, with where the number of one is, in the order in which they
// end.
//
// As in JavaScript, a placeholder is every object whose member _placeholder
// is true, further members do not matter, the last of several members of one
// name counts, and several placeholders may name one attachment.
func scanPlaceholders(data []byte, n int, each func(number span)) (count int, reason string) {
	var marked, numbered bitStack // of the object at a depth
	var numbers []span            // likewise
	depth := 0
	for i := 0; i < len(data); {
		switch data[i] {
		case '{', '[':
			marked.set(depth, false)
			numbered.set(depth, false)
			if each != nil {
				numbers = append(numbers[:depth], span{})
			}
			depth++
			i++
		case '}', ']':
			depth--
			i++
			if marked.at(depth) {
				if !numbered.at(depth) {
					return count, badPlace
				}
				count++
				if each != nil {
					each(numbers[depth])
				}
			}
		case '"':
			end, _ := scanString(data, i)
			raw := data[i:end]
			i = skipSpace(data, end)
			if i == len(data) || data[i] != ':' {
				continue // a value
			}
			i = skipSpace(data, i+1)
			switch {
			case isKey(raw, placeholderKey):
				marked.set(depth-1, data[i] == 't')
			case isKey(raw, numberKey):
				width, ok := isIndex(data[i:], n)
				numbered.set(depth-1, ok)
				if each != nil {
					numbers[depth-1] = span{i, i + width}
				}
			}
		default:
			i++
		}
	}
	return count, ""
}

// span is a part of some bytes.
type span struct{ from, to int }

// isKey reports whether raw, a JSON string, has the value key.
func isKey(raw []byte, key string) bool {
	if len(raw) > 6*len(key)+2 { // all of it escaped
		return false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1:len(raw)-1]) == key // without memory
	}
	return unquote(raw) == key
}

// isIndex reports whether the value that starts b is an integer in [0, n),
// spelled without fraction or exponent, as every encoder does, and its width.
func isIndex(b []byte, n int) (width int, ok bool) {
	v, width := parseInt(b, MaxID)
	if width == 0 || v >= uint64(n) {
		return 0, false
	}
	if width == len(b) {
		return width, true
	}
	switch b[width] {
	case ',', '}', ' ', '\n', '\r', '\t':
		return width, true
	}
	return 0, false
}
