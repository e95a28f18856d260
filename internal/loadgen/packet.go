package loadgen

import "bytes"

// maxField bounds the ids that servers send.
const maxField = 256

// stringField returns the string member name of the JSON object in b, as it
// stands there, when it is plain: neither empty nor long, without escapes or
// what needs them. It looks for the name anywhere, which is enough for the
// flat objects of a handshake.
func stringField(b []byte, name string) (value string, ok bool) {
	_, rest, ok := bytes.Cut(b, []byte(`"`+name+`":"`))
	if !ok {
		return "", false
	}
	end := bytes.IndexByte(rest, '"')
	if end <= 0 || end > maxField {
		return "", false
	}
	for _, c := range rest[:end] {
		if c <= ' ' || c >= 0x7f || c == '\\' {
			return "", false
		}
	}
	return string(rest[:end]), true
}

// lastString returns the last argument of an event packet, as it stands there,
// when it is a plain string; else nil.
func lastString(p []byte) []byte {
	p, ok := bytes.CutSuffix(p, []byte(`"]`))
	if !ok {
		return nil
	}
	start := bytes.LastIndexByte(p, '"')
	if start < 1 || p[start-1] != ',' || len(p)-start-1 > maxField {
		return nil
	}
	p = p[start+1:]
	if bytes.IndexByte(p, '\\') >= 0 {
		return nil
	}
	return p
}
