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
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '[' {
		return nil, syntaxError("data is not an array")
	}
	args := make([]json.RawMessage, 0, 4)
	for i = skipSpace(data, i+1); ; i = skipSpace(data, i+1) {
		if i < len(data) && data[i] == ']' && len(args) == 0 {
			break
		}
		end, reason := scanValue(data, i)
		if reason != "" {
			return nil, syntaxError(reason)
		}
		args = append(args, data[i:end:end])
		i = skipSpace(data, end)
		if i == len(data) || data[i] != ',' && data[i] != ']' {
			return nil, syntaxError(badJSON)
		}
		if data[i] == ']' {
			break
		}
	}
	if skipSpace(data, i+1) < len(data) {
		return nil, syntaxError("bytes after the data")
	}
	return args, nil
}

// ErrNoSuchArgument says that a packet has fewer arguments.
var ErrNoSuchArgument = errors.New("socketeer: no such argument")

// DecodeArgs decodes the first of args into the values that to points to, by
// [DecodeArg]. A nil leaves its argument out. The error is ErrNoSuchArgument
// when there are fewer, else DecodeArg's; of names the packet in it.
func DecodeArgs(args []json.RawMessage, attachments [][]byte, to []any, of string) error {
	for i, v := range to {
		if v == nil {
			continue
		}
		if i >= len(args) {
			return fmt.Errorf("%w: number %d of %s", ErrNoSuchArgument, i, of)
		}
		if err := DecodeArg(args[i], attachments, v); err != nil {
			return fmt.Errorf("socketeer: argument %d of %s: %w", i, of, err)
		}
	}
	return nil
}
