package nodewire_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// TestTolerated decodes what peers may send though ours do not.
func TestTolerated(t *testing.T) {
	plain := event(`["e"]`)
	numbers := event(`["e"]`)
	numbers.Target = adapter.Target{Rooms: []string{"1", "2.5", "null", "true"}, Except: []string{"-1"}}
	flags := event(`["e"]`)
	flags.Flags = adapter.Flags{Volatile: true, NoCompress: true}
	root := event(`["e"]`)
	root.UID = ""
	for name, tt := range map[string]struct {
		format
		wire string
		want *nodewire.Message
	}{
		"any order, unknown keys": {envelope,
			`{ "x":[{}], "nsp":"/", "data":{"opts":{"y":1},"z":null,"packet":{"nsp":"/other","id":null,"data":["e"],"type":2}}, "type":3, "uid":"QRvf9I" } `, plain},
		"null options":     {envelope, `{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":null,"except":null,"flags":null},"requestId":null},"uid":"QRvf9I","nsp":"/"}`, plain},
		"numbers as rooms": {envelope, `{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[1,2.50,null,true],"except":[-1]}},"uid":"QRvf9I","nsp":"/"}`, numbers},
		"flags": {envelope, `{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"flags":{"local":false,"broadcast":true,"binary":true,"expectSingleResponse":true,"volatile":true,"compress":false,"timeout":5}}},"uid":"QRvf9I","nsp":"/"}`,
			flags},
		"escaped keys": {envelope, `{"\u0074ype":3,"data":{"packet":{"type":5,"data":["e"]},"opts":{}},"uid":"QRvf9\u0049","nsp":"\/"}`, plain},
		"no uid":       {envelope, `{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{}},"nsp":"/"}`, root},
		"unknown type": {envelope, `{"type":77,"data":{"packet":[1]},"uid":"u","nsp":"/"}`, &nodewire.Message{Type: 77, UID: "u", NSP: "/"}},
		"old join": {request, `{"type":2,"requestId":"r","sid":"s1","room":"x"}`,
			&nodewire.Message{Type: nodewire.SocketsJoin, RequestID: "r", Target: adapter.Target{Rooms: []string{"s1"}}, Rooms: []string{"x"}, Legacy: true}},
		"old leave": {request, `{"type":3,"uid":"u","requestId":"r","sid":"s1","room":7}`,
			&nodewire.Message{Type: nodewire.SocketsLeave, UID: "u", RequestID: "r", Target: adapter.Target{Rooms: []string{"s1"}}, Rooms: []string{"7"}, Legacy: true}},
		"old disconnect": {request, `{"type":4,"requestId":"r","sid":"s1","close":true}`,
			&nodewire.Message{Type: nodewire.DisconnectSockets, RequestID: "r", Target: adapter.Target{Rooms: []string{"s1"}}, Close: true, Legacy: true}},
		"emitter's join": {request, `{"type":2,"opts":{"rooms":["a"],"except":[]},"rooms":["b"]}`,
			&nodewire.Message{Type: nodewire.SocketsJoin, Target: adapter.Target{Rooms: []string{"a"}}, Rooms: []string{"b"}}},
		"emitter's event": {request, `{"uid":"emitter","type":6,"data":["e",1]}`,
			&nodewire.Message{Type: nodewire.ServerSideEmit, UID: nodewire.EmitterUID, Data: []byte(`["e",1]`)}},
		"old answer": {response, `{"requestId":"r"}`,
			&nodewire.Message{Type: nodewire.ServerSideEmitResponse, RequestID: "r", Data: []byte(`[]`)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.decode([]byte(tt.wire))
			check(t, got, err, tt.want)
		})
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		format
		wire string
	}{
		"nothing":              {envelope, ``},
		"number":               {envelope, `1`},
		"array":                {envelope, "\x91\x01"},
		"type too large":       {envelope, `{"type":300}`},
		"type fraction":        {envelope, `{"type":1.5}`},
		"no packet":            {envelope, `{"type":3,"data":{"opts":{}}}`},
		"null packet":          {envelope, `{"type":3,"data":{"packet":null,"opts":{}}}`},
		"no options":           {envelope, `{"type":3,"data":{"packet":{"type":2,"data":["e"]}}}`},
		"null options":         {envelope, `{"type":6,"data":{"opts":null,"close":true}}`},
		"no data":              {envelope, `{"type":6}`},
		"no event":             {envelope, `{"type":3,"data":{"packet":{"type":2,"data":[]},"opts":{}}}`},
		"event without name":   {envelope, `{"type":3,"data":{"packet":{"type":2,"data":[{}]},"opts":{}}}`},
		"packet of other type": {envelope, `{"type":3,"data":{"packet":{"type":1,"data":["e"]},"opts":{}}}`},
		"room object":          {envelope, `{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[{}]}}}`},
		"rooms no list":        {envelope, `{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":"a"}}}`},
		"negative count":       {envelope, `{"type":11,"data":{"requestId":"r","clientCount":-1}}`},
		"no request id":        {envelope, `{"type":8,"data":{"sockets":[]}}`},
		"ids for sockets":      {envelope, `{"type":8,"data":{"requestId":"r","sockets":[0,0]}}`},
		"ids, packed":          {envelope, "\x82\xa4type\x08\xa4data\x82\xa9requestId\xa1r\xa7sockets\x92\x00\x00"},
		"socket without id":    {envelope, `{"type":8,"data":{"requestId":"r","sockets":[{}]}}`},
		"no sockets":           {envelope, `{"type":8,"data":{"requestId":"r"}}`},
		"null sockets":         {envelope, `{"type":8,"data":{"requestId":"r","sockets":null}}`},
		"no count":             {envelope, `{"type":11,"data":{"requestId":"r"}}`},
		"ids among sockets":    {response, `{"requestId":"r","sockets":[{"id":"s"},"t"]}`},
		"sockets among ids":    {response, `{"requestId":"r","sockets":["t",{"id":"s"}]}`},
		"null for sockets":     {response, `{"requestId":"r","sockets":null}`},
		"no classic count":     {response, `{"requestId":"r","type":8}`},
		"short broadcast":      {broadcast, "\x92\xa1u\x80"},
		"object":               {broadcast, "\x80"},
		"unknown request":      {request, `{"type":8}`},
		"request without type": {request, `{"uid":"u"}`},
		"join of nobody":       {request, `{"type":2,"rooms":["a"]}`},
		"ack without id":       {request, `{"type":7,"packet":{"type":2,"data":["e"]},"opts":{}}`},
		"unknown response":     {response, `{"type":7,"requestId":"r"}`},
		"response without id":  {response, `{"sockets":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := tt.decode([]byte(tt.wire)); !errors.Is(err, nodewire.ErrMalformed) {
				t.Errorf("became %s, %v", show(m), err)
			}
		})
	}
	for _, fields := range []map[string]string{
		nil, {"type": "x"}, {"type": "3", "data": "!"}, {"type": "3", "data": "[]"}, {"type": "3", "data": "{}x"}, {"type": "-3"}, {"type": "256"},
	} {
		if m, err := nodewire.DecodeStreamEntry(fields); !errors.Is(err, nodewire.ErrMalformed) {
			t.Errorf("%q became %s, %v", fields, show(m), err)
		}
	}
}

// TestNoUTF8 checks that what comes out can go to a client as text.
func TestNoUTF8(t *testing.T) {
	want := event("[\"\uFFFD\"]")
	want.Target.Rooms = []string{"\uFFFD"}
	got, err := nodewire.DecodeEnvelope([]byte("{\"type\":3,\"data\":{\"packet\":{\"type\":2,\"data\":[\"\xff\"]},\"opts\":{\"rooms\":[\"\xff\"]}},\"uid\":\"QRvf9I\",\"nsp\":\"/\"}"))
	check(t, got, err, want)
	b, err := nodewire.AppendClassicBroadcast(nil, &nodewire.Message{UID: "QRvf9I", NSP: "/", Target: adapter.Target{Rooms: []string{"\xff"}}, Data: []byte("[\"\xff\"]")})
	if err != nil {
		t.Fatal(err)
	}
	got, err = nodewire.DecodeClassicBroadcast(b)
	check(t, got, err, want)
}

func TestNamespaceOfOld(t *testing.T) {
	b := msgp.AppendString(msgp.AppendArrayHeader(nil, 3), "u")
	b = append(b, "\x82\xa4type\x02\xa4data\x91\xa1e\x80"...)
	got, err := nodewire.DecodeClassicBroadcast(b)
	check(t, got, err, &nodewire.Message{Type: nodewire.Broadcast, UID: "u", NSP: "/", Data: []byte(`["e"]`)})
}

// TestLookalike sends an application's own object that looks like a placeholder.
func TestLookalike(t *testing.T) {
	for _, m := range []*nodewire.Message{
		event(`["e",{"_placeholder":true,"num":0}]`),
		event(`["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":5}]`, []byte("x")),
	} {
		for _, f := range []format{broadcast, envelope} {
			b, err := f.encode(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.decode(b)
			check(t, got, err, m)
		}
	}
}

func TestBadData(t *testing.T) {
	for _, typ := range []nodewire.Type{nodewire.Broadcast, nodewire.ServerSideEmit, nodewire.BroadcastAck} {
		for _, data := range []string{`[`, `{`, `[1}`, `nope`} {
			m := &nodewire.Message{Type: typ, NSP: "/", RequestID: "r", Data: []byte(data)}
			got, err := nodewire.AppendMsgpackEnvelope([]byte("x"), m)
			if !errors.Is(err, nodewire.ErrMalformed) || string(got) != "x" {
				t.Errorf("%s of %s: %q, %v", typ, data, got, err)
			}
		}
	}
}

func TestTimeouts(t *testing.T) {
	for in, out := range map[time.Duration]time.Duration{
		1:                    time.Millisecond,
		time.Second + 1:      time.Second + time.Millisecond,
		1<<63 - 1:            (1<<31 - 1) * time.Millisecond,
		-time.Second:         0,
		7 * time.Millisecond: 7 * time.Millisecond,
	} {
		b, err := nodewire.AppendEnvelope(nil, &nodewire.Message{Type: nodewire.FetchSockets, RequestID: "r", Flags: adapter.Flags{Timeout: in}})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := nodewire.DecodeEnvelope(b); err != nil || m.Flags.Timeout != out {
			t.Errorf("%v became %v, %v", in, m.Flags.Timeout, err)
		}
	}
	m, err := nodewire.DecodeEnvelope([]byte(`{"type":7,"data":{"requestId":"r","opts":{"flags":{"timeout":2.5}}}}`))
	if err != nil || m.Flags.Timeout != 2500*time.Microsecond {
		t.Error(m, err)
	}
}
