package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// candidate opens a WebSocket that wants to take over the session.
func (s session) candidate() *frames {
	s.t.Helper()
	f, r := s.dial(s.at("transport=websocket&sid=" + s.sid))
	if f == nil {
		s.t.Fatalf("refused: %d %q", r.status, r.body)
	}
	return f
}

// probed is a candidate that has been answered.
func (s session) probed() *frames {
	s.t.Helper()
	f := s.candidate()
	f.text("2probe")
	if got := f.next(); got != "3probe" {
		s.t.Fatalf("%q, want 3probe", got)
	}
	return f
}

// eventuallyProbed is probed for a session whose last candidate broke off:
// until the server has noticed, another may be refused.
func (s session) eventuallyProbed() (f *frames) {
	s.t.Helper()
	eventually(s.t, "another candidate to be let in", func() bool {
		if f, _ = s.dial(s.at("transport=websocket&sid=" + s.sid)); f == nil {
			return false
		}
		f.text("2probe")
		_, text, err := f.read()
		return err == nil && text == "3probe"
	})
	return f
}

// upgraded lets the session go on by WebSocket.
func (s session) upgraded() *frames {
	s.t.Helper()
	f := s.probed()
	f.text("5")
	return f
}

// goesOn checks that the session goes on by polling.
func (s session) goesOn() {
	s.t.Helper()
	s.send(`421["echo-ack","on"]`)
	s.pollUntil(`431["on"]`)
}

var upgradeTests = []wireTest{
	{"the default client's transcript", func(p peer) {
		s := p.open()
		s.send("40")
		socketID(p.t, s.pollUntil("40{"))
		s.goesOn()
		parked := p.later(s.path())
		f := s.probed()
		if r := <-parked; r.err != nil || r.body != "6" {
			p.t.Fatalf("parked GET: %q %v", r.body, r.err)
		}
		f.text("5")
		f.text(`42["echo"]`)
		f.until(`42["echo"]`)
		f.text(`40/admin,{"token":"secret"}`)
		id := socketID(p.t, f.until("40/admin,{"))
		f.until(`42/admin,["welcome"`)
		f.text(`452-/admin,1["echo-ack",{"_placeholder":true,"num":0},{"a":{"_placeholder":true,"num":1}}]`)
		f.binary("\x01\x02")
		f.binary("")
		f.until(`462-/admin,1[{"_placeholder":true,"num":0},{"a":{"_placeholder":true,"num":1}}]`)
		for _, want := range []string{"\x01\x02", ""} {
			if op, got, err := f.read(); err != nil || op != 0x80|opBinary || got != want {
				p.t.Fatalf("opcode %x, %q, %v; want bytes %q", op, got, err, want)
			}
		}
		f.text("41/admin,")
		if got := p.reason(id); got != "client namespace disconnect" {
			p.t.Errorf("reason %q", got)
		}
		r := p.get(s.path())
		if r.status != 400 || r.body != badRequest {
			p.t.Errorf("polling after the upgrade: %d %q", r.status, r.body)
		}
		f.text(`421["echo-ack"]`)
		f.until("431[]")
	}},
	{"a poll without data is released for the upgrade soon", func(p peer) {
		s := p.open()
		s.join()
		f := s.probed()
		for range 3 { // each poll, for as long as the upgrade is pending
			if got := s.poll(); !slices.Equal(got, []string{"6"}) {
				p.t.Fatalf("%q, want a noop", got)
			}
		}
		f.text("5")
		f.text(`421["echo-ack"]`)
		f.until("431[]")
	}},
	{"what waits during the upgrade is sent after it, in order", func(p peer) {
		s := p.open()
		s.join()
		f := s.probed()
		var want []string
		for i := range 20 {
			s.send(fmt.Sprintf(`42["echo",%d]`, i))
			want = append(want, fmt.Sprintf(`42["echo",%d]`, i))
		}
		f.text("5")
		for _, w := range want {
			if got := f.next(); got != w {
				p.t.Fatalf("%q, want %q", got, w)
			}
		}
	}},
	{"a parked poll takes messages until the upgrade", func(p peer) {
		s := p.open()
		s.join()
		f := s.probed()
		s.send(`42["echo",1]`)
		s.pollUntil(`42["echo",1]`)
		s.send(`42["echo",2]`)
		f.text("5")
		if got := f.next(); got != `42["echo",2]` {
			p.t.Errorf("%q", got)
		}
	}},
	{"a candidate that says something else is closed, the session goes on", func(p peer) {
		s := p.open()
		s.join()
		for _, packet := range []string{"4hello", "5", "2", "2prob", "3probe", "", "9", "x"} {
			if packet == "5" && !p.ours() {
				continue // the JavaScript server lets it take over, unprobed
			}
			f := s.candidate()
			f.text(packet)
			if _, texts := f.closed(); len(texts) > 0 {
				p.t.Errorf("%q was answered %q", packet, texts)
			}
			s.goesOn()
		}
	}},
	{"a candidate that says something else after the probe", func(p peer) {
		s := p.open()
		s.join()
		f := s.probed()
		f.text(`42["echo"]`)
		f.closed()
		s.goesOn()
		s.upgraded().text(`421["echo-ack"]`)
	}},
	{"a candidate that breaks off, before and after the probe", func(p peer) {
		s := p.open()
		s.join()
		s.candidate().Close()
		s.goesOn()
		s.eventuallyProbed().Close()
		s.goesOn()
		f := s.eventuallyProbed()
		f.text("5")
		f.text(`421["echo-ack"]`)
		f.until("431[]")
	}},
	{"a second candidate is closed", func(p peer) {
		s := p.open()
		s.join()
		first := s.probed()
		if second, _ := s.dial(s.at("transport=websocket&sid=" + s.sid)); second != nil {
			second.text("2probe")
			if _, texts := second.closed(); len(texts) > 0 {
				p.t.Errorf("the second was answered %q", texts)
			}
		}
		first.text("5")
		first.text(`421["echo-ack"]`)
		first.until("431[]")
		if third, _ := s.dial(s.at("transport=websocket&sid=" + s.sid)); third != nil {
			third.closed()
		}
		first.text(`422["echo-ack"]`)
		first.until("432[]")
	}},
	{"a session that began as a WebSocket cannot be taken over", func(p peer) {
		if !p.ours() {
			p.t.Skip("the JavaScript server lets it be")
		}
		f, h := p.openWS()
		f.text("40")
		f.until("40{")
		if thief, _ := p.dial(p.at("transport=websocket&sid=" + h.SID)); thief != nil {
			thief.text("2probe")
			if _, texts := thief.closed(); len(texts) > 0 {
				p.t.Errorf("the thief was answered %q", texts)
			}
		}
		f.text(`421["echo-ack"]`)
		f.until("431[]")
	}},
	{"the server's goodbye during an upgrade", func(p peer) {
		s := p.open()
		id := s.join()
		f := s.probed()
		s.send(`42["disconnect-me",{"close":true}]`)
		if got := p.reason(id); got != "server namespace disconnect" {
			p.t.Errorf("reason %q", got)
		}
		f.text("5")
		f.closed()
		s.gone()
	}},
}

