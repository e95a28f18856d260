package nodewire

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// The names of the fields of a stream's entry.
const (
	fieldUID  = "uid"
	fieldNSP  = "nsp"
	fieldType = "type"
	fieldData = "data"
)

// StreamFields returns a message as the streams adapter keeps it: names and
// values of the fields uid, nsp, type and data, one after the other. Data is
// JSON, or base64 of msgpack if there are attachments. Errors are those of
// AppendEnvelope.
func StreamFields(m *Message) ([]string, error) {
	if err := enveloped(m.Type); err != nil {
		return nil, err
	}
	fields := []string{fieldUID, m.UID, fieldNSP, m.NSP, fieldType, strconv.Itoa(int(m.Type))}
	if !hasData(m.Type) {
		return fields, nil
	}
	w := writer{json: len(m.Attachments) == 0}
	w.body(m, m.UID == EmitterUID)
	b, err := w.done(nil)
	if err != nil {
		return nil, err
	}
	data := string(b)
	if !w.json {
		data = base64.StdEncoding.EncodeToString(b)
	}
	return append(fields, fieldData, data), nil
}

// DecodeStreamEntry decodes the fields of an entry. Before, a reader can tell
// from fields["uid"] and fields["nsp"] whether the entry is for it.
func DecodeStreamEntry(fields map[string]string) (*Message, error) {
	number, err := strconv.ParseUint(fields[fieldType], 10, 8)
	if err != nil {
		return nil, malformed("the type of an entry is no number")
	}
	m := &Message{UID: fields[fieldUID], NSP: fields[fieldNSP], Type: Type(number)}
	opts := false
	if data := fields[fieldData]; data != "" {
		b := []byte(data)
		if data[0] != '{' {
			if b, err = decodeBase64(data); err != nil {
				return nil, err
			}
		}
		r := newReader(b)
		opts = r.body(m)
		if err := r.end(); err != nil {
			return nil, err
		}
	}
	if err := m.check(opts); err != nil {
		return nil, err
	}
	return m, nil
}

// decodeBase64 accepts what Node.js does: either alphabet, padded or not.
func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.RawURLEncoding
	}
	b, err := encoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return b, nil
}

// StreamName returns the name of the stream of a namespace, when namespaces
// are spread over count streams; with count 1 or less it is name itself.
//
// The Node.js adapter keeps the sign of the remainder of a hash: it writes about
// half of all namespaces to streams like "socket.io--3", which it does not
// read. With compatible the name is that one, for what Node.js nodes write; else
// it is always one of "socket.io-0" to "socket.io-<count-1>".
func StreamName(name, nsp string, count int, compatible bool) string {
	if count <= 1 {
		return name
	}
	i := int(streamHash(nsp)) % count
	if i < 0 && !compatible {
		i += count
	}
	return name + "-" + strconv.Itoa(i)
}

// streamHash is Java's hash of a string, over its UTF-16 units.
func streamHash(s string) (h int32) {
	for _, r := range s {
		if r >= 0x10000 {
			r -= 0x10000
			h = h*31 + 0xd800 + r>>10
			r = 0xdc00 + r&0x3ff
		}
		h = h*31 + r
	}
	return h
}
