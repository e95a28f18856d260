package engineio

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// compressor is a gzip.Writer or a zlib.Writer.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

var (
	gzips = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}
	zlibs = sync.Pool{New: func() any { return zlib.NewWriter(io.Discard) }}
)

// compress returns the body of a poll response as the client wants it.
func (s *Server) compress(h http.Header, r *http.Request, body []byte) []byte {
	if s.o.NoCompression || len(body) < s.o.CompressionThreshold {
		return body
	}
	encoding := acceptedEncoding(r.Header.Get("Accept-Encoding"))
	var pool *sync.Pool
	switch encoding {
	case "gzip":
		pool = &gzips
	case "deflate":
		pool = &zlibs
	default:
		return body
	}
	w := pool.Get().(compressor)
	defer pool.Put(w)
	var buf bytes.Buffer
	w.Reset(&buf)
	// Writes to a bytes.Buffer do not fail.
	_, _ = w.Write(body)
	_ = w.Close()
	h.Set("Content-Encoding", encoding)
	h.Add("Vary", "Accept-Encoding")
	return buf.Bytes()
}

// acceptedEncoding returns the first of gzip and deflate that is not refused.
func acceptedEncoding(header string) string {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if q := strings.ReplaceAll(params, " ", ""); q == "q=0" || q == "q=0.0" {
			continue
		}
		if name == "gzip" || name == "deflate" {
			return name
		}
	}
	return ""
}
