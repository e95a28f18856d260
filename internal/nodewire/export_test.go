package nodewire

// AppendPacked is appendPacked for tests.
func AppendPacked(dst, text []byte, attachments [][]byte) ([]byte, error) {
	return appendPacked(dst, text, attachments)
}

// Unpack translates msgpack to JSON; with inline, binary stays in it.
func Unpack(b []byte, inline bool) (text []byte, attachments [][]byte, err error) {
	r := reader{b: b}
	if inline {
		text = r.value(nil)
	} else {
		text = r.value(&attachments)
	}
	return text, attachments, r.end()
}

// SkipJSON checks a JSON text.
func SkipJSON(b []byte) error {
	end, err := skipJSON(b, 0)
	if err == nil && skipSpace(b, end) != len(b) {
		err = ErrMalformed
	}
	return err
}

// StreamHash is streamHash for tests.
func StreamHash(s string) int32 { return streamHash(s) }
