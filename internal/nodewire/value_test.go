package nodewire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/internal/nodewire"
)

func TestRecordedValues(t *testing.T) {
	for _, v := range recorded(t).Values {
		name := v.JSON
		if len(name) > 40 {
			name = name[:40]
		}
		t.Run(name, func(t *testing.T) {
			for _, b := range []string{v.Notepack, v.Msgpack} {
				if b == "" {
					continue
				}
				text, attachments, err := nodewire.Unpack(unhex(t, b), false)
				if err != nil || string(text) != v.JSON || fmt.Sprintf("%x", attachments) != fmt.Sprint(v.Attachments) {
					t.Errorf("%x is %s with %x, %v", b, text, attachments, err)
				}
			}
			if !v.Exact {
				return
			}
			want := v.Notepack
			if want == "" {
				want = v.Msgpack
			}
			var attachments [][]byte
			for _, a := range v.Attachments {
				attachments = append(attachments, unhex(t, a))
			}
			got, err := nodewire.AppendPacked(nil, []byte(v.JSON), attachments)
			if err != nil || fmt.Sprintf("%x", got) != want {
				t.Errorf("packed to %.100x, want %.100s, %v", got, want, err)
			}
		})
	}
}

func TestUnpack(t *testing.T) {
	for name, tt := range map[string]struct{ hex, want string }{
		"undefined of old in an array": {"92d4000001", `[null,1]`},
		"undefined of old in a map":    {"83a161d40000a16201a163d40000", `{"b":1}`},
		"undefined of old":             {"d40000", `null`},
		"date of old":                  {"d7000000018bcfe5687b", `"2023-11-14T22:13:20.123Z"`},
		"date of old, invalid":         {"d7007fffffffffffffff", `null`},
		"timestamp 32":                 {"d6ff6553f100", `"2023-11-14T22:13:20.000Z"`},
		"timestamp 64":                 {"d7ff1d5353006553f100", `"2023-11-14T22:13:20.123Z"`},
		"timestamp 96, before 1970":    {"c70cff00000001ffffffffffffffff", `"1969-12-31T23:59:59.001Z"`}, // dropped towards 1970
		"timestamp 96, invalid":        {"c70cff000000007fffffffffffffff", `null`},
		"timestamp 96, invalid before": {"c70cff000000008000000000000000", `null`},
		"array buffer of old":          {"c7020007d4", `{"_placeholder":true,"num":0}`},
		"array buffer of one byte":     {"c70100d4", `{"_placeholder":true,"num":0}`},
		"longer array buffer":          {"c900000001 00 01", `{"_placeholder":true,"num":0}`},
		"extension":                    {"d405aa", `[5,{"_placeholder":true,"num":0}]`},
		"float 32":                     {"ca3fc00000", `1.5`},
		"float 32, not exact":          {"ca3dcccccd", `0.10000000149011612`},
		"nan":                          {"93ca7fc00000cb7ff0000000000000cbfff0000000000000", `[null,null,null]`},
		"minus zero":                   {"cb8000000000000000", `0`},
		"keys":                         {"860102ff03c004c305cb3ff800000000000006c4016107", `{"1":2,"-1":3,"null":4,"true":5,"1.5":6,"a":7}`},
		"text that is no UTF-8":        {"a3ff61fe", "\"\uFFFDa\uFFFD\""},
		"lone surrogate":               {"a3eda080", "\"\uFFFD\uFFFD\uFFFD\""},
		"uint 64":                      {"cfffffffffffffffff", `18446744073709551615`},
		"int 64":                       {"d38000000000000000", `-9223372036854775808`},
		"wide forms":                   {"93d17fffd30000000000000001d0ff", `[32767,1,-1]`},
	} {
		t.Run(name, func(t *testing.T) {
			text, _, err := nodewire.Unpack(unhex(t, tt.hex), false)
			if err != nil || string(text) != tt.want {
				t.Errorf("got %s, %v", text, err)
			}
		})
	}
}

