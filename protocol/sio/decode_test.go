package sio_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

func TestArgs(t *testing.T) {
	for data, want := range map[string]string{
		`[]`:                                  `[]`,
		" [ ] ":                               `[]`,
		`["foo",1]`:                           `["foo" 1]`,
		" [ \"a\" ,\t{\"b\": [ 1 ]}\n, [] ] ": `["a" {"b": [ 1 ]} []]`,
		`[1,2,3,4,5,6]`:                       `[1 2 3 4 5 6]`,
	} {
		args, err := sio.Args([]byte(data))
		if err != nil {
			t.Errorf("%s: %v", data, err)
			continue
		}
		texts := make([]string, len(args))
		for i, arg := range args {
			texts[i] = string(arg)
		}
		if got := fmt.Sprint(texts); got != want {
			t.Errorf("%s: got %s, want %s", data, got, want)
		}
		for i := -1; i <= len(args); i++ {
			got, inside := sio.Arg([]byte(data), i), i >= 0 && i < len(args)
			if inside != (got != nil) || inside && string(got) != texts[i] {
				t.Errorf("%s: element %d is %s", data, i, got)
			}
		}
	}
	for _, data := range []string{"", " ", "{}", "1", "[", "[1", "[1,", "[1,]", "[,]", "[,1]", "[1 2]", "[]x", "[][]", "[1]]", "]", `["a]`, "[" + strings.Repeat("[", 600)} {
		_, err := sio.Args([]byte(data))
		var syntax *sio.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.20s: got %v, want a SyntaxError", data, err)
		}
		if arg := sio.Arg([]byte(data), 99); arg != nil {
			t.Errorf("%.20s: element %s", data, arg)
		}
	}
}

func TestDecodeArgs(t *testing.T) {
	var name string
	var n int
	data := []byte(` [ "move", "left", {"ignored":1}, 7 ] `)
	if err := sio.DecodeArgs(data, 1, nil, []any{&name, nil, &n}, "move"); err != nil || name != "left" || n != 7 {
		t.Errorf("got %q %d, %v", name, n, err)
	}
	if err := sio.DecodeArgs(data, 0, nil, []any{nil, nil, nil, nil, nil}, ""); err != nil { // nobody wants the fifth
		t.Error(err)
	}
	for _, test := range []struct {
		data, event, want string
		to                []any
	}{
		{data: `["move"]`, event: "move", to: []any{&name}, want: `number 0 of "move"`},
		{data: `["a","b"]`, to: []any{nil, &name, &n}, want: "number 1 of an acknowledgement"},
		{data: `["a",{}]`, event: "a", to: []any{&name}, want: `argument 0 of "a"`},
		{data: `["a",1`, event: "a", to: []any{&n}, want: "JSON"},
		{data: `{}`, event: "a", to: []any{&n}, want: "array"},
	} {
		err := sio.DecodeArgs([]byte(test.data), 1, nil, test.to, test.event)
		if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, sio.ErrNoSuchArgument) != strings.Contains(test.want, "number") {
			t.Errorf("%s: %v", test.data, err)
		}
	}
}

func TestArgsAlias(t *testing.T) {
	data := []byte(`["a",1]`)
	args, err := sio.Args(data)
	if err != nil {
		t.Fatal(err)
	}
	if &args[1][0] != &data[5] {
		t.Error("the arguments are copies")
	}
	if cap(args[0]) != len(args[0]) {
		t.Error("appending to an argument would overwrite the next")
	}
}

func TestEvent(t *testing.T) {
	for data, want := range map[string]string{
		`["foo",1]`: "foo", `[ "f\u006fo\n€" ]`: "foo\n€", `[1]`: "1", `[-1.5e3]`: "-1.5e3", `[""]`: "",
	} {
		got, err := sio.Packet{Type: sio.Event, Data: []byte(data)}.Event()
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v", data, got, err)
		}
		if alias, err := (sio.Packet{Type: sio.Event, Data: []byte(data)}).EventName(); err != nil || alias != want {
			t.Errorf("%s: got %q, %v", data, alias, err)
		}
	}
	for _, data := range []string{"", "[]", "{}", "[null]", "[true]", "[{}]", "[[]]", `["a`, "[-]"} {
		if got, err := (sio.Packet{Type: sio.Event, Data: []byte(data)}).Event(); err == nil {
			t.Errorf("%s: got %q, want an error", data, got)
		}
	}
}

