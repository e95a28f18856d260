package nodewire_test

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/nodewire"
)

// unhex also takes spaces.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	clean := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		if c != ' ' {
			clean = append(clean, c)
		}
	}
	b, err := hex.DecodeString(string(clean))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// show prints a message so that differences can be seen.
func show(m *nodewire.Message) string {
	if m == nil {
		return "none"
	}
	return fmt.Sprintf("%s uid %q nsp %q req %q target %q flags %+v data %s attachments %x rooms %q close %t sockets %s count %d sid %q legacy %t",
		m.Type, m.UID, m.NSP, m.RequestID, m.Target, m.Flags, m.Data, m.Attachments, m.Rooms, m.Close,
		fmt.Sprintf("%s", m.Sockets), m.ClientCount, m.SID, m.Legacy)
}

func same(tb testing.TB, got, want *nodewire.Message) {
	tb.Helper()
	if show(got) != show(want) {
		tb.Errorf("got\n%s\nwant\n%s", show(got), show(want))
	}
}

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// Recorded from Node.js adapters. See also testdata.
var (
	dates = &nodewire.Message{
		Type: nodewire.Broadcast, UID: "QRvf9I", NSP: "/", Data: []byte(`["ud",null,"2023-11-14T22:13:20.123Z"]`),
	}
	asked = &nodewire.Message{
		Type: nodewire.Broadcast, UID: "QRvf9I", NSP: "/", RequestID: "qE_IoO", Data: []byte(`["a",1]`),
		Flags: adapter.Flags{Timeout: time.Second},
	}
	hi = &nodewire.Message{
		Type: nodewire.Broadcast, UID: "QRvf9I", NSP: "/", Data: []byte(`["hi",1,"two",{"k":null}]`),
	}
	binary = &nodewire.Message{
		Type: nodewire.Broadcast, UID: "efc29323516ef8e4", NSP: "/",
		Data: []byte(`["bin",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 3}},
	}
	serverSide = &nodewire.Message{
		Type: nodewire.ServerSideEmit, UID: "1cd505a293a0455a", NSP: "/", Data: []byte(`["sse","w",2]`),
	}
)

func TestRecordedBroadcasts(t *testing.T) {
	for name, tt := range map[string]struct {
		hex   string
		want  *nodewire.Message
		exact bool // we encode it alike
	}{
		"values": {`93 a6515276663949 83 a474797065 02 a464617461 94 a26869 01 a374776f 81 a16b c0 a36e7370 a12f 83 a5726f6f6d73 90 a6657863657074 90 a5666c616773 80`, hi, true},
		"dates":  {`93a651527666394983a47479706502a46461746193a27564c0d7ff1d5353006553f100a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380`, dates, false},
		"emitter": {
			`93a7656d697474657283a47479706502a46461746192a2656d01a36e7370a12f83a5726f6f6d7391a5726f6f6d31a5666c61677380a665786365707490`,
			&nodewire.Message{
				Type: nodewire.Broadcast, UID: nodewire.EmitterUID, NSP: "/", Data: []byte(`["em",1]`),
				Target: adapter.Target{Rooms: []string{"room1"}},
			}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := unhex(t, tt.hex)
			same(t, must[*nodewire.Message](t)(nodewire.DecodeClassicBroadcast(b)), tt.want)
			if uid, ok := nodewire.PeekClassicUID(b); !ok || string(uid) != tt.want.UID {
				t.Errorf("uid %q", uid)
			}
			if tt.exact {
				if got := must[[]byte](t)(nodewire.AppendClassicBroadcast(nil, tt.want)); !reflect.DeepEqual(got, b) {
					t.Errorf("encoded as %x", got)
				}
			}
		})
	}
}

func TestRecordedRequests(t *testing.T) {
	b := unhex(t, `85a3756964a6515276663949a9726571756573744964a671455f496f4fa47479706507a67061636b657483a47479706502a46461746192a16101a36e7370a12fa46f70747383a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd03e8`)
	same(t, must[*nodewire.Message](t)(nodewire.DecodeClassicRequest(b)), asked)
	if got := must[[]byte](t)(nodewire.AppendClassicRequest(nil, asked)); !reflect.DeepEqual(got, b) {
		t.Errorf("encoded as %x", got)
	}
}
