package sio_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

func TestValue(t *testing.T) {
	const one, two = `{"_placeholder":true,"num":1}`, `{"num": 0, "x":[ 1.50 ],"_placeholder":true}`
	came := [][]byte{[]byte("zero"), []byte("one")}
	data := []byte(`["e", {"a":` + one + `,"b":[` + two + `,` + one + `]} , 7,{"_placeholder":false,"num":9}]`)
	for name, tc := range map[string]struct {
		args        []any
		data        string
		attachments []string
	}{
		"alone": {
			[]any{sio.ValueOf(data, 1, came)},
			`[{"a":{"_placeholder":true,"num":0},"b":[{"num": 1, "x":[ 1.50 ],"_placeholder":true},{"_placeholder":true,"num":2}]}]`,
			[]string{"one", "zero", "one"},
		},
		"behind others": {
			[]any{[]byte("own"), []any{sio.ValueOf([]byte(`["e",`+one+`]`), 1, came)}, map[string]any{"k": sio.ValueOf(data, 2, came)}},
			`[{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}],{"k":7}]`,
			[]string{"own", "one"},
		},
		"nested": {
			[]any{sio.ValueOf([]byte(`[{"_placeholder":true,"x":`+one+`,"num":0}]`), 0, came)},
			`[{"_placeholder":true,"x":{"_placeholder":true,"num":0},"num":1}]`,
			[]string{"one", "zero"},
		},
		"the last number counts": {
			[]any{sio.ValueOf([]byte(`[{"num":0,"_placeholder":true,"num":1}]`), 0, came)},
			`[{"num":0,"_placeholder":true,"num":0}]`,
			[]string{"one"},
		},
		"no placeholder":       {[]any{sio.ValueOf(data, 3, came)}, `[{"_placeholder":false,"num":9}]`, nil},
		"no attachment":        {[]any{sio.ValueOf([]byte(`["e",{"a": 1}]`), 1, nil)}, `[{"a": 1}]`, nil},
		"no such argument":     {[]any{sio.ValueOf(data, 4, came), sio.ValueOf(data, -1, nil), sio.Value{}}, `[null,null,null]`, nil},
		"in a struct, as JSON": {[]any{struct{ V sio.Value }{sio.ValueOf(data, 2, came)}}, `[{"V":7}]`, nil},
	} {
		got, attachments, err := sio.Encode(tc.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if string(got) != tc.data {
			t.Errorf("%s: got %s, want %s", name, got, tc.data)
		}
		if !slices.EqualFunc(attachments, tc.attachments, func(b []byte, s string) bool { return string(b) == s }) {
			t.Errorf("%s: attachments %q", name, attachments)
		}
	}
}

func TestValueErrors(t *testing.T) {
	came := [][]byte{[]byte("zero")}
	held := struct{ V sio.Value }{sio.ValueOf([]byte(`[{"_placeholder":true,"num":0}]`), 0, came)}
	if _, _, err := sio.Encode(held); err == nil || !strings.Contains(err.Error(), "nowhere else") {
		t.Errorf("in a struct: %v", err)
	}
	if _, _, err := sio.Encode(sio.ValueOf([]byte(`[{"_placeholder":true,"num":1}]`), 0, came)); err == nil {
		t.Error("an attachment that did not come is sent on")
	}
}

// What is decoded and what is sent on and then decoded are the same.
func FuzzValue(f *testing.F) {
	f.Add([]byte(`["e",{"_placeholder":true,"num":0}]`), []byte("a"), []byte("b"))
	f.Add([]byte(`["e",{"num":1,"x":{"_placeholder":true,"num":0},"_placeholder":true}]`), []byte(""), []byte("b"))
	f.Fuzz(func(t *testing.T, data, a, b []byte) {
		came := [][]byte{a, b}
		var want any
		raw := sio.Arg(data, 1)
		if raw == nil || !json.Valid(raw) || sio.DecodeArg(raw, came, &want) != nil {
			return
		}
		out, attachments, err := sio.Encode(nil, sio.ValueOf(data, 1, came))
		if err != nil {
			return // what looks like a placeholder and is none
		}
		var got any
		if err := sio.DecodeArg(sio.Arg(out, 1), attachments, &got); err != nil {
			t.Fatalf("%s became %s: %v", raw, out, err)
		}
		x, _ := json.Marshal(want)
		y, _ := json.Marshal(got)
		if !bytes.Equal(x, y) {
			t.Errorf("%s became %s: %s, %s", raw, out, x, y)
		}
	})
}
