package engineio_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/socketeer-io/socketeer/engineio"
)

// What is gathered, and written in parts of any size, is all that was pushed,
// in order.
func TestQueueWritesEverythingInOrder(t *testing.T) {
	for seed := range uint64(80) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		deflate, threshold := seed%3 == 0, 20
		scratch := make([]byte, 0, []int{1, 16, 64, 1024}[rnd.IntN(4)])
		var q engineio.Queue
		var want, got []byte
		pending := 0
		write := func() {
			b := q.Gather(scratch, deflate, threshold)
			if len(b) == 0 {
				if q.Len() > 0 {
					t.Fatalf("seed %d: nothing gathered of %d", seed, q.Len())
				}
				return
			}
			n := rnd.IntN(len(b) + 1) // the kernel takes a part of it
			got = append(got, b[:n]...)
			q.Advance(n, deflate, threshold)
		}
		for range rnd.IntN(200) {
			if rnd.IntN(3) > 0 {
				m := message(sized(rnd.IntN(80), fmt.Sprint("m", pending)), []string{"", "binary"}[rnd.IntN(2)])
				pending++
				want = append(want, m.Wire(deflate, threshold)...)
				q.Push(m)
			} else {
				write()
			}
			if !deflate && q.Bytes() != len(want)-len(got) {
				t.Fatalf("seed %d: %d bytes counted, %d left", seed, q.Bytes(), len(want)-len(got))
			}
		}
		for q.Len() > 0 {
			write()
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d bytes written, %d pushed", seed, len(got), len(want))
		}
		if !q.IsZero() {
			t.Fatalf("seed %d: an empty queue owns something", seed)
		}
	}
}

func TestQueuePopAndClear(t *testing.T) {
	var q engineio.Queue
	var want []*engineio.Message
	for i := range 100 {
		m := message(fmt.Sprint(i))
		want = append(want, m)
		q.Push(m)
		if i%3 == 0 {
			if got := q.Pop(); got != want[0] {
				t.Fatalf("popped the wrong one after %d", i)
			}
			want = want[1:]
		}
	}
	for _, m := range want[:10] {
		if q.Pop() != m {
			t.Fatal("popped the wrong one")
		}
	}
	q.Clear()
	if !q.IsZero() {
		t.Error("not empty")
	}
}

// A message with attachments is one frame after the other on WebSocket, and as
// base64 in a payload.
func TestMessageWire(t *testing.T) {
	m := message("hi", "\x01\x02", "")
	if got, want := string(m.Wire(false, 0)), "\x81\x034hi\x82\x02\x01\x02\x82\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if m.Len() != len(m.Wire(false, 0)) {
		t.Errorf("counts for %d bytes", m.Len())
	}
	big := message(sized(2000, "abc "))
	if d := big.Wire(true, 1024); len(d) > 500 || d[0] != 0xc1 {
		t.Errorf("compressed to %d bytes, first %#x", len(d), d[0])
	}
	if first := big.Wire(true, 1024); &first[0] != &big.Wire(true, 1024)[0] {
		t.Error("compressed twice")
	}
	if d := big.Wire(true, 4000); d[0] != 0x81 {
		t.Error("compressed below the threshold")
	}
	if d := message(sized(2000, "abc ")).Uncompressed().Wire(true, 1024); d[0] != 0x81 {
		t.Error("compressed against its will")
	}
}
