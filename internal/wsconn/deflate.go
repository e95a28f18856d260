package wsconn

import (
	"bytes"
	"io"
	"sync"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"
)

// deflater is the per-message deflate extension (RFC 7692) without context
// takeover in either direction: nothing is kept per connection, and one
// compressed frame serves all receivers of a broadcast.
type deflater struct{}

var negotiated = wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}

// negotiate accepts the first acceptable offer.
func negotiate(accepted *bool) func(httphead.Option) (httphead.Option, error) {
	ext := wsflate.Extension{Parameters: negotiated}
	return func(o httphead.Option) (httphead.Option, error) {
		opt, err := ext.Negotiate(o)
		if _, ok := ext.Accepted(); ok {
			*accepted = true
		}
		return opt, err
	}
}

// tail ends what a sender cut off (RFC 7692, 7.2.1), and then the stream.
var tail = []byte{0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff}

var inflaters = sync.Pool{New: func() any { return flate.NewReader(bytes.NewReader(nil)) }}

// inflate decompresses msg, to at most limit bytes.
func (*deflater) inflate(msg []byte, limit int64) ([]byte, error) {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	src := io.MultiReader(bytes.NewReader(msg), bytes.NewReader(tail))
	if err := r.(flate.Resetter).Reset(src, nil); err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, &CloseError{Code: CloseInvalidData, Reason: "corrupt compressed data"}
	}
	if int64(len(out)) > limit {
		return nil, &CloseError{Code: CloseTooBig, Reason: "message too big"}
	}
	return out, nil
}

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a valid constant
	}
	return w
}}

// AppendDeflated appends a compressed, unmasked, final frame for connections
// that negotiated compression.
func AppendDeflated(dst, payload []byte, isBinary bool) []byte {
	var buf bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&buf)
	// Writes to a bytes.Buffer do not fail.
	_, _ = w.Write(payload)
	_ = w.Flush()
	body := bytes.TrimSuffix(buf.Bytes(), tail[:4])
	op := ws.OpText
	if isBinary {
		op = ws.OpBinary
	}
	dst = appendHeader(dst, op, len(body), 4)
	return append(dst, body...)
}
