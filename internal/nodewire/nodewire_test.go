package nodewire_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// unhex also takes spaces.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
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
		m.Sockets, m.ClientCount, m.SID, m.Legacy)
}

func check(tb testing.TB, got *nodewire.Message, err error, want *nodewire.Message) {
	tb.Helper()
	if err != nil || show(got) != show(want) {
		tb.Errorf("got %v\n%s\nwant\n%s", err, show(got), show(want))
	}
}

// format is a pair of functions.
type format struct {
	name   string
	encode func([]byte, *nodewire.Message) ([]byte, error)
	decode func([]byte) (*nodewire.Message, error)
}

var (
	broadcast = format{"classic broadcast", nodewire.AppendClassicBroadcast, nodewire.DecodeClassicBroadcast}
	request   = format{"classic request", nodewire.AppendClassicRequest, nodewire.DecodeClassicRequest}
	response  = format{"classic response", nodewire.AppendClassicResponse, nodewire.DecodeClassicResponse}
	envelope  = format{"envelope", nodewire.AppendEnvelope, nodewire.DecodeEnvelope}
	published = format{"published envelope", nodewire.AppendMsgpackEnvelope, nodewire.DecodeEnvelope}
)

// TestRecordings decodes what Node.js made and encodes it again: not a byte may
// differ.
func TestRecordings(t *testing.T) {
	r := recorded(t)
	for _, tt := range []struct {
		format
		list []string
	}{
		{broadcast, r.ClassicBroadcasts},
		{request, r.ClassicRequests},
		{response, r.ClassicResponses},
		{envelope, r.Envelopes},
		{published, r.Published},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, h := range tt.list {
				b := unhex(t, h)
				m, err := tt.decode(b)
				if err != nil {
					t.Errorf("%q: %v", b, err)
					continue
				}
				if again, err := tt.encode(nil, m); err != nil || !bytes.Equal(again, b) {
					t.Errorf("%v\n%q\nbecame\n%s\nand then\n%q", err, b, show(m), again)
				}
			}
		})
	}
}

func TestRecordedEntries(t *testing.T) {
	for _, fields := range recorded(t).Entries {
		m, err := nodewire.DecodeStreamEntry(entry(fields))
		if err != nil {
			t.Errorf("%q: %v", fields, err)
			continue
		}
		if again, err := nodewire.StreamFields(m); err != nil || !slices.Equal(again, fields) {
			t.Errorf("%v\n%q\nbecame\n%s\nand then\n%q", err, fields, show(m), again)
		}
	}
}

func entry(fields []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	return m
}

func event(data string, attachments ...[]byte) *nodewire.Message {
	return &nodewire.Message{Type: nodewire.Broadcast, UID: "QRvf9I", NSP: "/", Data: []byte(data), Attachments: attachments}
}

