package sio

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Args returns the elements of data, a JSON array, without copying them. For
// an event the first is its name. The error, if any, is a [*SyntaxError];
// there is none for the data of an Event or Ack of a [Decoder].
func Args(data []byte) ([]json.RawMessage, error) {
	args := make([]json.RawMessage, 0, 4)
	w := newWalk(data)
	for raw, ok := w.next(); ok; raw, ok = w.next() {
		args = append(args, raw)
	}
	if w.reason == "" && skipSpace(data, w.at+1) < len(data) {
		w.reason = "bytes after the data"
	}
	if w.reason != "" {
		return nil, syntaxError(w.reason)
	}
	return args, nil
}

// Arg returns element i of data, or nil if there is none. See [Args].
func Arg(data []byte, i int) json.RawMessage {
	if i < 0 {
		return nil
	}
	w := newWalk(data)
	for raw, ok := w.next(); ok; raw, ok = w.next() {
		if i == 0 {
			return raw
		}
		i--
	}
	return nil
}

// ErrNoSuchArgument says that a packet has fewer arguments.
var ErrNoSuchArgument = errors.New("socketeer: no such argument")

// DecodeArgs decodes elements of data, those after the first skip, into the
// values that to points to, by [DecodeArg]. A nil leaves its argument out. The
// error is ErrNoSuchArgument when there are fewer, a [*SyntaxError], or
// DecodeArg's; it names the event whose arguments they are, or with none an
// acknowledgement.
func DecodeArgs(data []byte, skip int, attachments [][]byte, to []any, event string) error {
	w := newWalk(data)
	for range skip {
		w.next()
	}
	for i, v := range to {
		raw, ok := w.next()
		switch {
		case w.reason != "":
			return syntaxError(w.reason)
		case v == nil:
		case !ok:
			return fmt.Errorf("%w: number %d of %s", ErrNoSuchArgument, i, what(event))
		default:
			if err := DecodeArg(raw, attachments, v); err != nil {
				return fmt.Errorf("socketeer: argument %d of %s: %w", i, what(event), err)
			}
		}
	}
	return nil
}

func what(event string) string {
	if event == "" {
		return "an acknowledgement"
	}
	return fmt.Sprintf("%q", event)
}

// walk goes through the elements of a JSON array.
type walk struct {
	data   []byte
	at     int // the bracket or comma behind which the next one is
	n      int // elements so far
	reason string
}

func newWalk(data []byte) walk {
	w := walk{data: data, at: skipSpace(data, 0)}
	if w.at == len(data) || data[w.at] != '[' {
		w.reason = "data is not an array"
	}
	return w
}

// next returns the next element. At the end it returns false, and after an
// error, whose reason it leaves.
func (w *walk) next() (raw json.RawMessage, ok bool) {
	if w.reason != "" || w.data[w.at] == ']' {
		return nil, false
	}
	start := skipSpace(w.data, w.at+1)
	if w.n == 0 && start < len(w.data) && w.data[start] == ']' {
		w.at = start
		return nil, false
	}
	end, reason := scanValue(w.data, start)
	if reason == "" {
		if w.at = skipSpace(w.data, end); w.at == len(w.data) || w.data[w.at] != ',' && w.data[w.at] != ']' {
			reason = badJSON
		}
	}
	if w.reason = reason; reason != "" {
		return nil, false
	}
	w.n++
	return w.data[start:end:end], true
}
