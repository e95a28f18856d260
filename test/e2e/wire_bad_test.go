package e2e_test

import (
	"strings"
)

// badPackets are Socket.IO packets (without the 4) that no peer may send once
// it has joined "/": each costs its sender the connection. A part after "|"
// is a further packet, one after "~" binary.
var badPackets = map[string]string{
	"second CONNECT":               `0`,
	"CONNECT with an array":        `0/admin,[]`,
	"CONNECT with a string":        `0/admin,"s"`,
	"CONNECT with broken JSON":     `0/admin,{"a":`,
	"CONNECT_ERROR":                `4{"message":"x"}`,
	"CONNECT_ERROR with array":     `4["x"]`,
	"event for another namespace":  `2/admin,["echo"]`,
	"ack for another namespace":    `3/admin,1[]`,
	"unknown type":                 `7`,
	"no digit":                     `x["echo"]`,
	"several digits":               `999`,
	"event of an object":           `2{}`,
	"event of nothing":             `2[]`,
	"event with broken JSON":       `2["echo"`,
	"event with trailing garbage":  `2["echo"]x`,
	"event with text before":       `2abc["echo"]`,
	"event with a boolean name":    `2[true]`,
	"event with a null name":       `2[null]`,
	"event with an object name":    `2[{"toString":"foo"}]`,
	"event with an array name":     `2[["echo"]]`,
	"connect event":                `2["connect"]`,
	"connect_error event":          `2["connect_error"]`,
	"disconnect event":             `2["disconnect","x"]`,
	"disconnecting event":          `2["disconnecting"]`,
	"newListener event":            `2["newListener"]`,
	"removeListener event":         `2["removeListener"]`,
	"ack of an object":             `31{}`,
	"DISCONNECT with payload":      `1{}`,
	"DISCONNECT with payload, nsp": `1/admin,{}`,
	"attachments without number":   `5-["x"]`,
	"attachments without end":      `51["x"]`,
	"attachments with a fraction":  `51.23-["x"]`,
	"attachments of letters":       `5woooot`,
	"attachments of digits only":   `51`,
	"attachments of nothing":       `5`,
	"too many attachments":         `511-["x"]`,
	"far too many attachments":     `5999999-["x"]`,
	"endless attachments":          "5" + strings.Repeat("9", 5000) + `-["x"]`,
	"num out of range":             `51-["x",{"_placeholder":true,"num":1}]|~1`,
	"num negative":                 `51-["x",{"_placeholder":true,"num":-1}]|~1`,
	"num of a string":              `51-["x",{"_placeholder":true,"num":"splice"}]|~1`,
	"text while bytes are due":     `51-["x",{"_placeholder":true,"num":0}]|2["echo"]`,
	"bytes while none are due":     `~1`,
	"more bytes than announced":    `51-["x",{"_placeholder":true,"num":0}]|~1|~2`,
	"endless namespace":            "2/" + strings.Repeat("a", 100_000) + `,["echo"]`,
}

// badPacketTests check that each bad packet costs its sender the connection,
// and nobody else anything.
func badPacketTests() []wireTest {
	tests := []wireTest{
		{"the first packet is no CONNECT", func(p peer) {
			for _, packet := range []string{`42["echo"]`, `43[]`, `4`, `4abc`} {
				f, _ := p.openWS()
				f.text(packet)
				f.closed()
			}
			p.alive()
		}},
		{"packet types that Engine.IO does not know", func(p peer) {
			for _, packet := range []string{"9", "x", "", "0", "5", "51"} {
				f, id := p.joinWS()
				f.text(packet)
				if packet == "5" || packet == "51" || packet == "0" {
					continue // out of place, but known: JavaScript ignores them
				}
				f.closed()
				if got := p.reason(id); got != "parse error" && got != "transport error" {
					p.t.Errorf("%q: reason %q", packet, got)
				}
			}
			p.alive()
		}},
		{"what JavaScript tolerates", func(p peer) {
			for _, packet := range []string{
				`42["error"]`,
				`42[1,"a number for a name"]`,
				`430[]`,
				`439007199254740991["an answer to nothing"]`,
				`42["` + strings.Repeat("x", 10_000) + `"]`,
			} {
				f, _ := p.joinWS()
				f.text(packet)
				f.text(`421["echo-ack"]`)
				if op, got, err := f.read(); got != "431[]" {
					p.t.Errorf("after %.40q: opcode %x, %q, %v", packet, op, got, err)
				}
			}
		}},
		{"zero attachments", func(p peer) {
			if !p.ours() {
				p.t.Skip("it depends on the parser's version")
			}
			f, _ := p.joinWS()
			f.text(`450-["x"]`)
			f.closed()
		}},
		{"an event without a name", func(p peer) {
			if !p.ours() {
				p.t.Skip("the JavaScript server dispatches it")
			}
			f, _ := p.joinWS()
			f.text("42")
			f.closed()
		}},
	}
	for name, packets := range badPackets {
		tests = append(tests, wireTest{"bad: " + name, func(p peer) { badByWebSocket(p, packets) }})
	}
	return append(tests, wireTest{"bad packets by polling", badByPolling})
}

func badByWebSocket(p peer, packets string) {
	witness, _ := p.joinWS()
	f, id := p.joinWS()
	for packet := range strings.SplitSeq(packets, "|") {
		if data, ok := strings.CutPrefix(packet, "~"); ok {
			f.binary(data)
		} else {
			f.text("4" + packet)
		}
	}
	_, texts := f.closed()
	for _, text := range texts {
		if !strings.HasPrefix(text, "41") && text != "1" {
			p.t.Errorf("answered %q", text)
		}
	}
	if got := p.reason(id); got != "forced close" && got != "forced server close" {
		p.t.Errorf("reason %q", got)
	}
	witness.text(`421["echo-ack"]`)
	witness.until("431[]")
}

func badByPolling(p peer) {
	for name, packets := range badPackets {
		s := p.open()
		id := s.join()
		var body []string
		for packet := range strings.SplitSeq(packets, "|") {
			if strings.HasPrefix(packet, "~") {
				body = append(body, "bAQ==")
			} else {
				body = append(body, "4"+packet)
			}
		}
		r := s.post(s.path(), strings.Join(body, "\x1e"))
		if r.status != 200 && r.status != 400 {
			p.t.Errorf("%s: %d %q", name, r.status, r.body)
		}
		s.drain()
		s.gone()
		if got := p.reason(id); got != "forced close" && got != "forced server close" {
			p.t.Errorf("%s: reason %q", name, got)
		}
	}
	p.alive()
}

// drain polls until the session is closed, so that it can say goodbye.
func (s session) drain() {
	s.t.Helper()
	for range 10 {
		if r := s.get(s.path()); r.status != 200 {
			return
		}
	}
	s.t.Error("still open after ten polls")
}
