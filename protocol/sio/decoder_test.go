package sio_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

// golden are packets and their text, both ways.
var golden = []struct {
	text   string
	packet sio.Packet
}{
	{`0`, sio.Packet{Type: sio.Connect}},
	{`0{"token":"123"}`, sio.Packet{Type: sio.Connect, Data: []byte(`{"token":"123"}`)}},
	{`0/admin,{"sid":"oSO0OpakMV_3jnilAAAA"}`, sio.Packet{Type: sio.Connect, Namespace: "/admin", Data: []byte(`{"sid":"oSO0OpakMV_3jnilAAAA"}`)}},
	{`0/admin,`, sio.Packet{Type: sio.Connect, Namespace: "/admin"}},
	{`0/admin?x=1,`, sio.Packet{Type: sio.Connect, Namespace: "/admin?x=1"}},
	{`1`, sio.Packet{Type: sio.Disconnect}},
	{`1/admin,`, sio.Packet{Type: sio.Disconnect, Namespace: "/admin"}},
	{`2["foo",1]`, sio.Packet{Type: sio.Event, Data: []byte(`["foo",1]`)}},
	{`2[1]`, sio.Packet{Type: sio.Event, Data: []byte(`[1]`)}},
	{`20["x"]`, sio.Packet{Type: sio.Event, HasID: true, Data: []byte(`["x"]`)}},
	{`2/admin,13["foo"]`, sio.Packet{Type: sio.Event, Namespace: "/admin", ID: 13, HasID: true, Data: []byte(`["foo"]`)}},
	{`29007199254740991["x"]`, sio.Packet{Type: sio.Event, ID: sio.MaxID, HasID: true, Data: []byte(`["x"]`)}},
	{`3/admin,13["bar"]`, sio.Packet{Type: sio.Ack, Namespace: "/admin", ID: 13, HasID: true, Data: []byte(`["bar"]`)}},
	{`312[]`, sio.Packet{Type: sio.Ack, ID: 12, HasID: true, Data: []byte(`[]`)}},
	{`4"message"`, sio.Packet{Type: sio.ConnectError, Data: []byte(`"message"`)}},
	{`4{"message":"Not authorized","data":{"code":"E001"}}`, sio.Packet{Type: sio.ConnectError, Data: []byte(`{"message":"Not authorized","data":{"code":"E001"}}`)}},
	{`4/random,{"message":"Invalid namespace"}`, sio.Packet{Type: sio.ConnectError, Namespace: "/random", Data: []byte(`{"message":"Invalid namespace"}`)}},
	{`51-["baz",{"_placeholder":true,"num":0}]`, sio.Packet{
		Type: sio.Event, Data: []byte(`["baz",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 3, 4}},
	}},
	{`52-/admin,["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, sio.Packet{
		Type: sio.Event, Namespace: "/admin",
		Data:        []byte(`["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`),
		Attachments: [][]byte{{1, 2}, {}},
	}},
	{`61-15["bar",{"_placeholder":true,"num":0}]`, sio.Packet{
		Type: sio.Ack, ID: 15, HasID: true, Data: []byte(`["bar",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{7}},
	}},
	{`61-0[1,{"b":{"_placeholder":true,"num":0}}]`, sio.Packet{
		Type: sio.Ack, HasID: true, Data: []byte(`[1,{"b":{"_placeholder":true,"num":0}}]`), Attachments: [][]byte{{7}},
	}},
	{`61-/admin,1[{"_placeholder":true,"num":0}]`, sio.Packet{
		Type: sio.Ack, Namespace: "/admin", ID: 1, HasID: true, Data: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}},
	}},
}

// decode feeds d a text and attachments.
func decode(d *sio.Decoder, text string, attachments ...[]byte) (p sio.Packet, ok bool, err error) {
	p, ok, err = d.Text([]byte(text))
	for _, a := range attachments {
		if ok || err != nil {
			return p, ok, errors.Join(err, errors.New("attachments left over"))
		}
		p, ok, err = d.Binary(a)
	}
	return p, ok, err
}

func show(p sio.Packet) string {
	return fmt.Sprintf("%v %s %d/%v %s %x", p.Type, p.Namespace, p.ID, p.HasID, p.Data, p.Attachments)
}

func TestGolden(t *testing.T) {
	var d sio.Decoder
	for _, tt := range golden {
		t.Run(tt.text, func(t *testing.T) {
			if got := string(tt.packet.AppendText([]byte("4"))); got != "4"+tt.text {
				t.Errorf("AppendText: got %q", got)
			}
			got, ok, err := decode(&d, tt.text, tt.packet.Attachments...)
			if err != nil || !ok {
				t.Fatalf("got ok=%v, %v", ok, err)
			}
			want := tt.packet
			if want.Namespace == "" {
				want.Namespace = "/"
			}
			if show(got) != show(want) {
				t.Errorf("got %s, want %s", show(got), show(want))
			}
			if d.Pending() || d.PendingBytes() != 0 {
				t.Error("still pending")
			}
		})
	}
}

// TestTolerates has texts that no encoder writes but that are unambiguous.
func TestTolerates(t *testing.T) {
	for text, want := range map[string]string{
		`0/admin`:                              `connect /admin 0/false  []`,
		`1/admin`:                              `disconnect /admin 0/false  []`,
		`0/`:                                   `connect / 0/false  []`,
		`0/,`:                                  `connect / 0/false  []`,
		`0/a"b,{}`:                             `connect /a"b 0/false {} []`,
		`2/,["a"]`:                             `event / 0/false ["a"] []`,
		"2[ \"a\" , 1 ] \r\n":                  `event / 0/false [ "a" , 1 ] []`,
		`2007["a"]`:                            `event / 7/true ["a"] []`,
		`2[-1.5e3]`:                            `event / 0/false [-1.5e3] []`,
		`2["\ud800"]`:                          `event / 0/false ["\ud800"] []`,
		`2["error"]`:                           `event / 0/false ["error"] []`,
		`2[""]`:                                `event / 0/false [""] []`,
		`2["a",{"_placeholder":true,"num":7}]`: `event / 0/false ["a",{"_placeholder":true,"num":7}] []`,
		`2/` + strings.Repeat("n", 1023) + `,["a"]`: `event /` + strings.Repeat("n", 1023) + ` 0/false ["a"] []`,
		`0/` + strings.Repeat("n", 1023):            `connect /` + strings.Repeat("n", 1023) + ` 0/false  []`,
	} {
		var d sio.Decoder
		p, ok, err := decode(&d, text)
		if err != nil || !ok {
			t.Errorf("%s: got ok=%v, %v", text, ok, err)
		} else if got := show(p); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestTextRefuses(t *testing.T) {
	million := strings.Repeat("1", 1e6)
	for _, text := range []string{
		"", "7", "8", "9", "999", "abc", "a", " 0", "/", "-1", "\x00",
		// Connect.
		"0[]", `0"s"`, "0null", "01", "01{}", "0true", "0/a,[]", "0{", "0{}{}", "0{},", "0/a,{}x", " 0{}", "0 {}", "0admin", "0,",
		// Disconnect.
		"1{}", "1/admin,{}", "1[]", "1null", "11", "1 ", "1x",
		// Event.
		"2", "2/admin,", "2/admin", "212", "2{}", "2[]", `2"a"`, "2null", `2abc["a"]`, `2 ["a"]`, `2-1["a"]`, `21.5["a"]`, `21-["a"]`,
		"2[true]", "2[null]", "2[{}]", `2[{"toString":"foo"}]`, "2[[]]", `2[["a"]]`, `2["a"`, `2["a",]`, `2["a"]]`, `2["a"]x`, `2["a]`, "2[,]", "2[1,,2]",
		`2/admin["a"]`, `2["a"],`, "2[\"a\"]\v", "2[01]", "2[+1]", "2[.5]", "2[1.]", "2[1e]", "2[-]", "2[NaN]", "2['a']",
		"2[\"a\x00\"]", "2[\"\x1e\"]", "2[\"\n\"]", `2["\x41"]`, `2["\u12g4"]`, `2["\u12`, `2["\`, "2[\"a\xff\"]", "2[\"\xed\xa0\x80\"]", "2[\"\xc0\x80\"]",
		"2[1]\xff", `2["a",{"b"}]`, `2["a",{"b":}]`, `2["a",{b:1}]`, `2["a",{"b":1,}]`, `2["a",{,}]`, `2["a",{"b":1]]`, `2["a",tru]`, `2["a",truee]`, "2[\ufeff1]",
		// Reserved names, also when spelled otherwise.
		`2["connect"]`, `2["connect_error"]`, `2["disconnect","x"]`, `2["disconnecting"]`, `2["newListener"]`, `2["removeListener"]`,
		`2["\u0063onnect"]`, `2[ "disc\u006fnnect"]`,
		// Ack.
		"3", "31", "3[]", "31{}", `31"a"`, "3/a,[]", "31[1",
		// Connect error.
		"4", "4/a,", `4["x"]`, "41{}", "4null", "41", `442["some","data"`, `4"a`, `4{"a"`,
		// Attachments.
		"5", "51", "5a-", "5a-[]", "51.23-", "5-", `5-["a"]`, `50-["a"]`, `60-["a"]`, `500-["a"]`, `5-1-["a"]`, `511-["a"]`, `5999999-["a"]`, `51["a"]`, `5["a"]`, "51-", "51-{}",
		`51- ["a"]`, `5 1-["a"]`, `5+1-["a"]`, `51e0-["a"]`, `51-[]`, `51-["connect"]`, `51-[{"_placeholder":true,"num":0}]`, `61-["a"]`, `6["a"]`, "6", "5woooot",
		// Lengths.
		"2" + million, "2" + million + `["a"]`, "5" + million + `-["a"]`, "5" + strings.Repeat("0", 1e6) + `1-["a"]`, "2" + strings.Repeat("0", 1e6) + `["a"]`,
		"0/" + million, "0/" + million + ",", `2/` + strings.Repeat("n", 1024) + `,["a"]`, `29007199254740992["a"]`, `218446744073709551616["a"]`,
		// Namespaces.
		"0/a\x1eb,", "0/a\nb", "0/\x7f,", "0/\xff,", "0/a\xc3",
		// Depth.
		"2" + strings.Repeat("[", 1e6), `2["a",` + strings.Repeat("[", 512) + strings.Repeat("]", 512) + "]", `2["a",` + strings.Repeat(`{"a":`, 10000),
	} {
		var d sio.Decoder
		_, ok, err := d.Text([]byte(text))
		var syntax *sio.SyntaxError
		if len(text) > 80 {
			text = text[:80] + "..."
		}
		if ok || !errors.As(err, &syntax) || syntax.Reason == "" || !strings.HasPrefix(err.Error(), "socketeer: ") {
			t.Errorf("%q: got ok=%v, error %v, want a SyntaxError", text, ok, err)
		}
		if d.Pending() {
			t.Errorf("%q: pending after an error", text)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	deep := func(s string, n int) string {
		return strings.Repeat(`{"x":[`, n) + s + strings.Repeat(`]}`, n)
	}
	for value, valid := range map[string]bool{
		`{"_placeholder":true,"num":0}`:                                 true,
		`{"_placeholder":true,"num":1}`:                                 true,
		`{"num":1,"_placeholder":true}`:                                 true,
		"{ \"_placeholder\" : true ,\r\n\"num\" : 1\t}":                 true,
		`{"\u005fplaceholder":true,"\u006eum":1}`:                       true,
		`{"_placeholder":true,"num":0,"more":[{"num":7}]}`:              true,
		`{"_placeholder":true,"num":9,"num":0}`:                         true,
		`[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`: true, // repeated
		`{"_placeholder":false,"num":"x"}`:                              true, // none
		`{"_placeholder":true,"_placeholder":false}`:                    true, // none
		`{"_placeholder":1,"num":7}`:                                    true, // none
		`{"_placeholder":"true"}`:                                       true, // none
		`["_placeholder",true]`:                                         true, // none
		`{"x":{"_placeholder":null},"num":-1}`:                          true, // none
		deep(`{"_placeholder":true,"num":1}`, 255):                      true,
		`{"_placeholder":true,"num":2}`:                                 false,
		`{"_placeholder":true,"num":-1}`:                                false,
		`{"_placeholder":true,"num":0.5}`:                               false,
		`{"_placeholder":true,"num":1.0}`:                               false,
		`{"_placeholder":true,"num":1e0}`:                               false,
		`{"_placeholder":true,"num":"0"}`:                               false,
		`{"_placeholder":true,"num":"splice"}`:                          false,
		`{"_placeholder":true,"num":null}`:                              false,
		`{"_placeholder":true,"num":true}`:                              false,
		`{"_placeholder":true,"num":[0]}`:                               false,
		`{"_placeholder":true,"num":{"num":0}}`:                         false,
		`{"_placeholder":true}`:                                         false,
		`{"_placeholder":true,"Num":0}`:                                 false,
		`{"_placeholder":true,"num":0,"num":9}`:                         false,
		`{"_placeholder":true,"num":1` + strings.Repeat("0", 400) + `}`: false,
		`{"_placeholder":true,"num":18446744073709551616}`:              false,
		`{"x":{"_placeholder":true},"num":0}`:                           false,
		`{"_placeholder":true,"x":{"num":0}}`:                           false,
		deep(`{"_placeholder":true,"num":2}`, 255):                      false,
		deep(`{"_placeholder":true,"num":0}`, 5000):                     false,
	} {
		var d sio.Decoder
		_, ok, err := d.Text([]byte(`52-["e",` + value + `]`))
		if ok || (err == nil) != valid || d.Pending() != valid {
			t.Errorf("%.80s: got ok=%v, pending=%v, error %v, want valid=%v", value, ok, d.Pending(), err, valid)
		}
	}
}

func TestMaxAttachments(t *testing.T) {
	for _, tt := range []struct {
		limit, count int
		ok           bool
	}{
		{0, 10, true}, {0, 11, false}, {3, 3, true}, {3, 4, false}, {1000, 1000, true}, {-1, 1, false},
	} {
		d := sio.Decoder{MaxAttachments: tt.limit}
		_, _, err := d.Text(fmt.Appendf(nil, `5%d-["e"]`, tt.count))
		if (err == nil) != tt.ok {
			t.Errorf("limit %d, count %d: got %v", tt.limit, tt.count, err)
		}
	}
}

func TestAssembly(t *testing.T) {
	var d sio.Decoder
	text := []byte(`52-["e",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)
	if _, ok, err := d.Text(text); ok || err != nil {
		t.Fatal(ok, err)
	}
	size := len(text) - len("52-")
	if !d.Pending() || d.PendingBytes() != size {
		t.Errorf("pending %v, %d bytes, want %d", d.Pending(), d.PendingBytes(), size)
	}
	for i := range text { // the decoder must have its own copy
		text[i] = 'x'
	}
	if _, ok, err := d.Binary([]byte("first")); ok || err != nil {
		t.Fatal(ok, err)
	}
	if d.PendingBytes() != size+5 {
		t.Errorf("pending %d bytes, want %d", d.PendingBytes(), size+5)
	}
	p, ok, err := d.Binary([]byte("second"))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if !bytes.HasPrefix(p.Data, []byte(`["e",`)) || len(p.Attachments) != 2 || string(p.Attachments[1]) != "second" {
		t.Errorf("got %s", show(p))
	}
	if d.Pending() || d.PendingBytes() != 0 {
		t.Error("still pending")
	}
}

func TestOutOfTurn(t *testing.T) {
	var d sio.Decoder
	if _, ok, err := d.Binary([]byte{1}); ok || err == nil {
		t.Error("binary data without a packet is accepted")
	}
	if _, _, err := d.Text([]byte(`51-["e"]`)); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := d.Text([]byte(`2["e"]`)); ok || err == nil {
		t.Error("text while attachments are missing is accepted")
	}
	if _, ok, err := d.Binary([]byte{1}); ok || err == nil {
		t.Error("an attachment of an abandoned packet is accepted")
	}
	if _, ok, err := d.Text([]byte(`2["e"]`)); !ok || err != nil {
		t.Errorf("the decoder is not as new after an error: %v, %v", ok, err)
	}
}

// TestNoMemory holds the promise that makes a decoder per connection cheap.
func TestNoMemory(t *testing.T) {
	var d sio.Decoder
	for _, text := range []string{event64, eventAck64, `0/chat,{"token":"x"}`, `342["\u00e9"]`} {
		b := []byte(text)
		if n := testing.AllocsPerRun(100, func() {
			if _, ok, err := d.Text(b); err != nil || !ok {
				t.Error(ok, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}