func TestUnpackInline(t *testing.T) {
	text, _, err := nodewire.Unpack(unhex(t, "92c4030102ffc400"), true)
	if want := `[{"type":"Buffer","data":[1,2,255]},{"type":"Buffer","data":[]}]`; err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestPack(t *testing.T) {
	attachments := [][]byte{{1}, {2}}
	for name, tt := range map[string]struct{ json, hex string }{
		"integers as JavaScript has them": {`[1.0,1e3,-0,-0.0,-2E1,9007199254740992.0]`, "96 01 cd03e8 00 00 ec cf0020000000000000"},
		"large":                           {`[18446744073709551615,-9223372036854775808,18446744073709551616]`, "93cfffffffffffffffffd38000000000000000cb43f0000000000000"},
		"beyond float64":                  {`[1e999,-1e999]`, "92c0c0"},
		"escapes":                         {`"\u00e9\ud83d\ude00\n\/\"\ud83dx\ude00"`, "b0c3a9f09f98800a2f22efbfbd78efbfbd"},
		"placeholder":                     {`{"_placeholder":true,"num":1}`, "c40102"},
		"placeholder, odd":                {` { "x" : [1] , "num" : 1.0 , "\u005fplaceholder" : true } `, "c40102"},
		"placeholder twice":               {`[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`, "92c40101c40101"},
		"last member counts":              {`{"_placeholder":false,"num":9,"_placeholder":true,"num":0}`, "c40101"},
		"names no attachment":             {`{"_placeholder":true,"num":2}`, "82ac5f706c616365686f6c646572c3a36e756d02"},
		"negative":                        {`{"_placeholder":true,"num":-1}`, "82ac5f706c616365686f6c646572c3a36e756dff"},
		"without number":                  {`{"_placeholder":true}`, "81ac5f706c616365686f6c646572c3"},
		"not true":                        {`{"_placeholder":1,"num":0}`, "82ac5f706c616365686f6c64657201a36e756d00"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := nodewire.AppendPacked(nil, []byte(tt.json), attachments)
			if want := unhex(t, tt.hex); err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %x, %v", got, err)
			}
		})
	}
}

// TestPackLengths compares the headers of all widths with the library's.
func TestPackLengths(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 70000} {
		text := strings.Repeat("x", n)
		if got, _ := nodewire.AppendPacked(nil, []byte(`"`+text+`"`), nil); !bytes.Equal(got, msgp.AppendString(nil, text)) {
			t.Errorf("text of %d: %.20x", n, got)
		}
		escaped := strings.Repeat(`\u0078`, n)
		if got, _ := nodewire.AppendPacked(nil, []byte(`"`+escaped+`"`), nil); !bytes.Equal(got, msgp.AppendString(nil, text)) {
			t.Errorf("escaped text of %d: %.20x", n, got)
		}
		list := "[" + strings.TrimSuffix(strings.Repeat("[0,7],", n), ",") + "]"
		want := append(msgp.AppendArrayHeader(nil, uint32(n)), bytes.Repeat([]byte{0x92, 0, 7}, n)...)
		if got, _ := nodewire.AppendPacked(nil, []byte(list), nil); !bytes.Equal(got, want) {
			t.Errorf("array of %d: %.20x", n, got)
		}
		object := "{" + strings.TrimSuffix(strings.Repeat(`"a":7,`, n), ",") + "}"
		want = append(msgp.AppendMapHeader(nil, uint32(n)), bytes.Repeat([]byte{0xa1, 'a', 7}, n)...)
		if got, _ := nodewire.AppendPacked(nil, []byte(object), nil); !bytes.Equal(got, want) {
			t.Errorf("map of %d: %.20x", n, got)
		}
	}
}

func TestDepth(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	packed := func(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n), 0xc0) }
	if _, err := nodewire.AppendPacked(nil, nested(nodewire.MaxDepth), nil); err != nil {
		t.Error(err)
	}
	if _, err := nodewire.AppendPacked(nil, nested(nodewire.MaxDepth+1), nil); !errors.Is(err, nodewire.ErrDepth) {
		t.Error(err)
	}
	if err := nodewire.SkipJSON(nested(nodewire.MaxDepth)); err != nil {
		t.Error(err)
	}
	if err := nodewire.SkipJSON(nested(nodewire.MaxDepth + 1)); !errors.Is(err, nodewire.ErrDepth) {
		t.Error(err)
	}
	if _, _, err := nodewire.Unpack(packed(nodewire.MaxDepth), false); err != nil {
		t.Error(err)
	}
	if _, _, err := nodewire.Unpack(packed(nodewire.MaxDepth+1), false); !errors.Is(err, nodewire.ErrDepth) {
		t.Error(err)
	}
}

