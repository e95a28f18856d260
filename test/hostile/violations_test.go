package hostile_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/test/hostile/peer"
)

// violation is what a client must not send: Socket.IO packets, those that
// begin with "b:" binary.
type violation struct {
	name   string
	joined bool // the client is in "/" before
	send   []string
}

const place = `{"_placeholder":true,"num":0}`

func violations() []violation {
	list := []violation{
		{"EVENT before CONNECT", false, []string{`2["echo"]`}},
		{"ACK before CONNECT", false, []string{`30[]`}},
		{"DISCONNECT before CONNECT", false, []string{`1`}},
		{"CONNECT_ERROR before CONNECT", false, []string{`4{"message":"x"}`}},
		{"BINARY_EVENT before CONNECT", false, []string{`51-["echo",` + place + `]`, "b:x"}},
		{"binary before CONNECT", false, []string{"b:x"}},
		{"second CONNECT", true, []string{`0`}},
		{"second CONNECT with auth", true, []string{`0{"token":1}`}},
		{"two CONNECTs at once", false, []string{`0`, `0`}},
		{"CONNECT, EVENT not waiting for the answer", false, []string{`0/none,`, `2/none,["echo"]`, `2/other,["echo"]`}},
		{"EVENT to a namespace not joined", true, []string{`2/other,["echo"]`}},
		{"ACK to a namespace not joined", true, []string{`3/other,1[]`}},
		{"DISCONNECT of a namespace not joined", true, []string{`1/admin,`}},
		{"EVENT after DISCONNECT", true, []string{`1`, `2["echo"]`}},
		{"text while binaries are missing", true, []string{`51-["echo",` + place + `]`, `2["echo"]`}},
		{"text after one binary of two", true, []string{`52-["echo",` + place + `]`, "b:x", `2["echo"]`}},
		{"binary with none missing", true, []string{"b:x"}},
		{"one binary too many", true, []string{`51-["echo",` + place + `]`, "b:x", "b:y"}},
		{"zero attachments", true, []string{`50-["echo"]`}},
		{"zero attachments, then binaries", true, []string{`50-["echo"]`, "b:x", "b:y"}},
		{"BINARY_ACK of zero attachments, then binaries", true, []string{`60-["echo"]`, "b:x", "b:y"}},
		{"millions of attachments", true, []string{`5999999-["echo"]`, "b:x", "b:y"}},
		{"eleven attachments", true, []string{`511-["echo",` + place + `]`}},
		{"placeholders nested deep", true, []string{`51-["echo",` + strings.Repeat("[", 10_000) + place + strings.Repeat("]", 10_000) + `]`}},
		{"a megabyte of digits as the id", true, []string{`2` + strings.Repeat("1", 900_000) + `["echo"]`}},
		{"a megabyte of digits as the number of attachments", true, []string{`5` + strings.Repeat("1", 900_000) + `-["echo"]`}},
		{"a megabyte of zeros as the number of attachments", true, []string{`5` + strings.Repeat("0", 900_000) + `1-["echo",` + place + `]`}},
		{"a megabyte of namespace", true, []string{`0/` + strings.Repeat("n", 900_000) + `,`}},
		{"a megabyte of opening brackets", true, []string{`2` + strings.Repeat("[", 900_000)}},
		{"namespace with a control character", true, []string{"0/a\x01b,"}},
	}
	for _, packet := range []string{
		``, `7`, `8["echo"]`, `999`, `abc`, `x`, ` 2["echo"]`, `-1`,
		`4{"message":"x"}`, `4"x"`, `4["x"]`, `42["some","data"`,
		`0/other,[]`, `0/other,"s"`, `0/other,1`, `0/other,null`, `0/other,{`, `0/other,{}{}`, `0/other,{}x`,
		`1{}`, `1[]`, `1"x"`, `1x`,
		`2`, `2{}`, `2[]`, `2"echo"`, `2abc["echo"]`, `2["echo"`, `2["echo",]`, `2["echo"]]`, `2["echo"]["echo"]`, `2["echo"] x`, `2[echo]`, `2['echo']`,
		`2["echo",undefined]`, `2["echo",NaN]`, `2["echo",01]`, "2[\"echo\",\"\x01\"]", `2["\x"]`,
		`2[{"toString":"foo"}]`, `2[null]`, `2[true]`, `2[false]`, `2[[]]`, `2[["echo"]]`, `2[{}]`,
		`2["connect"]`, `2["connect_error"]`, `2["disconnect","x"]`, `2["disconnecting"]`, `2["newListener"]`, `2["removeListener"]`,
		`2["\u0063onnect"]`,
		`3x`, `31{}`, `31"x"`, `31`, `31[`,
		`5`, `51`, `5a-`, `51.23-["echo"]`, `5woooot`, `5-1-["echo"]`, `5-["echo"]`, `51["echo"]`, `51-`, `51-{}`, `51-[` + place + `]`, `51-["connect",` + place + `]`,
		`6`, `61-`, `61-{}`, `6["x"]`,
		`51-["echo",{"_placeholder":true,"num":"splice"}]`, `51-["echo",{"_placeholder":true,"num":1}]`, `51-["echo",{"_placeholder":true,"num":-1}]`,
		`51-["echo",{"_placeholder":true,"num":0.5}]`, `51-["echo",{"_placeholder":true,"num":1e99}]`, `51-["echo",{"_placeholder":true,"num":99999999999999999999}]`,
		`51-["echo",{"_placeholder":true,"num":null}]`, `51-["echo",{"_placeholder":true}]`, `51-["echo",{"_placeholder":true,"num":[0]}]`,
		`51-["echo",{"_placeholder":true,"num":"__proto__"}]`, `51-["echo",{"num":0,"_placeholder":true,"num":7}]`,
	} {
		list = append(list, violation{"packet " + packet, true, []string{packet}})
	}
	return list
}