// TestGolden decodes messages that were seen on the wire of clusters.
func TestGolden(t *testing.T) {
	dates := event(`["ud",null,"2023-11-14T22:13:20.123Z"]`)
	em := event(`["em",1]`)
	em.UID, em.Target.Rooms = nodewire.EmitterUID, []string{"room1"}
	asked := event(`["q",7]`)
	asked.RequestID, asked.Flags.Timeout = "qE_Ioo", time.Second
	bin := event(`["bin",{"_placeholder":true,"num":0}]`, []byte{1, 2, 3})
	bin.UID = "efc29323516ef8e4"
	hi := event(`["hi",1.5]`)
	hi.UID, hi.Target.Rooms = bin.UID, []string{"room1"}
	for name, tt := range map[string]struct {
		format
		wire  string
		want  *nodewire.Message
		exact bool // we encode it alike
	}{
		"values": {broadcast, `93 a6515276663949 83 a474797065 02 a464617461 94 a26869 01 a374776f 81 a16b c0 a36e7370 a12f 83 a5726f6f6d73 90 a6657863657074 90 a5666c616773 80`,
			event(`["hi",1,"two",{"k":null}]`), true},
		"dates":   {broadcast, `93a651527666394983a47479706502a46461746193a27564c0d7ff1d5353006553f100a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380`, dates, false},
		"emitter": {broadcast, `93a7656d697474657283a47479706502a46461746192a2656d01a36e7370a12f83a5726f6f6d7391a5726f6f6d31a5666c61677380a665786365707490`, em, true},
		"request 7": {request, `85a3756964a6515276663949a9726571756573744964a671455f496f6fa47479706507a67061636b657483a47479706502a46461746192a17107a36e7370a12fa46f70747383a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd03e8`,
			asked, true},
		"response 9": {response, `83a47479706509a9726571756573744964a671455f496f6fa67061636b6574a57265737042`,
			&nodewire.Message{Type: nodewire.BroadcastAck, RequestID: "qE_Ioo", Data: []byte(`["respB"]`)}, true},
		"response 8": {response, `{"type":8,"requestId":"qE_Ioo","clientCount":1}`,
			&nodewire.Message{Type: nodewire.BroadcastClientCount, RequestID: "qE_Ioo", ClientCount: 1}, true},
		"binary envelope": {envelope, `84a47479706503a46461746182a67061636b657482a47479706502a46461746192a362696ec403010203a46f70747383a5726f6f6d7390a665786365707490a5666c61677380a3756964b065666332393332333531366566386534a36e7370a12f`,
			bin, true},
		"envelope": {envelope, `{"type":3,"data":{"packet":{"type":2,"data":["hi",1.5]},"opts":{"rooms":["room1"],"except":[],"flags":{}}},"uid":"efc29323516ef8e4","nsp":"/"}`,
			hi, true},
		"client count": {envelope, `{"type":11,"data":{"requestId":"e1e1265afd596d60","clientCount":1},"uid":"c6227c51e2fe007b","nsp":"/"}`,
			&nodewire.Message{Type: nodewire.BroadcastClientCount, UID: "c6227c51e2fe007b", NSP: "/", RequestID: "e1e1265afd596d60", ClientCount: 1}, true},
		"published": {published, `84a47479706509a46461746181a67061636b657493a3737365a17702a3756964b031646335303561323933613034353561a36e7370a12f`,
			&nodewire.Message{Type: nodewire.ServerSideEmit, UID: "1dc505a293a0455a", NSP: "/", Data: []byte(`["sse","w",2]`)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := []byte(tt.wire)
			if b[0] != '{' {
				b = unhex(t, tt.wire)
			}
			got, err := tt.decode(b)
			check(t, got, err, tt.want)
			if !tt.exact {
				return
			}
			if again, err := tt.encode([]byte("x"), tt.want); err != nil || string(again) != "x"+string(b) {
				t.Errorf("encoded as %q, %v", again, err)
			}
		})
	}
}