func TestReserved(t *testing.T) {
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		if !sio.Reserved(name) {
			t.Errorf("%s is not reserved", name)
		}
	}
	for _, name := range []string{"", "Connect", "error", "message", "connection"} {
		if sio.Reserved(name) {
			t.Errorf("%s is reserved", name)
		}
	}
}

// TestDecodeArgPlain compares with encoding/json, whose results DecodeArg
// promises to have when there are no attachments.
func TestDecodeArgPlain(t *testing.T) {
	targets := []func() any{
		func() any { return new("old") },
		func() any { return new(true) },
		func() any { return new(7) },
		func() any { return new(int64(7)) },
		func() any { return new(int8) },
		func() any { return new(uint) },
		func() any { return new(float64) },
		func() any { return new(any) },
		func() any { return new([]byte) },
		func() any { return new(json.RawMessage) },
		func() any { return new(user) },
		func() any { return new(file) },
		func() any { return new(*user) },
		func() any { return new(map[string]any) },
		func() any { return new([]string) },
		func() any { return new(hexBlob) },
		func() any { return new(textBlob) },
		func() any { return new(time.Time) },
		func() any { return (*string)(nil) },
		func() any { return (*int)(nil) },
		func() any { return (*int64)(nil) },
		func() any { return (*bool)(nil) },
		func() any { return user{} },
		func() any { return nil },
	}
	for _, raw := range []string{
		`"foo"`, `"f\u006fo"`, `"\ud800"`, `"AQID"`, `"ab"`, ` "foo" `, `"foo`, `"foo"x`, "\"\xff\"", `""`,
		"true", "false", " true", "null", "nul", "truex",
		"0", "-0", "1", "-1", "01", "1.0", "1e2", "123456789", "-99999999", "1234567890", "9223372036854775807", "9223372036854775808", "1.5", "-", "300",
		"{}", "[]", `{"name":"x","age":1,"body":"AQID"}`, `{"NAME":"x"}`, `["a",1]`, ph(0), "", " ", "{", `"2023-11-14T22:13:20Z"`,
	} {
		for _, target := range targets {
			got, want := target(), target()
			gotErr := sio.DecodeArg([]byte(raw), nil, got)
			wantErr := json.Unmarshal([]byte(raw), want)
			if (gotErr == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) {
				t.Errorf("%q into %T: got %v, %v, want %v, %v", raw, got, got, gotErr, want, wantErr)
			}
			if gotErr != nil && (!strings.HasPrefix(gotErr.Error(), "socketeer: ") || errors.Unwrap(gotErr).Error() != wantErr.Error()) {
				t.Errorf("%q into %T: got error %v, want it to wrap %v", raw, got, gotErr, wantErr)
			}
		}
	}
}