func TestViolationsOverWebSocket(t *testing.T) {
	list := violations() // some are long: made before memory is measured
	s := start(t)
	for _, v := range list {
		s.attack(v.name, func(t *testing.T) {
			open := s.open
			if v.joined {
				open = s.joined
			}
			c := open(t, "")
			began := time.Now()
			for _, m := range v.send {
				if data, isBinary := strings.CutPrefix(m, "b:"); isBinary {
					_ = c.Send(peer.Frame(peer.Fin|peer.Binary, data))
				} else {
					_ = c.Send(peer.Frame(peer.Fin|peer.Text, "4"+m))
				}
			}
			if e := c.End(); e.Code != 1005 {
				t.Errorf("client saw %v", e)
			}
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
			if v.joined {
				s.endsAs(t, "forced close", "client namespace disconnect")
			}
			drain(s.ended)
		})
	}
}

func TestViolationsOverPolling(t *testing.T) {
	list := violations() // some are long: made before memory is measured
	s := start(t)
	for _, v := range list {
		s.attack(v.name, func(t *testing.T) {
			open := s.openPolling
			if v.joined {
				open = s.joinedPolling
			}
			p := open(t)
			var payload []string
			for _, m := range v.send {
				if data, isBinary := strings.CutPrefix(m, "b:"); isBinary {
					m = "b" + base64.StdEncoding.EncodeToString([]byte(data))
				} else {
					m = "4" + m
				}
				payload = append(payload, m)
			}
			if status, body := p.do("POST", strings.Join(payload, "\x1e")); status != 200 || body != "ok" {
				t.Errorf("POST: %d %q", status, body)
			}
			p.closed()
			if v.joined {
				s.endsAs(t, "forced close", "client namespace disconnect")
			}
			drain(s.ended)
		})
	}
}

func drain(c chan string) {
	for len(c) > 0 {
		<-c
	}
}