func TestGoldenEntry(t *testing.T) {
	want := event(`["bin",{"_placeholder":true,"num":0}]`, []byte{1, 2, 3})
	fields := []string{"uid", want.UID, "nsp", "/", "type", "3", "data",
		"gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQIDpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA=="}
	got, err := nodewire.DecodeStreamEntry(entry(fields))
	check(t, got, err, want)
	if again, err := nodewire.StreamFields(want); err != nil || !slices.Equal(again, fields) {
		t.Errorf("encoded as %q, %v", again, err)
	}
	want.UID = nodewire.EmitterUID // which names the namespace twice
	again, err := nodewire.StreamFields(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err = nodewire.DecodeStreamEntry(entry(again))
	check(t, got, err, want)
}

// everything is a message of each type with all that it can carry.
func everything() []*nodewire.Message {
	target := adapter.Target{Rooms: []string{"a", "ü\"\n", ""}, Except: []string{"b"}}
	bin := [][]byte{{1, 2}, {}}
	list := []*nodewire.Message{
		{Type: nodewire.InitialHeartbeat}, {Type: nodewire.Heartbeat}, {Type: nodewire.AdapterClose}, {Type: nodewire.Gap},
		{Type: nodewire.Broadcast, Target: target, Flags: adapter.Flags{Volatile: true, NoCompress: true}, Data: []byte(`["e",{"a":[1.5,null]}]`)},
		{Type: nodewire.Broadcast, Data: []byte(`["e",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]`), Attachments: bin},
		{Type: nodewire.Broadcast, RequestID: "r", Target: target, Flags: adapter.Flags{Timeout: 1500 * time.Millisecond}, Data: []byte(`["e"]`)},
		{Type: nodewire.SocketsJoin, Target: target, Rooms: []string{"x", "y"}},
		{Type: nodewire.SocketsJoin, RequestID: "r", Target: target, Rooms: []string{"x", "y"}},
		{Type: nodewire.SocketsLeave, RequestID: "r", Rooms: []string{"x"}},
		{Type: nodewire.DisconnectSockets, Target: target, Close: true},
		{Type: nodewire.DisconnectSockets, RequestID: "r", Target: target},
		{Type: nodewire.FetchSockets, RequestID: "r", Target: target},
		{Type: nodewire.FetchSocketsResponse, RequestID: "r", Sockets: []adapter.SocketInfo{
			{ID: "s1", Rooms: []string{"s1", "r"}, Handshake: []byte(`{"url":"/x?é","query":{}}`), Data: []byte(`{"n":[1,{"m":null}]}`)},
			{ID: "s2", Rooms: []string{"s2"}, Handshake: []byte(`{}`), Data: []byte(`{}`)},
		}},
		{Type: nodewire.FetchSocketsResponse, RequestID: "r"},
		{Type: nodewire.ServerSideEmit, Data: []byte(`["e",1]`)},
		{Type: nodewire.ServerSideEmit, RequestID: "r", Data: []byte(`["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`), Attachments: bin},
		{Type: nodewire.BroadcastClientCount, RequestID: "r", ClientCount: 70000},
		{Type: nodewire.Done, RequestID: "r"},
	}
	for _, typ := range []nodewire.Type{nodewire.ServerSideEmitResponse, nodewire.BroadcastAck} {
		list = append(list,
			&nodewire.Message{Type: typ, RequestID: "r", Data: []byte(`[]`)},
			&nodewire.Message{Type: typ, RequestID: "r", Data: []byte(`[null]`)},
			&nodewire.Message{Type: typ, RequestID: "r", Data: []byte(`[{"a":"]"},[2],"c"]`)},
			&nodewire.Message{Type: typ, RequestID: "r", Data: []byte(`[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`), Attachments: bin},
		)
	}
	list[len(list)-1].SID = "s1"
	for _, m := range list {
		m.UID, m.NSP = "0123456789abcdef", "/chat"
	}
	return list
}

func TestRoundTripEnvelopes(t *testing.T) {
	for _, m := range everything() {
		for _, f := range []format{envelope, published} {
			b, err := f.encode(nil, m)
			if err != nil {
				t.Fatalf("%s: %v", show(m), err)
			}
			got, err := f.decode(b)
			check(t, got, err, m)
			if !nodewire.SentBy(b, m.UID, m.NSP) || nodewire.SentBy(b, "fedcba9876543210", m.NSP) {
				t.Errorf("sender of %q is not seen", b)
			}
			truncations(t, f, b)
		}
		fields, err := nodewire.StreamFields(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := nodewire.DecodeStreamEntry(entry(fields))
		check(t, got, err, m)
	}
}

// Go nodes tell each other of a session that went on elsewhere.
func TestMoved(t *testing.T) {
	m := &nodewire.Message{
		Type: nodewire.DisconnectSockets, UID: "0123456789abcdef", NSP: "/",
		Target: adapter.Target{Rooms: []string{"s1"}}, Close: true, Moved: true,
	}
	for _, f := range []format{envelope, published} {
		b, err := f.encode(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.decode(b); err != nil || !got.Moved || !got.Close {
			t.Errorf("%q became %+v, %v", b, got, err)
		}
	}
	fields, err := nodewire.StreamFields(m)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := nodewire.DecodeStreamEntry(entry(fields)); err != nil || !got.Moved {
		t.Errorf("%q became %+v, %v", fields, got, err)
	}
}

func TestRoundTripClassic(t *testing.T) {
	list := append(everything(),
		&nodewire.Message{Type: nodewire.ListSockets, RequestID: "r", UID: "u", Target: adapter.Target{Rooms: []string{"a"}}},
		&nodewire.Message{Type: nodewire.ListRooms, RequestID: "r", UID: "u"},
		&nodewire.Message{Type: nodewire.ListSocketsResponse, RequestID: "r", UID: "u", Rooms: []string{"s1", "s2"}},
		&nodewire.Message{Type: nodewire.ListRoomsResponse, RequestID: "r", UID: "u", Rooms: []string{"a"}})
	for _, m := range list {
		f := request
		switch {
		case m.Type == nodewire.Broadcast && m.RequestID == "":
			f = broadcast
		case m.Type.Response():
			f = response
		}
		if m.Type != nodewire.Broadcast {
			m.NSP = "" // the channel has it
		}
		b, err := f.encode(nil, m)
		switch m.Type {
		case nodewire.InitialHeartbeat, nodewire.Heartbeat, nodewire.AdapterClose, nodewire.Gap:
			if err == nil {
				t.Errorf("%s is no request", m.Type)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", show(m), err)
		}
		got, err := f.decode(b)
		check(t, got, err, m)
		truncations(t, f, b)
		if m.Type >= nodewire.ListSockets {
			if _, err := nodewire.AppendEnvelope(nil, m); err == nil {
				t.Errorf("%s has no envelope", m.Type)
			}
		}
	}
}

// truncations checks that no part of a message passes for one, nor one that is
// followed by something.
func truncations(t *testing.T, f format, b []byte) {
	t.Helper()
	for n := range b {
		if m, err := f.decode(b[:n]); err == nil {
			t.Errorf("%s: %q became %s", f.name, b[:n], show(m))
		}
	}
	if _, err := f.decode(append(slices.Clone(b), '0')); err == nil {
		t.Errorf("%s: what follows %q is ignored", f.name, b)
	}
}
