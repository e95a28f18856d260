package sio

import "encoding/json"

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