// TestClaims holds lengths that are claimed against what they cost.
func TestClaims(t *testing.T) {
	for _, h := range []string{
		"ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff", "c9ffffffff00", "df7fffffff c0 c0", "dc000201", "de000101", "dd 00000002 dd ffffffff",
	} {
		b := unhex(t, h)
		if n := testing.AllocsPerRun(10, func() {
			if _, _, err := nodewire.Unpack(b, false); !errors.Is(err, nodewire.ErrMalformed) {
				t.Error(h, err)
			}
		}); n > 2 {
			t.Errorf("%s costs %v allocations", h, n)
		}
	}
}

var badJSON = []string{
	``, ` `, `[`, `{`, `]`, `[1,]`, `[,1]`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{1:2}`, `[1 2]`, `01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `tru`, `nulL`,
	`"`, `"\`, `"\x"`, `"\u12g4"`, `"\u12"`, "\"\n\"", `[1}`, `{"a":1]`, `1 2`, `NaN`, `'a'`, `[[]`, `{"a":{}`,
}

func TestBadJSON(t *testing.T) {
	for _, text := range badJSON {
		if err := nodewire.SkipJSON([]byte(text)); !errors.Is(err, nodewire.ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
		dst := []byte("before")
		got, err := nodewire.AppendPacked(dst, []byte(text), nil)
		if !errors.Is(err, nodewire.ErrMalformed) || string(got) != "before" {
			t.Errorf("%q: %v, %q", text, err, got)
		}
	}
}

// FuzzJSON compares the scanner with the standard library's, and the way to
// msgpack and back with where it began.
func FuzzJSON(f *testing.F) {
	for _, text := range badJSON {
		f.Add([]byte(text))
	}
	for _, v := range recorded(f).Values {
		f.Add([]byte(v.JSON))
	}
	f.Add([]byte(`[{"_placeholder":true,"num":0},"\ud800\udc00\ud800",1e400,-0.0,1E-7]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		clean := bytes.ToValidUTF8(text, []byte("\uFFFD"))
		err := nodewire.SkipJSON(clean)
		if valid := json.Valid(clean); valid != (err == nil) && !errors.Is(err, nodewire.ErrDepth) {
			t.Fatalf("valid %t, but %v", valid, err)
		}
		attachments := [][]byte{{1}, {}}
		packed, packErr := nodewire.AppendPacked(nil, text, attachments)
		if (packErr == nil) != (err == nil) {
			t.Fatalf("scanned with %v, packed with %v", err, packErr)
		}
		if err != nil {
			return
		}
		back, found, err := nodewire.Unpack(packed, false)
		if err != nil || !json.Valid(back) {
			t.Fatalf("%s comes back as %s, %v", text, back, err)
		}
		again, err := nodewire.AppendPacked(nil, back, found)
		if err != nil {
			t.Fatal(err)
		}
		// Placeholders without attachment may have got one.
		if !bytes.Contains(packed, []byte("_placeholder")) && !bytes.Equal(again, packed) {
			t.Fatalf("%x became %x", packed, again)
		}
	})
}

// FuzzUnpack checks that whatever is accepted becomes valid JSON of bounded
// size.
func FuzzUnpack(f *testing.F) {
	for _, v := range recorded(f).Values {
		for _, b := range []string{v.Notepack, v.Msgpack} {
			f.Add(unhex(f, b))
		}
	}
	f.Add(unhex(f, "83a161d40000a16201a163d40000"))
	f.Add(unhex(f, "93d7000000018bcfe5687bc7020007d4c70cff00000001ffffffffffffffff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, inline := range []bool{false, true} {
			text, attachments, err := nodewire.Unpack(b, inline)
			if err != nil {
				continue
			}
			if !json.Valid(text) || len(text) > 40*len(b) {
				t.Fatalf("%x became %s", b, text)
			}
			if _, err := nodewire.AppendPacked(nil, text, attachments); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestFloats(t *testing.T) {
	for _, f := range []float64{1e-7, 1.5e-10, 1e21, 1e100, 1e-6, 123456789012345680000, math.MaxFloat64, math.SmallestNonzeroFloat64, -2.5} {
		text, _, err := nodewire.Unpack(msgp.AppendFloat64(nil, f), false)
		want, _ := json.Marshal(f)
		if err != nil || !slices.Equal(text, want) {
			t.Errorf("%v is %s, want %s", f, text, want)
		}
	}
}