var frameTests = []wireTest{
	{"bytes as base64 in a text", func(p peer) {
		f, _ := p.joinWS()
		f.text(`451-1["inspect",{"_placeholder":true,"num":0}]`)
		f.text("bAQID")
		f.until(`431["hex:010203"]`)
	}},
	{"a client that cannot read bytes gets base64", func(p peer) {
		if p.ours() {
			p.t.Skip("ours ignores b64: no client of this revision lacks bytes in WebSockets")
		}
		f, r := p.dial(p.at("transport=websocket&b64=1"))
		if f == nil {
			p.t.Fatalf("%d", r.status)
		}
		p.parseOpen(f.next())
		f.text("40")
		f.until(`42["welcome"`)
		f.text(`451-1["echo-ack",{"_placeholder":true,"num":0}]`)
		f.binary("\x01\x02\x03")
		f.until("461-1")
		if got := f.next(); got != "bAQID" {
			p.t.Errorf("%q", got)
		}
	}},
	{"fragments, with a ping in between", func(p peer) {
		f, _ := p.joinWS()
		f.frame(more|opText, `421["ec`)
		f.frame(opPing, "are you there")
		f.frame(more|opContinuation, `ho-ack",`)
		f.frame(opContinuation, `"whole"]`)
		if op, got, err := f.read(); err != nil || op != 0x80|opPong || got != "are you there" {
			p.t.Fatalf("opcode %x, %q, %v", op, got, err)
		}
		f.until(`431["whole"]`)
	}},
	{"one byte at a time", func(p peer) {
		f, _ := p.joinWS()
		for _, b := range appendFrame(nil, 0x80|opText, `421["echo-ack","slowly"]`, true) {
			if _, err := f.Write([]byte{b}); err != nil {
				p.t.Fatal(err)
			}
		}
		f.until(`431["slowly"]`)
	}},
	{"a closing handshake", func(p peer) {
		f, id := p.joinWS()
		f.frame(opClose, "\x03\xe8bye")
		if code, _ := f.closed(); code != 1000 {
			p.t.Errorf("code %d", code)
		}
		f.Close()
		if got := p.reason(id); got != "transport close" {
			p.t.Errorf("reason %q", got)
		}
	}},
	{"a close packet", func(p peer) {
		if !p.ours() {
			p.t.Skip("the JavaScript server ignores it")
		}
		f, id := p.joinWS()
		f.text("1")
		f.closed()
		if got := p.reason(id); got != "transport close" {
			p.t.Errorf("reason %q", got)
		}
	}},
	{"frames that break the rules", func(p peer) {
		raw := func(first byte, payload string, masked bool) string {
			return string(appendFrame(nil, first, payload, masked))
		}
		for name, c := range map[string]struct {
			bytes  string
			code   int
			reason string
		}{
			"unmasked":               {raw(0x81, "40", false), 1002, "transport error"},
			"reserved bit":           {raw(0xc1, "40", true), 1002, "transport error"},
			"unknown opcode":         {raw(0x83, "40", true), 1002, "transport error"},
			"fragmented control":     {raw(0x09, "40", true), 1002, "transport error"},
			"large control":          {raw(0x89, strings.Repeat("x", 126), true), 1002, "transport error"},
			"nothing to continue":    {raw(0x80, "40", true), 1002, "transport error"},
			"text within fragments":  {raw(0x01, "42", true) + raw(0x81, "40", true), 1002, "transport error"},
			"not UTF-8":              {raw(0x81, "42[\"echo\",\"\xff\"]", true), 1007, "transport error"},
			"too large":              {raw(0x81, strings.Repeat("x", 1e6+1), true), 1009, "transport error"},
			"too large in fragments": {strings.Repeat(raw(0x01, strings.Repeat("x", 6e5), true), 1) + raw(0x00, strings.Repeat("x", 6e5), true), 1009, "transport error"},
			"close of one byte":      {raw(0x88, "\x03", true), 1002, "transport error"},
			"close code":             {raw(0x88, "\x03\xed", true), 1002, "transport error"},
		} {
			f, id := p.joinWS()
			if _, err := f.Write([]byte(c.bytes)); err != nil {
				p.t.Logf("%s: %v", name, err) // refused while it was sent
			}
			if code, texts := f.closed(); code != c.code && code != 1006 || len(texts) > 0 {
				p.t.Errorf("%s: code %d, texts %q", name, code, texts)
			}
			if got := p.reason(id); got != c.reason && got != "transport close" {
				p.t.Errorf("%s: reason %q", name, got)
			}
		}
		p.alive()
	}},
	{"an upgrade followed by garbage at once", func(p peer) {
		for _, path := range []string{p.at("transport=websocket"), p.open().path()} {
			f, _ := p.dial(path)
			if f == nil {
				continue
			}
			if _, err := f.Write([]byte("\xf1\xf2\xf3not a frame at all")); err != nil {
				p.t.Logf("%v", err)
			}
			f.closed()
		}
		p.alive()
	}},
	{"half a frame, and then nothing", func(p peer) {
		f, id := p.joinWS()
		if _, err := f.Write([]byte{0x81, 0xfe, 0x10}); err != nil {
			p.t.Fatal(err)
		}
		f.Close()
		if got := p.reason(id); got != "transport close" && got != "transport error" {
			p.t.Errorf("reason %q", got)
		}
	}},
}

