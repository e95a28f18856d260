package sio_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

type (
	blob     []byte // no JSON of its own: becomes an attachment
	hexBlob  []byte // has JSON of its own
	textBlob []byte // has text of its own

	user struct {
		Name string `json:"name"`
		Age  int    `json:"age,omitempty"`
	}
	file struct {
		Name   string          `json:"name"`
		Body   []byte          `json:"body"`
		Extra  json.RawMessage `json:"extra,omitempty"`
		Parts  []blob          `json:"parts,omitempty"`
		Any    any             `json:"any,omitempty"`
		Next   *file           `json:"next,omitempty"`
		secret []byte
	}
	embeds struct {
		file
		Own []byte
	}
)

func (b hexBlob) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"%x"`, []byte(b)), nil }

func (b *hexBlob) UnmarshalJSON(raw []byte) error {
	_, err := fmt.Sscanf(string(raw), `"%x"`, (*[]byte)(b))
	return err
}

func (b textBlob) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "<%s>", []byte(b)), nil }

func (b *textBlob) UnmarshalText(text []byte) error {
	*b = []byte(strings.Trim(string(text), "<>"))
	return nil
}

func ph(n int) string { return string(sio.AppendPlaceholder(nil, n)) }

func list(args ...any) []any { return args }

func TestEncode(t *testing.T) {
	one, two, three := []byte{1}, []byte{2}, []byte{3}
	for _, tt := range []struct {
		args        []any
		json        string
		attachments [][]byte
	}{
		{list(), `[]`, nil},
		{list("foo", 1), `["foo",1]`, nil},
		{list("a", nil, true, false), `["a",null,true,false]`, nil},
		{list(-1, int8(-8), int16(16), int32(-32), int64(math.MinInt64)), `[-1,-8,16,-32,-9223372036854775808]`, nil},
		{list(uint(1), uint8(8), uint16(16), uint32(32), uint64(math.MaxUint64)), `[1,8,16,32,18446744073709551615]`, nil},
		{list(1.5, -2.0, 1e21, 1e-7, float32(0.1), 0.0, math.Copysign(0, -1)), `[1.5,-2,1e+21,1e-7,0.1,0,0]`, nil},
		{list("<b>&\"\\\n\x01€😀"), `["<b>&\"\\\n\u0001€😀"]`, nil},
		{list("\xff", user{Name: "\xff"}, map[string]any{"\xff": "\xff"}), `["�",{"name":"\ufffd"},{"�":"�"}]`, nil},
		{list(json.RawMessage(" {\"a\": 1}\n"), json.RawMessage(nil)), `[{"a": 1},null]`, nil},
		{list(user{Name: "<x>"}, &user{Name: "y", Age: 3}), `[{"name":"<x>"},{"name":"y","age":3}]`, nil},
		{list((*user)(nil), []string(nil), map[string]int(nil), (*[]byte)(nil), []any(nil), map[string]any(nil)), `[null,null,null,null,null,null]`, nil},
		{list([]any{}, map[string]any{}, []string{}), `[[],{},[]]`, nil},
		{list(time.Unix(1700000000, 0).UTC()), `["2023-11-14T22:13:20Z"]`, nil},
		{list(map[string]int{"b": 2, "a": 1}), `[{"a":1,"b":2}]`, nil},
		{list(map[string]any{"b": "<", "a": []any{1.5, nil}}), `[{"a":[1.5,null],"b":"<"}]`, nil},
		{list([3]byte{1, 2, 3}, []int8{1}), `[[1,2,3],[1]]`, nil},
		{list(hexBlob{0xab}, &hexBlob{0xcd}, textBlob("x"), []any{hexBlob{1}, textBlob("y")}), `["ab","cd","<x>",["01","<y>"]]`, nil},
		{list(json.RawMessage(`{"_placeholder":true,"num":0}`)), `[{"_placeholder":true,"num":0}]`, nil},

		{list("baz", one, two), `["baz",` + ph(0) + `,` + ph(1) + `]`, [][]byte{one, two}},
		{list([]byte{}, []byte(nil)), `[` + ph(0) + `,null]`, [][]byte{{}}},
		{list(blob{1}, &two, list(list(three))), `[` + ph(0) + `,` + ph(1) + `,[[` + ph(2) + `]]]`, [][]byte{one, two, three}},
		{list(map[string][]byte{"b": two, "a": one}), `[{"a":` + ph(0) + `,"b":` + ph(1) + `}]`, [][]byte{one, two}},
		{list(map[int]any{10: two, 9: one}), `[{"10":` + ph(0) + `,"9":` + ph(1) + `}]`, [][]byte{two, one}},
		{list(map[string]any{"x": map[string]any{"y": one}, "a": []byte(nil)}, two), `[{"a":null,"x":{"y":` + ph(0) + `}},` + ph(1) + `]`, [][]byte{one, two}},
		{
			list(file{Name: "<f>", Body: one, Extra: json.RawMessage(`{"a":[1]}`), Parts: []blob{{2}}, Next: &file{Body: three}, secret: one}),
			`[{"name":"<f>","body":` + ph(0) + `,"extra":{"a":[1]},"parts":[` + ph(1) + `],"next":{"name":"","body":` + ph(2) + `}}]`,
			[][]byte{one, two, three},
		},
		{list(embeds{file: file{Body: one}, Own: two}), `[{"name":"","body":` + ph(0) + `,"Own":` + ph(1) + `}]`, [][]byte{one, two}},
		{list([]hexBlob{{1}}, one), `[["01"],` + ph(0) + `]`, [][]byte{one}},
	} {
		data, attachments, err := sio.Encode(tt.args...)
		if err != nil {
			t.Errorf("%v: %v", tt.args, err)
			continue
		}
		if string(data) != tt.json {
			t.Errorf("got  %s\nwant %s", data, tt.json)
		}
		if !reflect.DeepEqual(attachments, tt.attachments) {
			t.Errorf("%s: got attachments %x, want %x", data, attachments, tt.attachments)
		}
		if !json.Valid(data) {
			t.Errorf("%s is invalid", data)
		}
	}
}

func TestEncodeAliasesAttachments(t *testing.T) {
	b := []byte{1}
	_, attachments, err := sio.Encode("e", b)
	if err != nil {
		t.Fatal(err)
	}
	if &attachments[0][0] != &b[0] {
		t.Error("the attachment is a copy")
	}
}

func TestAppendArgs(t *testing.T) {
	dst := sio.Packet{Type: sio.Event, Namespace: "/a", ID: 7, HasID: true}.AppendHeader([]byte("4"))
	got, _, err := sio.AppendArgs(dst, "e", 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := `42/a,7["e",1]`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

type failing struct{ err error }

func (f failing) MarshalJSON() ([]byte, error) { return nil, f.err }

func TestEncodeErrors(t *testing.T) {
	cycle := map[string]any{}
	cycle["self"] = list(cycle)
	deep := any(1)
	for range sio.MaxDepth {
		deep = []any{deep}
	}
	for _, args := range [][]any{
		{math.NaN()}, {math.Inf(1)}, {float32(math.Inf(-1))}, {map[string]any{"x": math.NaN()}}, {[]float64{math.NaN()}},
		{make(chan int)}, {func() {}}, {1i}, {map[string]any{"x": make(chan int)}}, {cycle},
		{json.RawMessage("")}, {json.RawMessage("{")}, {json.RawMessage("1 2")}, {json.RawMessage("\"\xff\"")},
		{"e", []byte{1}, json.RawMessage(ph(0))},
		{"e", []byte{1}, json.RawMessage(ph(1))},
		{"e", json.RawMessage(`{"\u005fplaceholder":true}`), []byte{1}},
		{"e", []byte{1}, map[string]any{"_placeholder": true, "num": 0}},
		{"e", deep}, {"e", map[string]any{"x": deep}}, {"e", []byte{1}, json.RawMessage(strings.Repeat("[", sio.MaxDepth) + strings.Repeat("]", sio.MaxDepth))},
	} {
		data, attachments, err := sio.Encode(args...)
		if err == nil || data != nil || attachments != nil || !strings.HasPrefix(err.Error(), "socketeer: encode argument") {
			t.Errorf("%T %.40v: got %.80s, %v", args[0], args, data, err)
		}
	}
	if _, _, err := sio.Encode(deep.([]any)...); err != nil {
		t.Errorf("as deep as it may be: %v", err)
	}
	boom := errors.New("boom")
	for _, arg := range []any{failing{boom}, []any{failing{boom}}} {
		if _, _, err := sio.Encode("e", arg); !errors.Is(err, boom) || !strings.Contains(err.Error(), "argument 1") {
			t.Errorf("got %v, want it to wrap the error of MarshalJSON", err)
		}
	}
}

// TestEncodeIsUTF8 has JSON that encoding/json passes on unchecked.
func TestEncodeIsUTF8(t *testing.T) {
	bad := json.RawMessage("\"\xff\"")
	for _, arg := range []any{[]json.RawMessage{bad}, []any{bad}, struct{ R json.RawMessage }{bad}} {
		data, _, err := sio.Encode("e", arg)
		if err == nil && strings.Contains(string(data), "\xff") {
			t.Errorf("%T: got %q", arg, data)
		}
	}
}