func TestDecodeArgAttachments(t *testing.T) {
	attachments := [][]byte{{1}, {2}, {}}
	pointee := []byte("old")
	for _, tt := range []struct {
		raw       string
		got, want any
	}{
		{ph(1), new([]byte), []byte{2}},
		{" " + ph(2) + " ", new([]byte), []byte{}},
		{ph(1), new(blob), blob{2}},
		{ph(1), new(*[]byte), &attachments[1]},
		{ph(1), new(any), any([]byte{2})},
		{ph(1), &[]any{&pointee}[0], any(&attachments[1])},
		{ph(1), new(json.RawMessage), json.RawMessage(ph(1))},
		{ph(1), new(map[string]any), map[string]any{"_placeholder": true, "num": 1.0}},
		{`{"\u005fplaceholder":true,"num":0,"more":1}`, new([]byte), []byte{1}},
		{`"AQID"`, new([]byte), []byte{1, 2, 3}},
		{`null`, &[][]byte{{1}}[0], []byte(nil)},
		{`"foo"`, new(string), "foo"},
		{`["a",` + ph(0) + `,{"b":[` + ph(1) + `]}]`, new(any), any([]any{"a", []byte{1}, map[string]any{"b": []any{[]byte{2}}}})},
		{`["a",` + ph(0) + `]`, new([]any), []any{"a", []byte{1}}},
		{`{"a":` + ph(0) + `}`, new(map[string][]byte), map[string][]byte{"a": {1}}},
		{`{"a":` + ph(0) + `,"b":{"_placeholder":false}}`, new(map[string]any), map[string]any{"a": []byte{1}, "b": map[string]any{"_placeholder": false}}},
		{
			`{"name":"f","Body":` + ph(0) + `,"extra":` + ph(1) + `,"parts":[` + ph(1) + `,"AQID"],"any":[` + ph(2) + `],"next":{"body":` + ph(0) + `}}`,
			new(file),
			file{
				Name: "f", Body: []byte{1}, Extra: json.RawMessage(ph(1)), Parts: []blob{{2}, {1, 2, 3}},
				Any: []any{[]byte{}}, Next: &file{Body: []byte{1}},
			},
		},
		{`{"body":` + ph(0) + `,"Own":` + ph(1) + `}`, new(embeds), embeds{file{Body: []byte{1}}, []byte{2}}},
		{`"ab"`, new(hexBlob), hexBlob{0xab}},
		{`"<x>"`, new(textBlob), textBlob("x")},
		{`[{"a":1},2]`, new([2]any), [2]any{map[string]any{"a": 1.0}, 2.0}},
	} {
		if err := sio.DecodeArg([]byte(tt.raw), attachments, tt.got); err != nil {
			t.Errorf("%s into %T: %v", tt.raw, tt.got, err)
		} else if got := reflect.ValueOf(tt.got).Elem().Interface(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s into %T: got %#v, want %#v", tt.raw, tt.got, got, tt.want)
		}
	}
	var b []byte
	if err := sio.DecodeArg([]byte(ph(0)), attachments, &b); err != nil || &b[0] != &attachments[0][0] {
		t.Errorf("the value does not alias the attachment: %v", err)
	}
}

func TestDecodeArgRefuses(t *testing.T) {
	for _, raw := range []string{
		ph(1), `{"_placeholder":true,"num":-1}`, `{"_placeholder":true,"num":0.5}`, `{"_placeholder":true,"num":"0"}`,
		`{"_placeholder":true}`, `{"_placeholder":true,"num":1e300}`, `{"a":` + ph(9) + `}`, "{", "", `{"a":"\x"}`, ph(0) + "x",
	} {
		for _, v := range []any{new(any), new([]byte), new([]any), new(map[string][]byte), nil, (*any)(nil)} {
			if err := sio.DecodeArg([]byte(raw), [][]byte{{1}}, v); err == nil || !strings.HasPrefix(err.Error(), "socketeer: ") {
				t.Errorf("%s into %T: got %v, want an error", raw, v, err)
			}
		}
	}
	var typeError *json.UnmarshalTypeError
	if err := sio.DecodeArg([]byte(`{"x":1}`), [][]byte{{1}}, new([]byte)); !errors.As(err, &typeError) {
		t.Errorf("an object as bytes: got %v", err)
	}
	if err := sio.DecodeArg([]byte(`"x"`), [][]byte{{1}}, new(int)); !errors.As(err, &typeError) {
		t.Errorf("a string as int: got %v", err)
	}
}

// TestRoundTrip sends values through all of the codec.
func TestRoundTrip(t *testing.T) {
	sent := file{Name: "f", Body: []byte{1, 2}, Any: map[string]any{"x": []any{[]byte{3}, "y", 1.5, nil}}, Next: &file{Parts: []blob{{4}, {}}}}
	data, attachments, err := sio.Encode("e", sent, "end")
	if err != nil {
		t.Fatal(err)
	}
	text := sio.Packet{Type: sio.Event, Namespace: "/n", ID: 3, HasID: true, Data: data, Attachments: attachments}.AppendText(nil)
	var d sio.Decoder
	p, ok, err := decode(&d, string(text), attachments...)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	args, err := sio.Args(p.Data)
	if err != nil || len(args) != 3 {
		t.Fatal(args, err)
	}
	var got file
	if err := sio.DecodeArg(args[1], p.Attachments, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sent) {
		t.Errorf("got %+v, want %+v", got, sent)
	}
}
