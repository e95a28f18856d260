package sio_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

// depth returns how deep a valid JSON text nests.
func depth(data []byte) (deepest int) {
	now, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			now++
			deepest = max(deepest, now)
		case c == ']' || c == '}':
			now--
		}
	}
	return deepest
}

// FuzzArgs compares what is accepted with encoding/json: everything that is
// valid there, but for what is not UTF-8 or too deep.
func FuzzArgs(f *testing.F) {
	for _, seed := range []string{
		`[]`, ` [ "a" , {"b":[-1.5e+3,true,false,null]} ] `, "[\"\xff\"]", `["\ud800\"\\\/\b\f\n\r\t"]`, `[[[]],{"":{}}]`, `{"a":1}`, `["é€😀"]`, "[1,]", `{"a" : 1 }`, "[0,-0,1e9,0.1E-2]",
		strings.Repeat("[", sio.MaxDepth) + strings.Repeat("]", sio.MaxDepth), "[" + strings.Repeat(`{"a":`, sio.MaxDepth) + "1" + strings.Repeat("}", sio.MaxDepth) + "]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		args, err := sio.Args(data)
		var want []json.RawMessage
		if json.Unmarshal(data, &want) != nil || !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("[")) {
			if err == nil {
				t.Fatal("encoding/json does not accept it")
			}
			return
		}
		// One level more than MaxDepth is possible here: Args takes the
		// elements one by one.
		if !utf8.Valid(data) || depth(data) > sio.MaxDepth+1 {
			if err == nil {
				t.Fatal("neither UTF-8 nor depth is checked")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(args) != len(want) {
			t.Fatalf("got %d arguments, want %d", len(args), len(want))
		}
		for i := range args {
			if !bytes.Equal(args[i], want[i]) {
				t.Fatalf("argument %d: got %q, want %q", i, args[i], want[i])
			}
		}
	})
}

// FuzzDecoder feeds a decoder a sequence of messages. Each starts with a byte
// that says whether it is text (even) or binary (odd); 0xfe ends it.
func FuzzDecoder(f *testing.F) {
	for _, tt := range golden {
		seed := "t" + tt.text
		for _, a := range tt.packet.Attachments {
			seed += "\xfeb" + string(a)
		}
		f.Add([]byte(seed + "\xfet2[\"next\"]"))
	}
	f.Add([]byte("b\x01\xfet51-[\"a\"]\xfet2[\"a\"]"))
	f.Add([]byte("t50-[\"x\"]\xfeb\x01"))
	f.Add([]byte("t2[\"\\u0063onnect\"]\xfet2/a\xfet0/a\x00"))
	f.Add([]byte(`t52-/n,0["a",{"_placeholder":true,"num":1},[{"num":0,"_placehold` + `\u0065r":true}]]` + "\xfeb\xfeb\x00"))
	f.Fuzz(func(t *testing.T, input []byte) {
		var d sio.Decoder
		pending := 0 // the model: attachments still to come
		for msg := range bytes.SplitSeq(input, []byte{0xfe}) {
			if len(msg) == 0 {
				continue
			}
			text, msg := msg[0]%2 == 0, msg[1:]
			var p sio.Packet
			var ok bool
			var err error
			if text {
				p, ok, err = d.Text(msg)
			} else {
				p, ok, err = d.Binary(msg)
			}
			wrongTurn := text == (pending > 0)
			switch {
			case err == nil && wrongTurn:
				t.Fatalf("%q is out of turn and accepted", msg)
			case err != nil:
				pending = 0
				if ok || d.Pending() {
					t.Fatalf("%q: ok or pending with an error", msg)
				}
				continue
			case !text:
				pending--
			case !ok:
				pending = int(msg[1] - '0') // exact where it matters: checked below
				if msg[2] != '-' {
					return // more than nine, or leading zeros
				}
			}
			if d.Pending() != (pending > 0) || ok != (pending == 0) || (d.PendingBytes() > 0) != d.Pending() {
				t.Fatalf("%q: ok %v, pending %v and %d bytes, want %d attachments", msg, ok, d.Pending(), d.PendingBytes(), pending)
			}
			if ok {
				checkPacket(t, p)
			}
		}
	})
}

