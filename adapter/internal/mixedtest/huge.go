package mixedtest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// million is how many elements a huge answer has.
const million = 1_000_000

// huge are answers to a request for sockets, by what they consist of.
var huge = []struct {
	name string
	json string
	pack []byte
	ids  bool // taken for ids of sockets, on the classic wire
}{
	{"sockets", `{"id":"x","rooms":[],"data":{},"handshake":{}}`, []byte("\x84\xa2id\xa1x\xa5rooms\x90\xa4data\x80\xa9handshake\x80"), false},
	{"ids", `{"id":"x"}`, []byte("\x81\xa2id\xa1x"), false},
	{"lists", `[]`, []byte("\x90"), false},
	{"numbers", `0`, []byte("\x00"), false},
	{"texts", `"x"`, []byte("\xa1x"), true},
}

// forms are those that a wire has.
func (w Wire) forms() []string {
	switch w {
	case Classic:
		return []string{"json"}
	case Sharded:
		return []string{"json", "msgpack"}
	}
	return []string{"msgpack"}
}

// answer returns a huge answer in a form.
func (p *Impostor) answer(form, id, element string, packed []byte) []byte {
	if form == "json" {
		list := strings.TrimSuffix(strings.Repeat(element+",", million), ",")
		text := fmt.Sprintf(`{"requestId":%q,"sockets":[%s]}`, id, list)
		if p.wire == Classic {
			return []byte(text)
		}
		return fmt.Appendf(nil, `{"uid":%q,"nsp":"/","type":%d,"data":%s}`, p.uid, nodewire.FetchSocketsResponse, text)
	}
	b := msgp.AppendMapHeader(nil, 4)
	b = msgp.AppendString(msgp.AppendString(b, "uid"), p.uid)
	b = msgp.AppendString(msgp.AppendString(b, "nsp"), "/")
	b = msgp.AppendInt(msgp.AppendString(b, "type"), int(nodewire.FetchSocketsResponse))
	b = msgp.AppendMapHeader(msgp.AppendString(b, "data"), 2)
	b = msgp.AppendString(msgp.AppendString(b, "requestId"), id)
	b = msgp.AppendArrayHeader(msgp.AppendString(b, "sockets"), million)
	return append(b, bytes.Repeat(packed, million)...)
}

// hugePatience is how long one of them may take to be read: the race detector
// reads slowly.
const hugePatience = time.Minute

// RunHuge checks that an answer of a million elements costs no more memory than a small
// multiple of its size, and is not kept if that is too much.
func RunHuge(t *testing.T, v Victim) {
	t.Helper()
	n := v.Start(t, "n0", slog.New(slog.DiscardHandler))
	a := openSite(t, n)
	p := NewImpostor(t, v.Wire, v.URL, v.Prefix)
	for i, h := range huge {
		if h.ids && v.Wire != Classic {
			continue
		}
		forms := v.Wire.forms() // in turn
		form := forms[i%len(forms)]
		ctx, cancel := context.WithTimeout(context.Background(), hugePatience)
		result, sockets := make(chan error, 1), 0
		go func() {
			result <- a.Request(ctx, &adapter.Message{Kind: adapter.Fetch}, func(r adapter.Response) { sockets += len(r.Sockets) })
		}()
		request := p.asked(nodewire.FetchSockets)
		p.Forget()
		body := p.answer(form, request.RequestID, h.json, h.pack)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		was := n.Count()
		must(t, p.respond(request.UID, body))
		for len(result) == 0 && n.Count() == was {
			must(t, Moment(ctx))
		}
		runtime.ReadMemStats(&after)
		cancel()
		err := <-result
		grown := int(after.HeapAlloc) - int(before.HeapAlloc)
		t.Logf("%s, %s: %d bytes, heap grew by %d, %d sockets, %v", h.name, form, len(body), grown, sockets, err)
		if grown > 20*len(body)+64<<20 {
			t.Errorf("%s, %s: %d bytes grew the heap by %d", h.name, form, len(body), grown)
		}
		if sockets == 0 && err == nil {
			t.Errorf("%s, %s: what was dropped is not told", h.name, form)
		}
	}
	if c := n.Count(); c.TooMuch == 0 || c.Malformed == 0 || c.Lost != 0 {
		t.Errorf("%+v", c)
	}
	must(t, n.Ready())
}
