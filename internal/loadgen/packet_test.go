package loadgen_test

import (
	"encoding/json"
	"strings"
	"testing"

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