// The heartbeat of the node of heartbeatTests.
const (
	hastyInterval = 300 * time.Millisecond
	hastyTimeout  = 200 * time.Millisecond
	// slack is how much later than due the node may act on a busy machine.
	slack = 2 * time.Second
)

var heartbeatTests = []wireTest{
	{"pings at their interval, while they are answered", func(p peer) {
		f, h := p.openWS()
		if h.PingInterval != 300 || h.PingTimeout != 200 {
			p.t.Errorf("%+v", h)
		}
		f.text("40")
		f.until("40{")
		f.until(`42["welcome"`)
		for range 4 {
			began := time.Now()
			if got := f.next(); got != "2" {
				p.t.Fatalf("%q", got)
			}
			if d := time.Since(began); d > hastyInterval+slack {
				p.t.Errorf("a ping after %v", d)
			}
			f.text("3")
		}
	}},
	{"a websocket that answers no ping is closed", func(p peer) {
		f, id := p.joinWS()
		began := time.Now()
		if _, texts := f.closed(); !slices.Equal(texts, []string{"2"}) && !slices.Equal(texts, []string{"2", "1"}) {
			p.t.Errorf("%q", texts)
		}
		if d := time.Since(began); d < hastyTimeout || d > hastyInterval+hastyTimeout+slack {
			p.t.Errorf("closed after %v", d)
		}
		if got := p.reason(id); got != "ping timeout" {
			p.t.Errorf("reason %q", got)
		}
	}},
	{"a polling session that answers no ping is closed", func(p peer) {
		s := p.open()
		s.send("40")
		id := socketID(p.t, s.pollUntil("40{"))
		s.pollUntil("2")
		if got := p.reason(id); got != "ping timeout" {
			p.t.Errorf("reason %q", got)
		}
		s.gone()
	}},
	{"a polling session that polls no more is closed", func(p peer) {
		s := p.open()
		s.send("40")
		id := socketID(p.t, s.pollUntil("40{"))
		if got := p.reason(id); got != "ping timeout" {
			p.t.Errorf("reason %q", got)
		}
		s.gone()
	}},
	{"a polling session whose pings are answered lives", func(p peer) {
		s := p.open()
		s.send("40")
		for range 4 {
			s.pollUntil("2")
			s.send("3")
		}
		s.goesOn()
	}},
	{"the heartbeat goes on across the upgrade", func(p peer) {
		s := p.open()
		s.send("40")
		id := socketID(p.t, s.pollUntil("40{"))
		s.pollUntil("2")
		f := s.probed()
		s.send("3")
		f.text("5")
		for range 3 {
			f.until("2")
			f.text("3")
		}
		f.closed()
		if got := p.reason(id); got != "ping timeout" {
			p.t.Errorf("reason %q", got)
		}
	}},
	{"an upgrade does not excuse from the pong", func(p peer) {
		if !p.ours() {
			p.t.Skip("the JavaScript server forgets it is waiting")
		}
		s := p.open()
		s.send("40")
		id := socketID(p.t, s.pollUntil("40{"))
		s.pollUntil("2")
		began := time.Now()
		f := s.upgraded()
		_, texts := f.closed()
		if slices.Contains(texts, "2") {
			p.t.Errorf("another ping: %q", texts)
		}
		if d := time.Since(began); d > hastyTimeout+slack {
			p.t.Errorf("closed after %v", d)
		}
		if got := p.reason(id); got != "ping timeout" {
			p.t.Errorf("reason %q", got)
		}
	}},
	{"pings by the client are against the protocol", func(p peer) {
		for _, packet := range []string{"2", "2probe"} {
			f, id := p.joinWS()
			f.text(packet)
			f.closed()
			if got := p.reason(id); got != "transport error" {
				p.t.Errorf("%q: reason %q", packet, got)
			}
		}
	}},
	{"who joins no namespace is sent away", func(p peer) {
		f, _ := p.openWS()
		began := time.Now()
		for {
			op, text, err := f.read()
			if err != nil || op == 0x80|opClose {
				break
			}
			if text == "2" {
				f.text("3")
			}
		}
		if d := time.Since(began); d < 500*time.Millisecond || d > 700*time.Millisecond+slack {
			p.t.Errorf("closed after %v", d)
		}
	}},
	{"who was refused everywhere is sent away, who joined may stay", func(p peer) {
		f, _ := p.openWS()
		f.text("40/nowhere,")
		f.until(`44/nowhere,{"message":"Invalid namespace"}`)
		g, _ := p.openWS()
		g.text("40")
		g.until("40{")
		for {
			op, text, err := f.read()
			if err != nil || op == 0x80|opClose {
				break
			}
			if text == "2" {
				f.text("3")
				g.until("2")
				g.text("3")
			}
		}
		g.text(`421["echo-ack"]`)
		g.until("431[]")
	}},
}
