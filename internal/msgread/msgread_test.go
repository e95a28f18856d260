package msgread_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/internal/msgread"
)

// whole is a record of all kinds of elements, with two more than are known.
func whole() []byte {
	b := msgp.AppendArrayHeader(nil, 11)
	b = msgp.AppendUint64(b, 1<<63)
	b = msgp.AppendInt64(b, -7)
	b = msgp.AppendUint8(b, 200)
	b = msgp.AppendBool(b, true)
	b = msgp.AppendString(b, "text")
	b = msgp.AppendString(msgp.AppendString(msgp.AppendArrayHeader(b, 2), "a"), "")
	b = msgp.AppendBytes(b, []byte("blob"))
	b = msgp.AppendNil(b)
	b = msgp.AppendBytes(msgp.AppendBytes(msgp.AppendArrayHeader(b, 2), nil), []byte{1})
	b = msgp.AppendString(b, "later")
	return msgp.AppendArrayHeader(b, 0)
}

type record struct {
	extra, left int
	u64         uint64
	i64         int64
	u8          uint8
	yes         bool
	text        string
	texts       []string
	blob, none  []byte
	blobs       [][]byte
}

func read(b []byte) (v record, err error) {
	r := msgread.Reader{Rest: b}
	v.extra = r.Record(9)
	v.u64, v.i64, v.u8, v.yes = r.Uint64(), r.Int64(), r.Uint8(), r.Bool()
	v.text, v.texts = r.Text(), r.Texts()
	v.blob, v.none, v.blobs = r.Blob(), r.Blob(), r.Blobs()
	r.Skip(v.extra)
	v.left = len(r.Rest)
	return v, r.Err
}

func TestReader(t *testing.T) {
	v, err := read(whole())
	if err != nil {
		t.Fatal(err)
	}
	if v.extra != 2 || v.left != 0 || v.u64 != 1<<63 || v.i64 != -7 || v.u8 != 200 || !v.yes || v.text != "text" ||
		!slices.Equal(v.texts, []string{"a", ""}) || string(v.blob) != "blob" || v.none != nil ||
		!slices.EqualFunc(v.blobs, [][]byte{{}, {1}}, bytes.Equal) || v.blobs[0] == nil {
		t.Errorf("got %+v", v)
	}
	if cap(v.blob) != len(v.blob) {
		t.Error("who appends to a blob overwrites what is behind it")
	}
}

// Whatever is cut off, the error is one, and nothing is read after it.
func TestTruncated(t *testing.T) {
	b := whole()
	for n := range b {
		v, err := read(b[:n])
		if !errors.Is(err, msgread.ErrMalformed) || v.left != 0 {
			t.Errorf("%d of %d bytes: %v, %d left", n, len(b), err, v.left)
		}
	}
}

func TestWrongTypes(t *testing.T) {
	text := msgp.AppendString(nil, "text")
	for name, f := range map[string]func(r *msgread.Reader){
		"array": func(r *msgread.Reader) { r.Array() },
		"u64":   func(r *msgread.Reader) { r.Uint64() },
		"i64":   func(r *msgread.Reader) { r.Int64() },
		"u8":    func(r *msgread.Reader) { r.Uint8() },
		"bool":  func(r *msgread.Reader) { r.Bool() },
		"blob":  func(r *msgread.Reader) { r.Blob() },
		"blobs": func(r *msgread.Reader) { r.Blobs() },
	} {
		r := msgread.Reader{Rest: text}
		f(&r)
		if !errors.Is(r.Err, msgread.ErrMalformed) || r.Rest != nil {
			t.Errorf("%s: %v", name, r.Err)
		}
		if got := r.Text(); got != "" {
			t.Errorf("%s: then %q", name, got)
		}
	}
}

// A length that is claimed costs nothing.
func TestClaims(t *testing.T) {
	for _, n := range []uint32{5, msgread.MaxElements + 1, 1<<32 - 1} {
		b := append(msgp.AppendArrayHeader(nil, n), 1, 2, 3, 4)
		if n == msgread.MaxElements+1 { // they are there, but too many
			b = append(b, make([]byte, n)...)
		}
		allocs := testing.AllocsPerRun(10, func() {
			r := msgread.Reader{Rest: b}
			if list := r.Texts(); list != nil || !errors.Is(r.Err, msgread.ErrMalformed) {
				t.Errorf("%d: %d, %v", n, len(list), r.Err)
			}
		})
		if allocs > 0 {
			t.Errorf("%d: %v allocations", n, allocs)
		}
	}
	r := msgread.Reader{Rest: msgp.AppendArrayHeader(nil, 0)}
	if r.Record(1); !errors.Is(r.Err, msgread.ErrMalformed) {
		t.Errorf("an empty record: %v", r.Err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(whole())
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := read(b)
		if err != nil && v.left != 0 {
			t.Errorf("%v, and %d left", err, v.left)
		}
		if len(v.texts)+len(v.blobs) > len(b) {
			t.Errorf("%d elements out of %d bytes", len(v.texts)+len(v.blobs), len(b))
		}
	})
}
