// Package msgread reads msgpack that came from elsewhere: element by element,
// within bounds, and with one look for an error at the end.
package msgread

import (
	"errors"

	"github.com/tinylib/msgp/msgp"
)

// MaxElements bounds every list.
const MaxElements = 1 << 16

// ErrMalformed says that something is not what was to be read, or too long.
var ErrMalformed = errors.New("socketeer: malformed frame")

// Reader reads elements. The first error sticks, and every later read returns
// zero. It is not safe for concurrent use.
type Reader struct {
	Rest []byte // what has not been read; nil after an error
	Err  error  // the first error
}

// Fail sets Err to ErrMalformed.
func (r *Reader) Fail() { r.Rest, r.Err = nil, ErrMalformed }

// read reads one element by a function of msgp.
func read[T any](r *Reader, f func([]byte) (T, []byte, error)) (v T) {
	if r.Err != nil {
		return v
	}
	v, rest, err := f(r.Rest)
	if err != nil {
		r.Fail()
		var zero T
		return zero
	}
	r.Rest = rest
	return v
}

// Array reads an array header. Every element takes at least a byte, so a
// claimed length beyond what is there is refused before anything is allocated
// for it.
func (r *Reader) Array() int {
	n := read(r, msgp.ReadArrayHeaderBytes)
	if int(n) > MaxElements || int(n) > len(r.Rest) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Record reads the header of an array of at least known elements, and returns
// how many there are beyond those: a later version's, to be skipped.
func (r *Reader) Record(known int) (extra int) {
	n := r.Array()
	if r.Err == nil && n < known {
		r.Fail()
	}
	return max(0, n-known)
}

// Skip passes over n elements.
func (r *Reader) Skip(n int) {
	for range n {
		if r.Err != nil {
			return
		}
		rest, err := msgp.Skip(r.Rest)
		if err != nil {
			r.Fail()
			return
		}
		r.Rest = rest
	}
}

// Uint64 reads a number that is not negative.
func (r *Reader) Uint64() uint64 { return read(r, msgp.ReadUint64Bytes) }

// Int64 reads a number.
func (r *Reader) Int64() int64 { return read(r, msgp.ReadInt64Bytes) }

// Uint8 reads a small number.
func (r *Reader) Uint8() uint8 { return read(r, msgp.ReadUint8Bytes) }

// Bool reads true or false.
func (r *Reader) Bool() bool { return read(r, msgp.ReadBoolBytes) }

// Text reads a string.
func (r *Reader) Text() string { return string(r.TextBytes()) }

// TextBytes reads a string, and returns its bytes where they are.
func (r *Reader) TextBytes() []byte { return read(r, msgp.ReadStringZC) }

// Texts reads a list of strings.
func (r *Reader) Texts() []string {
	n := r.Array()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, r.Text())
	}
	return list
}

// Blob reads bytes and returns them where they are; nil when there is nil, or
// nothing.
func (r *Reader) Blob() []byte {
	if r.Err == nil && msgp.IsNil(r.Rest) {
		r.Skip(1)
		return nil
	}
	v := read(r, msgp.ReadBytesZC)
	if len(v) == 0 {
		return nil
	}
	return v[:len(v):len(v)]
}

// Blobs reads a list of bytes. They may be empty, but are never nil.
func (r *Reader) Blobs() [][]byte {
	n := r.Array()
	if n == 0 {
		return nil
	}
	list := make([][]byte, 0, n)
	for range n {
		if v := r.Blob(); v != nil {
			list = append(list, v)
		} else {
			list = append(list, []byte{})
		}
	}
	return list
}
