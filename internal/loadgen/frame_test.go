package loadgen_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// serverFrame is a frame as servers send it.
func serverFrame(op byte, payload string) []byte {
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// unmask reads a client's frame whose key is zero.
func unmask(t *testing.T, wire []byte) (op byte, payload []byte) {
	t.Helper()
	head := map[byte]int{126: 4, 127: 10}[wire[1]&0x7f]
	if head == 0 {
		head = 2
	}
	if wire[1]&0x80 == 0 || !bytes.Equal(wire[head:head+4], make([]byte, 4)) {
		t.Fatalf("frame % x is not masked with zero", wire[:head+4])
	}
	plain := append(bytes.Clone(wire[:head]), wire[head+4:]...)
	plain[1] &^= 0x80
	op, payload, n, err := loadgen.NextFrame(plain, len(plain))
	if err != nil || n != len(plain) {
		t.Fatalf("frame of %d bytes was read as %d: %v", len(plain), n, err)
	}
	return op, payload
}

func TestAppendFrame(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 0xffff, 0x10000} {
		want := strings.Repeat("x", size)
		if op, got := unmask(t, loadgen.AppendFrame(nil, 9, want)); op != 9 || string(got) != want {
			t.Errorf("size %d: opcode %d, %d bytes", size, op, len(got))
		}
	}
}

func TestNextFrame(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 0xffff, 0x10000} {
		want := strings.Repeat("x", size)
		wire := serverFrame(1, want)
		for n := range min(len(wire), 300) {
			if _, _, used, err := loadgen.NextFrame(wire[:n], size); used != 0 || err != nil {
				t.Fatalf("%d of %d bytes: used %d, %v", n, len(wire), used, err)
			}
		}
		op, got, n, err := loadgen.NextFrame(append(wire, 0x81, 0x00), size)
		if op != 1 || string(got) != want || n != len(wire) || err != nil {
			t.Errorf("size %d: opcode %d, %d bytes, used %d, %v", size, op, len(got), n, err)
		}
		if _, _, _, err := loadgen.NextFrame(wire, size-1); size > 0 && err == nil {
			t.Errorf("size %d was accepted with a limit of %d", size, size-1)
		}
	}
}

func TestNextFrameRefuses(t *testing.T) {
	for name, wire := range map[string]string{
		"masked":        "\x81\x81\x00\x00\x00\x00a",
		"not final":     "\x01\x01a",
		"continuation":  "\x80\x01a",
		"compressed":    "\xc1\x01a",
		"reserved bits": "\xb1\x01a",
		"huge":          "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		if _, _, n, err := loadgen.NextFrame([]byte(wire), 1<<20); err == nil || n != 0 {
			t.Errorf("%s: used %d, %v", name, n, err)
		}
	}
}

func FuzzNextFrame(f *testing.F) {
	f.Add([]byte{}, 100)
	f.Add(serverFrame(1, `42["msg","x"]`), 100)
	f.Add(serverFrame(2, strings.Repeat("x", 126)), 1000)
	f.Add([]byte("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), 1000)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit = min(max(limit, 0), 1<<20)
		op, payload, n, err := loadgen.NextFrame(b, limit)
		switch {
		case err != nil:
			if n != 0 || payload != nil {
				t.Fatalf("%v, and %d bytes used", err, n)
			}
		case n == 0:
			if payload != nil {
				t.Fatal("a payload without a frame")
			}
		case n > len(b) || len(payload) > limit || len(payload) > n-2 || op&^0x0f != 0:
			t.Fatalf("opcode %#x, %d bytes of payload in %d of %d", op, len(payload), n, len(b))
		case cap(payload) != len(payload):
			t.Fatal("appending to the payload would overwrite what follows")
		default:
			again := serverFrame(op, string(payload))
			if _, p, _, err := loadgen.NextFrame(again, limit); err != nil || !bytes.Equal(p, payload) {
				t.Fatalf("frame %x came back as %x, %v", payload, p, err)
			}
		}
	})
}
