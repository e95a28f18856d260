package wsconn_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/wsconn"
)

// deflated returns the payload of the frame that AppendDeflated makes.
func deflated(payload string, isBinary bool) []byte {
	b := wsconn.AppendDeflated(nil, []byte(payload), isBinary)
	switch b[1] {
	case 126:
		return b[4:]
	case 127:
		return b[10:]
	}
	return b[2:]
}

func TestDeflateRoundTrip(t *testing.T) {
	for _, payload := range []string{"", "x", "hello hello hello", strings.Repeat("€", 50_000)} {
		for _, isBinary := range []bool{false, true} {
			first, kind := byte(fin|rsv1|opText), "text"
			if isBinary {
				first, kind = fin|rsv1|opBinary, "binary"
			}
			b := wsconn.AppendDeflated([]byte("before"), []byte(payload), isBinary)
			if string(b[:6]) != "before" || b[6] != first {
				t.Fatalf("starts with %x", b[:8])
			}
			got, err := parse(frame(first, string(deflated(payload, isBinary))), 1<<20, true)
			if want := fmt.Sprintf("%s %q", kind, payload); err != nil || len(got) != 1 || got[0] != want {
				t.Errorf("%d bytes: got %.100q, %v", len(payload), got, err)
			}
		}
	}
}

// A sender may also end the stream for good (RFC 7692, 7.2.3.4).
func TestDeflateFinalBlock(t *testing.T) {
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("final"))
	w.Close()
	got, err := parse(frame(fin|rsv1|opText, buf.String()), 100, true)
	if err != nil || !equal(got, []string{`text "final"`}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// bomb is 64 MiB of zeros in 64 KiB.
func bomb() string { return string(deflated(strings.Repeat("\x00", 64<<20), true)) }

func TestDeflateBomb(t *testing.T) {
	b := bomb()
	const limit = 1 << 20
	if len(b) > limit {
		t.Fatalf("the bomb has %d bytes", len(b))
	}
	_, err := parse(frame(fin|rsv1|opBinary, b), limit, true)
	if code(err) != wsconn.CloseTooBig {
		t.Errorf("got %v", err)
	}
	if n := testing.AllocsPerRun(1, func() { parse(frame(fin|rsv1|opBinary, b), limit, true) }); n > 200 {
		t.Errorf("%v allocations", n)
	}
}

func TestDeflateCorrupt(t *testing.T) {
	whole := deflated(strings.Repeat("some text to compress, ", 40), false)
	for name, payload := range map[string]string{
		"garbage":       "\xff\xff\xff\xff",
		"nothing":       "",
		"cut off":       string(whole[:len(whole)/2]),
		"not UTF-8":     string(deflated("\xff\xfe", false)),
		"bad reference": string([]byte{0x02, 0xff, 0xff}),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(frame(fin|rsv1|opText, payload), 1<<20, true)
			if code(err) != wsconn.CloseInvalidData {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
