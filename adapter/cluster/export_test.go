package cluster

import (
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/msgread"
)

// EncodeOp returns the frame of a message.
func EncodeOp(b []byte, sender, nsp string, m *adapter.Message) []byte {
	return appendOp(appendHeader(b, frameOp, sender), nsp, m)
}

// DecodeOp reads what EncodeOp wrote.
func DecodeOp(frame []byte) (nsp string, m *adapter.Message, err error) {
	_, body, err := parseHeader(frame)
	if err != nil {
		return "", nil, err
	}
	r := reader{msgread.Reader{Rest: body}}
	extra := r.Record(opFields)
	nsp = r.Text()
	m = r.op()
	r.Skip(extra)
	return nsp, m, r.Err
}

// EncodeResponse returns the body of a response.
func EncodeResponse(r *adapter.Response, failed bool) []byte { return appendResponse(nil, r, failed) }

// DecodeResponse reads what EncodeResponse wrote.
func DecodeResponse(body []byte) (adapter.Response, bool, error) {
	r := reader{msgread.Reader{Rest: body}}
	resp, failed := r.response()
	return resp, failed, r.Err
}

// Token returns a name as one token of a subject.
func Token(name string) string { return appendToken("", name) }
