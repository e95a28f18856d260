package mesh_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/adapter/mesh"
)

// FuzzNextFrame holds the reader of frames to its limits: it takes as much as
// it says, needs more than it has, and accepts nothing above the bound.
func FuzzNextFrame(f *testing.F) {
	const limit = 4096
	f.Add(mesh.AppendMessage(mesh.AppendMessage(nil, []byte("first")), nil))
	f.Add([]byte{0, 0, 0, 0, 1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		for {
			_, body, rest, need, ok, err := mesh.NextFrame(b, limit)
			switch {
			case err != nil:
				return
			case !ok:
				if need <= len(b) || need > limit+5 || !bytes.Equal(rest, b) {
					t.Fatalf("of %d bytes: needs %d, %d left", len(b), need, len(rest))
				}
				return
			case len(body) > limit || len(body)+5+len(rest) != len(b):
				t.Fatalf("of %d bytes: a body of %d, %d left", len(b), len(body), len(rest))
			}
			b = rest
		}
	})
}

// FuzzParseHello: what is accepted has fields of the expected lengths.
func FuzzParseHello(f *testing.F) {
	good := mesh.AppendHello("c", strings.Repeat("i", 16), "h:1", make([]byte, 16))
	if _, err := mesh.ParseHello(good); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append(good, 1, 2, 3))
	f.Add(mesh.AppendHello("", "short", "", nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := mesh.ParseHello(b); err == nil {
			if again, err := mesh.ParseHello(mesh.AppendHello(mesh.Fields(&h))); err != nil || !mesh.Same(&h, &again) {
				t.Errorf("%+v became %+v, %v", h, again, err)
			}
		}
	})
}
