package loadgen_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

func TestStringField(t *testing.T) {
	for in, want := range map[string]string{
		`0{"sid":"ab_-1","upgrades":[]}`:               "ab_-1",
		`40{"pid":"p","sid":"s"}`:                      "s",
		`40{"sid":"unclosed`:                           "",
		`40{"sid":""}`:                                 "",
		`40{"sid":7}`:                                  "",
		`40{"sid":"a\"b"}`:                             "",
		`40{"sid":"a b"}`:                              "",
		`40{"sid":"` + strings.Repeat("x", 257) + `"}`: "",
		`40`: "",
	} {
		if got, ok := loadgen.StringField([]byte(in), "sid"); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v", in, got, ok)
		}
	}
}

func TestLastString(t *testing.T) {
	for in, want := range map[string]string{
		`42["msg","data","offset"]`:                  "offset",
		`42["msg","data"]`:                           "data",
		`42["msg",7,"o"]`:                            "o",
		`42["msg","data",7]`:                         "",
		`42["msg",{"a":"b"}]`:                        "",
		`42["msg",{"a":"b"},"c"]`:                    "c",
		`42["msg"]`:                                  "",
		`42["msg","a\"b"]`:                           "",
		`42["msg","a\n"]`:                            "",
		`42["m","` + strings.Repeat("x", 257) + `"]`: "",
		`"]`:  "",
		`""]`: "",
		``:    "",
	} {
		if got := loadgen.LastString([]byte(in)); string(got) != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func FuzzLastString(f *testing.F) {
	f.Add([]byte(`42["msg","data","offset"]`))
	f.Add([]byte(`42["msg",{"a":"b"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := loadgen.LastString(b)
		if len(got) > 256 || strings.ContainsAny(string(got), `"\`) || !strings.HasSuffix(string(b), string(got)+`"]`) && got != nil {
			t.Fatalf("%q in %q", got, b)
		}
		var args []any
		if at := strings.IndexByte(string(b), '['); got != nil && at >= 0 && json.Unmarshal(b[at:], &args) == nil {
			if last, ok := args[len(args)-1].(string); !ok || utf8.Valid(b) && last != string(got) {
				t.Fatalf("%q is not the last of %q", got, b)
			}
		}
	})
}

func FuzzStringField(f *testing.F) {
	f.Add([]byte(`40{"sid":"abc","pid":"d"}`))
	f.Add([]byte(`"sid":"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, ok := loadgen.StringField(b, "sid")
		if quoted, _ := json.Marshal(v); ok && (v == "" || strings.ContainsAny(v, "\r\n \"\\") || len(quoted) < len(v)+2) {
			t.Fatalf("%q", v)
		}
	})
}
