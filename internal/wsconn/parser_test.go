package wsconn_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/wsconn"
)

// recorder is a handler that writes down what it is told.
type recorder struct {
	wsconn.Handler // nothing else is called
	log            []string
}

func (r *recorder) Message(payload []byte, isBinary bool) error {
	kind := "text"
	if isBinary {
		kind = "binary"
	}
	r.log = append(r.log, fmt.Sprintf("%s %q", kind, payload))
	return nil
}

func (r *recorder) Ping(payload []byte) error {
	r.log = append(r.log, fmt.Sprintf("ping %q", payload))
	return nil
}

// Opcodes and bits of a frame's first byte.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
	fin            = 0x80
	rsv1           = 0x40
	rsv2           = 0x20
	rsv3           = 0x10
)

// frame makes a masked frame from its first byte and its payload.
func frame(first byte, payload string) []byte {
	return append(header(first, uint64(len(payload))), masked(payload)...)
}

var testMask = [4]byte{0x12, 0x34, 0x56, 0x78}

// header makes a masked frame's header, which may promise any length.
func header(first byte, n uint64) []byte {
	b := []byte{first}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), n)
	}
	return append(b, testMask[:]...)
}

func masked(payload string) []byte {
	b := []byte(payload)
	for i := range b {
		b[i] ^= testMask[i%4]
	}
	return b
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// parse feeds stream in one piece and returns what the handler saw.
func parse(stream []byte, limit int64, deflate bool) ([]string, error) {
	var r recorder
	err := wsconn.NewParser(limit, deflate).Feed(bytes.Clone(stream), &r)
	return r.log, err
}

// code returns the close code of err, 0 when there is none.
func code(err error) int {
	var ce *wsconn.CloseError
	if errors.As(err, &ce) {
		return ce.Code
	}
	return 0
}

func TestParserMessages(t *testing.T) {
	long, huge := strings.Repeat("l", 300), strings.Repeat("h", 70_000)
	for _, tc := range []struct {
		name   string
		stream []byte
		want   []string
	}{
		{"text", frame(fin|opText, "hi"), []string{`text "hi"`}},
		{"binary", frame(fin|opBinary, "\x00\xff"), []string{`binary "\x00\xff"`}},
		{"empty", frame(fin|opText, ""), []string{`text ""`}},
		{"16-bit length", frame(fin|opText, long), []string{"text " + fmt.Sprintf("%q", long)}},
		{"64-bit length", frame(fin|opText, huge), []string{"text " + fmt.Sprintf("%q", huge)}},
		{"three in a row", join(frame(fin|opText, "a"), frame(fin|opText, ""), frame(fin|opBinary, "c")),
			[]string{`text "a"`, `text ""`, `binary "c"`}},
		{"fragments", join(frame(opText, "a"), frame(opContinuation, "b"), frame(fin|opContinuation, "c")), []string{`text "abc"`}},
		{"empty fragments", join(frame(opText, ""), frame(opContinuation, ""), frame(fin|opContinuation, "")), []string{`text ""`}},
		{"a rune across fragments", join(frame(opText, "\xe2\x82"), frame(fin|opContinuation, "\xac")), []string{`text "€"`}},
		{"control between fragments", join(frame(opBinary, "a"), frame(fin|opPing, "p"), frame(fin|opPong, "x"), frame(fin|opContinuation, "b")),
			[]string{`ping "p"`, `binary "ab"`}},
		{"unasked-for pong", frame(fin|opPong, "x"), nil},
		{"largest ping", frame(fin|opPing, strings.Repeat("p", 125)), []string{"ping " + fmt.Sprintf("%q", strings.Repeat("p", 125))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parse(tc.stream, 1<<20, false)
			if err != nil || !equal(got, tc.want) {
				t.Errorf("got %.200q, %v; want %.200q", got, err, tc.want)
			}
		})
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestParserRefuses(t *testing.T) {
	const limit = 1000
	unmasked := []byte{fin | opText, 1, 'x', 0, 0, 0}
	for _, tc := range []struct {
		name    string
		stream  []byte
		deflate bool
		code    int
	}{
		{"not masked", unmasked, false, 1002},
		{"not masked, too short for a mask", []byte{fin | opClose, 0}, false, 1002},
		{"HTTP where a frame should be", []byte("GE"), false, 1002},
		{"rsv1 without an extension", []byte{fin | rsv1 | opText, 0x80}, false, 1002},
		{"rsv2", frame(fin|rsv2|opText, ""), true, 1002},
		{"rsv3", frame(fin|rsv3|opText, ""), true, 1002},
		{"rsv1 on a continuation", join(frame(opText, ""), frame(fin|rsv1|opContinuation, "")), true, 1002},
		{"rsv1 on a ping", frame(fin|rsv1|opPing, ""), true, 1002},
		{"reserved data opcode", frame(fin|3, ""), false, 1002},
		{"reserved control opcode", frame(fin|0xb, ""), false, 1002},
		{"fragmented ping", frame(opPing, ""), false, 1002},
		{"fragmented close", frame(opClose, ""), false, 1002},
		{"ping of 126 bytes", frame(fin|opPing, strings.Repeat("p", 126)), false, 1002},
		{"close of 64-bit length", []byte{fin | opClose, 0xff}, false, 1002},
		{"continuation of nothing", frame(fin|opContinuation, ""), false, 1002},
		{"continuation after the end", join(frame(fin|opText, "a"), frame(fin|opContinuation, "b")), false, 1002},
		{"text inside a message", join(frame(opText, "a"), frame(fin|opText, "b")), false, 1002},
		{"negative length", append([]byte{fin | opText, 0xff, 0x80}, make([]byte, 11)...), false, 1002},
		{"not UTF-8", frame(fin|opText, "a\xff"), false, 1007},
		{"half a rune", frame(fin|opText, "\xe2\x82"), false, 1007},
		{"surrogate", frame(fin|opText, "\xed\xa0\x80"), false, 1007},
		{"one byte too many", header(fin|opBinary, limit+1), false, 1009},
		{"4 GiB announced", header(fin|opBinary, 1<<32), false, 1009},
		{"all there is announced", header(fin|opBinary, 1<<63-1), false, 1009},
		{"too big in parts", join(frame(opBinary, strings.Repeat("a", limit)), header(fin|opContinuation, 1)), false, 1009},
		{"overflow in parts", join(frame(opBinary, "a"), header(fin|opContinuation, 1<<63-1)), false, 1009},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parse(tc.stream, limit, tc.deflate)
			var ce *wsconn.CloseError
			if !errors.As(err, &ce) || ce.Code != tc.code || ce.Remote {
				t.Errorf("got %q, %v; want code %d", got, err, tc.code)
			}
		})
	}
}

func TestParserCloseFrames(t *testing.T) {
	withCode := func(code int, reason string) string { return string([]byte{byte(code >> 8), byte(code)}) + reason }
	for _, tc := range []struct {
		payload string
		code    int
		reason  string
		remote  bool
	}{
		{"", 1005, "", true},
		{withCode(1000, ""), 1000, "", true},
		{withCode(1001, "bye €"), 1001, "bye €", true},
		{withCode(3000, ""), 3000, "", true},
		{withCode(4999, ""), 4999, "", true},
		{"\x03", 1002, "malformed close frame", false},
		{withCode(1000, "\xff"), 1002, "malformed close frame", false},
		{withCode(0, ""), 1002, "invalid close code", false},
		{withCode(999, ""), 1002, "invalid close code", false},
		{withCode(1005, ""), 1002, "invalid close code", false},
		{withCode(1006, ""), 1002, "invalid close code", false},
		{withCode(1015, ""), 1002, "invalid close code", false},
	} {
		t.Run(fmt.Sprintf("%q", tc.payload), func(t *testing.T) {
			_, err := parse(frame(fin|opClose, tc.payload), 100, false)
			var ce *wsconn.CloseError
			if !errors.As(err, &ce) || ce.Code != tc.code || ce.Reason != tc.reason || ce.Remote != tc.remote {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestParserFragmentFlood(t *testing.T) {
	for _, payload := range []string{"", "x"} {
		t.Run(fmt.Sprintf("%d bytes", len(payload)), func(t *testing.T) {
			p := wsconn.NewParser(1<<20, false)
			var r recorder
			err := p.Feed(frame(opBinary, payload), &r)
			frames := 1
			for ; err == nil && frames < 10*wsconn.MaxFragments; frames++ {
				err = p.Feed(frame(opContinuation, payload), &r)
			}
			if code(err) != wsconn.ClosePolicy || frames != wsconn.MaxFragments+1 {
				t.Errorf("%v after %d frames", err, frames)
			}
			if p.Held() > 2*wsconn.MaxFragments {
				t.Errorf("holds %d bytes", p.Held())
			}
		})
	}
}

// What is announced, but not sent, costs little.
func TestParserAllocatesWhatArrives(t *testing.T) {
	const limit = 100 << 20
	p := wsconn.NewParser(limit, false)
	var r recorder
	if err := p.Feed(append(header(fin|opBinary, limit), 'x'), &r); err != nil {
		t.Fatal(err)
	}
	if p.Held() > 64<<10 {
		t.Errorf("holds %d bytes for one", p.Held())
	}
	// A message's memory is given back with the message.
	p = wsconn.NewParser(limit, false)
	whole := frame(fin|opBinary, strings.Repeat("x", 1<<20))
	for len(whole) > 0 {
		n := min(len(whole), 4096)
		if err := p.Feed(whole[:n], &r); err != nil {
			t.Fatal(err)
		}
		whole = whole[n:]
	}
	if len(r.log) != 1 || p.Held() != 0 {
		t.Errorf("%d messages, still holds %d bytes", len(r.log), p.Held())
	}
}

func TestParserHandlerErrorEnds(t *testing.T) {
	h := &failing{after: 2}
	err := wsconn.NewParser(100, false).Feed(join(frame(fin|opText, "1"), frame(fin|opText, "2"), frame(fin|opText, "3")), h)
	if !errors.Is(err, errHandler) || h.n != 2 {
		t.Errorf("%v after %d messages", err, h.n)
	}
}

var errHandler = errors.New("enough")

type failing struct {
	wsconn.Handler
	n, after int
}

func (f *failing) Message([]byte, bool) error {
	if f.n++; f.n == f.after {
		return errHandler
	}
	return nil
}

// sequence makes a random valid sequence of frames, some of them compressed.
func sequence(rnd *rand.Rand) []byte {
	var stream []byte
	for range 1 + rnd.IntN(6) {
		size := []int{0, 1, 5, 125, 126, 300, 70_000}[rnd.IntN(7)]
		payload := strings.Repeat("é", size/2) + strings.Repeat("x", size%2)
		op := byte(opText + rnd.IntN(2))
		if rnd.IntN(4) == 0 {
			stream = append(stream, frame(fin|rsv1|op, string(deflated(payload, op == opBinary)))...)
			continue
		}
		for rnd.IntN(2) == 0 {
			n := rnd.IntN(len(payload) + 1)
			stream = append(stream, frame(op, payload[:n])...)
			op, payload = opContinuation, payload[n:]
			if rnd.IntN(3) == 0 {
				stream = append(stream, frame(fin|opPing, "ping")...)
			}
		}
		stream = append(stream, frame(fin|op, payload)...)
	}
	return stream
}

// chunked feeds stream cut at the given places and returns what came of it.
func chunked(t *testing.T, stream []byte, limit int64, deflate bool, next func(left int) int) ([]string, error) {
	t.Helper()
	p := wsconn.NewParser(limit, deflate)
	var r recorder
	stream = bytes.Clone(stream)
	for len(stream) > 0 {
		n := min(max(next(len(stream)), 1), len(stream))
		if err := p.Feed(stream[:n:n], &r); err != nil {
			return r.log, err
		}
		if int64(p.Held()) > 2*limit+64<<10 {
			t.Fatalf("holds %d bytes, the limit is %d", p.Held(), limit)
		}
		stream = stream[n:]
	}
	return r.log, nil
}

func TestParserChunksDoNotMatter(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		stream := sequence(rnd)
		want, err := parse(stream, 1<<20, true)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for name, next := range map[string]func(int) int{
			"bytes":  func(int) int { return 1 },
			"sevens": func(int) int { return 7 },
			"random": func(int) int { return rnd.IntN(2000) },
		} {
			got, err := chunked(t, stream, 1<<20, true, next)
			if err != nil || !equal(got, want) {
				t.Errorf("seed %d in %s: %d messages, %v; want %d", seed, name, len(got), err, len(want))
			}
		}
	}
}

func FuzzParser(f *testing.F) {
	f.Add(join(frame(opText, "a"), frame(fin|opPing, "p"), frame(fin|opContinuation, "b")), uint64(1), true)
	f.Add(frame(fin|rsv1|opText, string(deflated("hello hello", false))), uint64(2), true)
	f.Add(header(fin|opBinary, 1<<40), uint64(3), false)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint64(4), false)
	f.Add(frame(fin|opClose, "\x03\xe8bye"), uint64(5), false)
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, deflate bool) {
		const limit = 1 << 12
		want, wantErr := parse(stream, limit, deflate)
		for _, m := range want {
			if len(m) > 4*limit+20 { // quoted
				t.Fatalf("message of %d bytes", len(m))
			}
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		got, err := chunked(t, stream, limit, deflate, func(int) int { return rnd.IntN(9) })
		if !equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("in chunks %q, %v; whole %q, %v", got, err, want, wantErr)
		}
	})
}