// What looks bad, but is not: the connection stays.
func TestTolerated(t *testing.T) {
	s := start(t)
	for _, packet := range []string{
		`2["error"]`, `2["error",{"message":"x"}]`, `2["no such event"]`, `2[1]`, `2[-1.5e3,"x"]`, `2[""]`, `2["__proto__"]`, `2["constructor",{"__proto__":{"x":1}}]`,
		`399[]`, `39007199254740991["x"]`, `2/,["echo"]`, `20["echo"]`, `0/none,{}`, `0/none`, `2["panic"]`,
		`51-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`,
		`51-["echo",{"_placeholder":false,"num":7},{"_placeholder":"true"}]`,
	} {
		s.attack(packet, func(t *testing.T) {
			c := s.joined(t, "")
			c.Text("4" + packet)
			if strings.HasPrefix(packet, "5") {
				_ = c.Send(peer.Frame(peer.Fin|peer.Binary, "x"))
			}
			c.Text(`4277["echo","still here"]`)
			for {
				if m := c.Message(); m == `4377["still here"]` {
					break
				}
			}
			p := s.joinedPolling(t)
			body := "4" + packet
			if strings.HasPrefix(packet, "5") {
				body += "\x1ebeA=="
			}
			p.do("POST", body+"\x1e"+`4277["echo","still here"]`)
			for got := ""; !strings.Contains(got, `4377["still here"]`); {
				status, body := p.do("GET", "")
				if status != 200 {
					t.Fatalf("poll: %d %q", status, body)
				}
				got = body
			}
			p.do("POST", "1")
			c.Close()
			s.endsAs(t, "transport close")
			s.endsAs(t, "transport close")
		})
	}
}

// Malformed payloads and packets below Socket.IO.
func TestEngineViolations(t *testing.T) {
	s := start(t)
	for _, payload := range []string{"", "\x1e", "40\x1e", "\x1e40", "40\x1e\x1e40", "9", "b?", "-1", "2", "2probe", "<html>", "\x00", "\xff\xfe"} {
		s.attack("payload "+payload, func(t *testing.T) {
			p := s.openPolling(t)
			if status, body := p.do("POST", payload); status != 200 || body != "ok" {
				t.Errorf("POST: %d %q", status, body)
			}
			p.closed()
			drain(s.ended)
		})
	}
	s.attack("octet-stream", func(t *testing.T) {
		p := s.openPolling(t)
		if status, body := p.do("POST", "40", "Content-Type", "application/octet-stream"); status != 400 || body != "" {
			t.Errorf("POST: %d %q", status, body)
		}
		p.closed()
	})
	for name, bytes := range map[string]string{
		"packet of unknown type": peer.Frame(peer.Fin|peer.Text, "9"),
		"empty packet":           peer.Frame(peer.Fin|peer.Text, ""),
		"bad base64":             peer.Frame(peer.Fin|peer.Text, "b?"),
		"heartbeat, wrong way":   peer.Frame(peer.Fin|peer.Text, "2"),
		"probe":                  peer.Frame(peer.Fin|peer.Text, "2probe"),
		"not UTF-8":              peer.Frame(peer.Fin|peer.Text, "42[\"echo\",\"\xff\"]"),
		"unmasked frame":         "\x81\x0242",
		"unmasked close frame":   "\x88\x00",
		"reserved opcode":        peer.Frame(peer.Fin|3, "x"),
		"continuation of none":   peer.Frame(peer.Fin|peer.Continuation, "x"),
		"oversized":              peer.Header(peer.Fin|peer.Text, 1_000_001),
		"of all the bytes":       peer.Header(peer.Fin|peer.Binary, 1<<63-1),
		"of negative length":     peer.Header(peer.Fin|peer.Binary, 1<<63),
		"large ping":             peer.Header(peer.Fin|peer.Ping, 126),
		"fragmented ping":        peer.Frame(peer.Ping, ""),
		"close frame of a byte":  peer.Frame(peer.Fin|peer.Close, "x"),
	} {
		s.attack(name, func(t *testing.T) {
			c := s.joined(t, "")
			_ = c.Send(bytes)
			c.End()
			drain(s.ended)
		})
	}
}

// A packet that is never completed is not waited for.
func TestIncompletePacket(t *testing.T) {
	s := start(t, socketeer.WithConnectTimeout(300*time.Millisecond))
	s.attack("no binary", func(t *testing.T) {
		c := s.joined(t, "")
		c.Text(`451-["echo",` + place + `]`)
		if e := c.End(); e.Code != 1005 {
			t.Errorf("client saw %v", e)
		}
		s.endsAs(t, "forced close")
	})
	s.attack("too many bytes of binaries", func(t *testing.T) {
		c := s.joined(t, "")
		c.Text(`4510-["echo",` + place + `]`)
		for range 9 {
			_ = c.Send(peer.Frame(peer.Fin|peer.Binary, strings.Repeat("x", 200_000)))
		}
		if e := c.End(); e.Code != 1005 {
			t.Errorf("client saw %v", e)
		}
		s.endsAs(t, "forced close")
	})
}
