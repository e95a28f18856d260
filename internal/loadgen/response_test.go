package loadgen_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

func httpResponse(status int, fields, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d Some Text\r\n%sContent-Length: %d\r\n\r\n%s", status, fields, len(body), body)
}

func TestNextResponse(t *testing.T) {
	for _, tt := range []struct {
		name, in, body string
		status         int
		last           bool
	}{
		{"plain", httpResponse(200, "", "ok"), "ok", 200, false},
		{"empty", httpResponse(200, "", ""), "", 200, false},
		{"refused", httpResponse(400, "Content-Type: application/json\r\n", `{"code":1}`), `{"code":1}`, 400, false},
		{"last", httpResponse(200, "Connection: Close\r\n", "2"), "2", 200, true},
		{"kept", httpResponse(200, "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", "2"), "2", 200, false},
		{"lower case", "HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok", "ok", 200, false},
		{"a head in the body", httpResponse(200, "", "\r\n\r\nHTTP/1.1 "), "\r\n\r\nHTTP/1.1 ", 200, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := range tt.in {
				if _, _, _, used, err := loadgen.NextResponse([]byte(tt.in[:n]), 100); used != 0 || err != nil {
					t.Fatalf("%d of %d bytes: used %d, %v", n, len(tt.in), used, err)
				}
			}
			status, body, last, n, err := loadgen.NextResponse([]byte(tt.in+"HTTP"), 100)
			if status != tt.status || string(body) != tt.body || last != tt.last || n != len(tt.in) || err != nil {
				t.Errorf("status %d, body %q, last %v, used %d, %v", status, body, last, n, err)
			}
		})
	}
}

func TestNextResponseRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"other protocol":   "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
		"no status":        "HTTP/1.1 \r\n\r\n",
		"interim":          "HTTP/1.1 100 Continue\r\n\r\n",
		"no number":        "HTTP/1.1 2x0 OK\r\n\r\n",
		"no length":        "HTTP/1.1 200 OK\r\n\r\n",
		"negative length":  "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"two lengths":      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"chunked":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"too long a body":  httpResponse(200, "", strings.Repeat("x", 101)),
		"an endless head":  "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 2000),
		"overflowing size": "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
	} {
		if _, body, _, n, err := loadgen.NextResponse([]byte(in), 100); err == nil || n != 0 || body != nil {
			t.Errorf("%s: used %d, %v", name, n, err)
		}
	}
}

func FuzzNextResponse(f *testing.F) {
	f.Add([]byte{}, 10)
	f.Add([]byte(httpResponse(200, "", "ok")), 10)
	f.Add([]byte(httpResponse(400, "Connection: close\r\n", strings.Repeat("x", 20))), 10)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 10)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit = min(max(limit, 0), 1<<20)
		status, body, last, n, err := loadgen.NextResponse(b, limit)
		switch {
		case err != nil || n == 0:
			if n != 0 || body != nil || status != 0 || last {
				t.Fatalf("%v, and %d bytes used, status %d, body %q", err, n, status, body)
			}
		case n > len(b) || len(body) > limit || status < 200 || status > 999 || !bytes.HasSuffix(b[:n], body):
			t.Fatalf("status %d, body of %d, %d of %d bytes used", status, len(body), n, len(b))
		case cap(body) != len(body):
			t.Fatal("appending to the body would overwrite what follows")
		default:
			if _, again, _, used, err := loadgen.NextResponse(b[:n], limit); used != n || err != nil || !bytes.Equal(again, body) {
				t.Fatalf("alone, %d of %d bytes used, %v", used, n, err)
			}
			if _, _, _, used, err := loadgen.NextResponse(b[:n-1], limit); used != 0 || err != nil {
				t.Fatalf("without its last byte, %d bytes used, %v", used, err)
			}
		}
	})
}
