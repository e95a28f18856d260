package cluster_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
)

const sender = "abcdefghijklmnop"

func messages() []*adapter.Message {
	return []*adapter.Message{
		{},
		{Kind: adapter.Broadcast, Data: []byte(`["e"]`)},
		{
			Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{"", "a"}, Except: []string{"b"}},
			Flags: adapter.Flags{Volatile: true, NoCompress: true, Timeout: 90 * time.Second},
			Data:  []byte(`["e",1]`), Attachments: [][]byte{{}, {1, 2, 3}},
		},
		{Kind: adapter.Join, Target: adapter.Target{Rooms: []string{"id"}}, Rooms: []string{"x", "y"}},
		{Kind: adapter.Disconnect, Close: true},
		{Kind: adapter.Disconnect, Target: adapter.Target{Rooms: []string{"id"}}, Close: true, Moved: true},
	}
}

func responses() []adapter.Response {
	return []adapter.Response{
		{}, {Last: true}, {Count: 5}, {SID: "id", Data: []byte(`[1]`), Attachments: [][]byte{{9}}},
		{Sockets: []adapter.SocketInfo{{ID: "a", Rooms: []string{"a", "r"}, Handshake: []byte("{}"), Data: []byte("null")}, {}}},
	}
}

func TestMessagesComeBack(t *testing.T) {
	for _, m := range messages() {
		nsp, got, err := buscluster.DecodeOp(buscluster.EncodeOp(nil, sender, "/n", m))
		if err != nil || nsp != "/n" || !reflect.DeepEqual(got, m) {
			t.Errorf("got %q %+v, %v; want %+v", nsp, got, err, m)
		}
	}
	for _, r := range responses() {
		got, failed, err := buscluster.DecodeResponse(buscluster.EncodeResponse(&r, true))
		if err != nil || !failed || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v; want %+v", got, err, r)
		}
	}
}

func TestTruncatedFramesAreErrors(t *testing.T) {
	for _, m := range messages() {
		whole := buscluster.EncodeOp(nil, sender, "/n", m)
		for i := range whole {
			if _, _, err := buscluster.DecodeOp(whole[:i]); err == nil {
				t.Fatalf("%d of %d bytes were accepted", i, len(whole))
			}
		}
	}
	for _, r := range responses() {
		whole := buscluster.EncodeResponse(&r, false)
		for i := range whole {
			if _, _, err := buscluster.DecodeResponse(whole[:i]); err == nil {
				t.Fatalf("%d of %d bytes were accepted", i, len(whole))
			}
		}
	}
}

// A later version may add elements to every array that stands for a record.
func TestUnknownElementsAreIgnored(t *testing.T) {
	const header, known = 36, 9
	frame := buscluster.EncodeOp(nil, sender, "/n", messages()[2])
	longer := append([]byte(nil), frame[:header]...)
	longer = msgp.AppendArrayHeader(longer, known+2)
	longer = append(longer, frame[header+1:]...)
	longer = msgp.AppendMapStrStr(longer, map[string]string{"new": "thing"})
	longer = msgp.AppendInt(longer, 7)
	if _, got, err := buscluster.DecodeOp(longer); err != nil || !reflect.DeepEqual(got, messages()[2]) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A length that the frame cannot hold is refused before it costs memory.
func TestClaimedLengthsCostNothing(t *testing.T) {
	frame := buscluster.EncodeOp(nil, sender, "/n", &adapter.Message{})
	at := len(frame) - 6 // the target's rooms
	frame = append(frame[:at:at], 0xdd, 0xff, 0xff, 0xff, 0xff)
	n := testing.AllocsPerRun(10, func() {
		if _, _, err := buscluster.DecodeOp(frame); err == nil {
			t.Fatal("accepted")
		}
	})
	if n > 5 {
		t.Errorf("%v allocations", n)
	}
}

func TestTokens(t *testing.T) {
	valid := regexp.MustCompile(`^[!-~]{1,64}$`)
	seen := make(map[string]string)
	for _, name := range []string{
		"", "a", "a b", "YQ", "~YQ", "~", "~~", "*", ">", "a.b", "a/b", "ü", "\x00", strings.Repeat("x", 64),
		strings.Repeat("x", 65), strings.Repeat("x", 66), strings.Repeat("ü", 32),
	} {
		token := buscluster.Token(name)
		if len(name) > 0 && strings.ContainsAny(token, ".*> ") || len(token) > 90 || len(name) < 40 && !valid.MatchString(token) {
			t.Errorf("%q became %q", name, token)
		}
		if other, ok := seen[token]; ok {
			t.Errorf("%q and %q share %q", name, other, token)
		}
		seen[token] = name
	}
	if got := buscluster.Token("user:42@eu/x-y_z=+"); got != "user:42@eu/x-y_z=+" {
		t.Errorf("a plain name became %q", got)
	}
}

func FuzzDecodeOp(f *testing.F) {
	for _, m := range messages() {
		f.Add(buscluster.EncodeOp(nil, sender, "/n", m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		nsp, m, err := buscluster.DecodeOp(b)
		if err != nil {
			return
		}
		again, m2, err := buscluster.DecodeOp(buscluster.EncodeOp(nil, sender, nsp, m))
		if err != nil || again != nsp || !reflect.DeepEqual(m, m2) {
			t.Errorf("%+v became %+v, %v", m, m2, err)
		}
	})
}

func FuzzDecodeResponse(f *testing.F) {
	for _, r := range responses() {
		f.Add(buscluster.EncodeResponse(&r, false))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, failed, err := buscluster.DecodeResponse(b)
		if err != nil {
			return
		}
		r2, failed2, err := buscluster.DecodeResponse(buscluster.EncodeResponse(&r, failed))
		if err != nil || failed != failed2 || !reflect.DeepEqual(r, r2) {
			t.Errorf("%+v became %+v, %v", r, r2, err)
		}
	})
}

func benchMessage() *adapter.Message {
	return &adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{"room:123456"}}, Data: make([]byte, 64)}
}

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	m := benchMessage()
	var buf []byte
	for b.Loop() {
		buf = buscluster.EncodeOp(buf[:0], sender, "/", m)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	frame := buscluster.EncodeOp(nil, sender, "/", benchMessage())
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if _, _, err := buscluster.DecodeOp(frame); err != nil {
			b.Fatal(err)
		}
	}
}
