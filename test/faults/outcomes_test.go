package faults_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// key is a message without its time.
type key struct {
	lane
	number int
}

func (m message) key() key { return key{m.lane, m.number} }

// keys returns those of some messages.
func keys(list []message) map[key]bool {
	set := make(map[key]bool)
	for _, m := range list {
		set[m.key()] = true
	}
	return set
}

// outcomes returns the messages of which the Redis clients of Node.js servers
// said it: "unsent" or "resent".
func (c *cluster) outcomes(t testing.TB, outcome string) map[key]bool {
	t.Helper()
	found := make(map[key]bool)
	for _, f := range c.foreign {
		for _, h := range f.Happenings() {
			if h.Happened == outcome && h.Event == "n" {
				found[numbered(t, h.Args)] = true
			}
		}
	}
	return found
}

// numbered reads the arguments of a numbered message.
func numbered(t testing.TB, list []json.RawMessage) (k key) {
	t.Helper()
	if len(list) < 3 {
		t.Fatalf("a message with %s", list)
	}
	for i, to := range []any{&k.sender, &k.room, &k.number} {
		must(t, json.Unmarshal(list[i], to))
	}
	return k
}

// stored returns what is wrong with the stream of a cluster, as with what a
// client got: what is not in it, is there again, or after a newer one.
func (p place) stored(t testing.TB, c *cluster) findings {
	t.Helper()
	r := newReceiver("stream")
	for _, s := range p.masters {
		entries, err := s.Do(t.Context(), "XRANGE", c.prefix, "-", "+")
		if err != nil {
			continue // another master has it
		}
		for _, e := range entries.([]any) {
			if k, ok := stored(t, e); ok {
				r.take(k.lane, k.number)
			}
		}
		return c.check(r)
	}
	t.Fatal("nobody has the stream")
	return findings{}
}

// stored reads an entry of a stream, if it is a numbered message.
func stored(t testing.TB, entry any) (k key, ok bool) {
	t.Helper()
	fields := entry.([]any)[1].([]any)
	for i := 0; i < len(fields); i += 2 {
		if data := fmt.Sprint(fields[i+1]); fields[i] == "data" && strings.Contains(data, `["n",`) {
			var m struct {
				Packet struct{ Data []json.RawMessage }
			}
			must(t, json.Unmarshal([]byte(data), &m))
			return numbered(t, m.Packet.Data[1:]), true
		}
	}
	return key{}, false
}