// checkPacket checks what a decoder promises of its packets, and that they
// survive another round trip.
func checkPacket(t *testing.T, p sio.Packet) {
	t.Helper()
	if !utf8.Valid(p.Data) || !utf8.ValidString(p.Namespace) || len(p.Data) > 0 && !json.Valid(p.Data) {
		t.Fatalf("invalid: %s", show(p))
	}
	if p.Type > sio.ConnectError || !strings.HasPrefix(p.Namespace, "/") || len(p.Namespace) > sio.MaxNamespace || p.ID > sio.MaxID {
		t.Fatalf("out of bounds: %s", show(p))
	}
	if p.Type == sio.Event || p.Type == sio.Ack {
		args, err := sio.Args(p.Data)
		if err != nil {
			t.Fatalf("%s: %v", show(p), err)
		}
		for _, arg := range args {
			var v any
			if err := sio.DecodeArg(arg, p.Attachments, &v); err != nil && !strings.Contains(err.Error(), "cannot unmarshal number") {
				t.Fatalf("%s: %v", show(p), err)
			}
		}
	}
	if p.Type == sio.Event {
		if name, err := p.Event(); err != nil || sio.Reserved(name) {
			t.Fatalf("%s: event %q, %v", show(p), name, err)
		}
	}
	var d sio.Decoder
	again, ok, err := decode(&d, string(p.AppendText(nil)), p.Attachments...)
	if err != nil || !ok || show(again) != show(p) {
		t.Fatalf("got %s, %v, want %s", show(again), err, show(p))
	}
}

func FuzzDecodeArg(f *testing.F) {
	for _, seed := range []string{
		`"a"`, "1", "true", "null", ph(0), ph(1), `{"name":"x","body":` + ph(0) + `,"parts":[` + ph(1) + `,null],"any":{"a":[` + ph(0) + `]},"next":{"extra":[]}}`,
		`[{"_placeholder":true,"num":2}]`, `{"_placeholder":true,"num":1e-1}`, `"AQID"`, `[[],{}]`, `{"a":1,"a":2}`, "\"\xff\"", `1e999`, `-0`, `123456789`,
	} {
		f.Add([]byte(seed))
	}
	attachments := [][]byte{{1}, {2, 3}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, target := range []func() any{
			func() any { return new(string) }, func() any { return new(bool) }, func() any { return new(int) }, func() any { return new(int64) },
			func() any { return new(any) }, func() any { return new([]byte) }, func() any { return new(blob) }, func() any { return new(file) }, func() any { return new([]any) },
		} {
			got, want := target(), target()
			err, wantErr := sio.DecodeArg(raw, nil, got), json.Unmarshal(raw, want)
			if (err == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) {
				t.Fatalf("%T: got %v, %v, want %v, %v", got, got, err, want, wantErr)
			}
			with := target()
			if err := sio.DecodeArg(raw, attachments, with); err == nil && !bytes.Contains(raw, []byte("placeholder")) && !bytes.Contains(raw, []byte(`\`)) && !reflect.DeepEqual(with, want) {
				t.Fatalf("%T: got %v with attachments, want %v", got, with, want)
			}
		}
	})
}

// FuzzEncode checks that strings, bytes and a peer's JSON arrive as sent.
func FuzzEncode(f *testing.F) {
	f.Add("a", []byte{1}, []byte(`{"b":1}`))
	f.Add("\"\\\n\x00<&>\u2028\xff€😀", []byte{}, []byte(ph(0)))
	f.Fuzz(func(t *testing.T, s string, b, raw []byte) {
		if b == nil {
			b = []byte{}
		}
		data, attachments, err := sio.Encode(s, b, json.RawMessage(raw), []any{s, b})
		if err != nil {
			return
		}
		p := sio.Packet{Type: sio.Ack, HasID: true, Data: data, Attachments: attachments}
		var d sio.Decoder
		p, ok, err := decode(&d, string(p.AppendText(nil)), attachments...)
		if err != nil || !ok {
			t.Fatalf("%s: %v", data, err)
		}
		args, err := sio.Args(p.Data)
		if err != nil || len(args) != 4 {
			t.Fatalf("%s: %v", data, err)
		}
		var gotS string
		var gotB []byte
		var gotList []any
		for i, v := range []any{&gotS, &gotB, nil, &gotList} {
			if v == nil {
				continue
			}
			if err := sio.DecodeArg(args[i], p.Attachments, v); err != nil {
				t.Fatal(err)
			}
		}
		// As in a conversion to runes, each byte that is not UTF-8 becomes
		// one U+FFFD.
		s = string([]rune(s))
		if gotS != s || !bytes.Equal(gotB, b) || !reflect.DeepEqual(gotList, []any{s, b}) {
			t.Fatalf("got %q, %x, %v, want %q, %x", gotS, gotB, gotList, s, b)
		}
	})
}
