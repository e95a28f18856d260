package loadgen_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

func TestStampRoundTrip(t *testing.T) {
	for range 1000 {
		at := rand.Int64()
		room, slot, seq := rand.Uint32N(1<<24), rand.Uint32N(256), rand.Uint32()
		b := make([]byte, loadgen.MinPayload)
		loadgen.NewStamp(at, room, slot, seq).Put(b)
		got, ok := loadgen.ReadStamp(b)
		gotAt, parts := got.Parts()
		if !ok || gotAt != at || parts != [3]uint32{room, slot, seq} {
			t.Fatalf("%d %d %d %d came back from %q as %+v, %v", at, room, slot, seq, b, got, ok)
		}
		if quoted, _ := json.Marshal(string(b)); string(quoted) != `"`+string(b)+`"` {
			t.Fatalf("%q needs escaping", b)
		}
	}
}

func TestStampRefusesOther(t *testing.T) {
	good := make([]byte, loadgen.MinPayload)
	loadgen.NewStamp(1<<40, 7, 3, 99).Put(good)
	for i := range good {
		for _, c := range []byte{0, '"', '0', 'A', 'a' - 1, 'p' + 1, 'z', 0x80, 0xff} {
			b := bytes.Clone(good)
			b[i] = c
			if s, ok := loadgen.ReadStamp(b); ok {
				t.Errorf("%q was read as %+v", b, s)
			}
		}
	}
	if _, ok := loadgen.ReadStamp(good[:len(good)-1]); ok {
		t.Error("a short stamp was read")
	}
}

func TestTemplate(t *testing.T) {
	for _, size := range []int{loadgen.MinPayload, 64, 200, loadgen.MaxPayload} {
		wire, at := loadgen.NewTemplate(`42["say","r","`, `"]`, size)
		loadgen.NewStamp(5, 6, 7, 8).Put(at)
		op, payload := unmask(t, wire)
		var args []string
		if err := json.Unmarshal(payload[2:], &args); err != nil || op != 1 {
			t.Fatalf("size %d: opcode %d, %v in %q", size, op, err, payload)
		}
		if s, ok := loadgen.ReadStamp([]byte(args[2])); !ok || s != loadgen.NewStamp(5, 6, 7, 8) || len(args[2]) != size {
			t.Errorf("size %d: data of %d bytes, stamp %+v, %v", size, len(args[2]), s, ok)
		}
	}
}

func TestSayIsReaddressed(t *testing.T) {
	for _, size := range []int{loadgen.MinPayload, 64, 200, loadgen.MaxPayload} {
		for _, room := range []string{"", "r", "room", strings.Repeat("x", 200)} {
			wire, at := loadgen.NewSay("dest", room, size)
			loadgen.NewStamp(5, 6, 7, 8).Put(at)
			_, payload := unmask(t, wire)
			var args []string
			if err := json.Unmarshal(payload[2:], &args); err != nil || args[0] != "say" || args[1] != room {
				t.Fatalf("size %d: %v in %q", size, err, payload)
			}
			if s, ok := loadgen.ReadStamp([]byte(args[2])); !ok || s != loadgen.NewStamp(5, 6, 7, 8) || len(args[2]) != size {
				t.Errorf("size %d: data of %d bytes, stamp %+v, %v", size, len(args[2]), s, ok)
			}
		}
	}
}

func TestPlanSpreadsPolling(t *testing.T) {
	for _, share := range []float64{0, 0.05, 0.5, 1} {
		places, _ := loadgen.Places(loadgen.Config{
			Mode: loadgen.Broadcast, Conns: 12_000, Addrs: make([]string, 4), Polling: share,
		})
		all, of, polling := 0, map[int]int{}, map[int]int{} // by server; -1: senders
		for _, p := range places {
			kinds := []int{p.Target}
			if p.Slot >= 0 {
				kinds = append(kinds, -1)
			}
			for _, k := range kinds {
				if of[k]++; p.Polling {
					polling[k]++
				}
			}
			if p.Polling {
				all++
			}
		}
		if want := share * 12_000; math.Abs(float64(all)-want) > 5 {
			t.Errorf("%d of 12000 are on polling, want %g", all, want)
		}
		for k, n := range of {
			if want := share * float64(n); math.Abs(float64(polling[k])-want) > 5 {
				t.Errorf("share %g, kind %d: %d of %d are on polling", share, k, polling[k], n)
			}
		}
	}
}

func TestPlanPairs(t *testing.T) {
	c := loadgen.Config{Mode: loadgen.Direct, Conns: 100, Loops: 3, Addrs: make([]string, 3)}
	places, sends := loadgen.Places(c)
	for i := 0; i < len(places); i += 2 {
		a, b := places[i], places[i+1]
		if a.Loop != b.Loop || a.Target == b.Target || a.Room != b.Room || a.Slot != 0 || b.Slot != 1 {
			t.Errorf("pair %+v, %+v", a, b)
		}
	}
	if sends != 1 {
		t.Errorf("one message a second takes %g sends", sends)
	}
}

func TestUpgradeResponse(t *testing.T) {
	accept := loadgen.AcceptValue()
	good := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + string(accept) + "\r\n\r\n"
	for _, tt := range []struct {
		name, in string
		n        int
		err      string
	}{
		{"whole", good, len(good), ""},
		{"a frame behind it", good + "\x81\x01" + "2", len(good), ""},
		{"incomplete", good[:len(good)-1], 0, ""},
		{"refused", "HTTP/1.1 400 Bad Request\r\n\r\n" + `{"code":0}`, 0, "400 Bad Request"},
		{"other key", strings.Replace(good, string(accept), "x", 1), 0, "Sec-WebSocket-Accept"},
		{"endless", strings.Repeat("x", 9<<10), 0, "longer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := loadgen.UpgradeResponse([]byte(tt.in), accept)
			if n != tt.n || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %d, %v; want %d, %q", n, err, tt.n, tt.err)
			}
		})
	}
}

func TestPacerIsOnTime(t *testing.T) {
	p := loadgen.NewPacer(0, 0, time.Second, 10, 0, 1, 1, 1)
	var got []time.Duration
	for now := time.Duration(0); now <= 2*time.Second; now += 50 * time.Millisecond {
		for at, ok := p.Due(now); ok; at, ok = p.Due(now) {
			if at > now {
				t.Fatalf("at %v a send of %v was due", now, at)
			}
			got = append(got, at)
		}
	}
	p.Finish()
	if len(got) != 10 || got[0] != 0 || got[9] != 900*time.Millisecond || p.Missed() != 0 {
		t.Errorf("sent at %v, missed %d", got, p.Missed())
	}
}

// TestPacerMissesWhatIsTooLate holds the generator up, so that latency still
// counts from when sends were due, and those beyond a second are missed.
func TestPacerMissesWhatIsTooLate(t *testing.T) {
	p := loadgen.NewPacer(0, 0, 10*time.Second, 10, 0, 1, 1, 1)
	if at, ok := p.Due(0); !ok || at != 0 {
		t.Fatalf("first send due at %v, %v", at, ok)
	}
	at, ok := p.Due(3 * time.Second) // held up: 0.1 to 1.9 s are too late
	if !ok || at != 2*time.Second || p.Missed() != 19 {
		t.Fatalf("next send due at %v, %v; missed %d", at, ok, p.Missed())
	}
	p.Miss(at)
	p.Finish() // 2.1 to 9.9 s
	if want := uint64(19 + 1 + 79); p.Missed() != want {
		t.Errorf("missed %d, want %d", p.Missed(), want)
	}
}

func TestPacerCountsNoWarmUp(t *testing.T) {
	p := loadgen.NewPacer(0, time.Second, 2*time.Second, 10, 0, 1, 1, 1)
	p.Finish()
	if p.Missed() != 10 {
		t.Errorf("missed %d, want the 10 of the measured second", p.Missed())
	}
}

func TestPacersShareTheRate(t *testing.T) {
	sends := 0
	for loop, part := range []int{3, 5, 0, 2} {
		p := loadgen.NewPacer(0, 0, 10*time.Second, 1000, loop, 4, part, 10)
		p.Finish()
		sends += int(p.Missed())
	}
	if sends < 9998 || sends > 10002 {
		t.Errorf("%d sends in 10 s at 1000/s", sends)
	}
}

func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		seqs                   []uint32
		first, late, duplicate uint64
	}{
		{"in order", []uint32{1, 2, 3}, 3, 0, 0},
		{"one missing", []uint32{1, 3}, 2, 0, 0},
		{"two swapped", []uint32{1, 3, 2, 4}, 4, 1, 0},
		{"one twice", []uint32{1, 2, 2, 3}, 3, 0, 1},
		{"late one twice", []uint32{1, 3, 2, 2}, 3, 1, 1},
		{"backwards", []uint32{4, 3, 2, 1}, 4, 3, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := loadgen.NewOrder(3, 2)
			var first uint64
			for _, seq := range tt.seqs {
				if o.See(1, 1, seq) {
					first++
				}
			}
			if first != tt.first || o.Misordered() != tt.late || o.Duplicated() != tt.duplicate {
				t.Errorf("%d first, %d misordered, %d duplicated", first, o.Misordered(), o.Duplicated())
			}
			if !o.See(1, 0, 1) || !o.See(2, 1, 1) || !o.See(0, 1, 1) {
				t.Error("another sender or receiver was mixed up with this one")
			}
		})
	}
}

func TestPlan(t *testing.T) {
	for _, c := range []loadgen.Config{
		{Mode: loadgen.Rooms, Conns: 1000, Room: 100, Loops: 2, Addrs: make([]string, 3)},
		{Mode: loadgen.Rooms, Conns: 10000, Room: 10000, Loops: 2, Addrs: make([]string, 1)},
		{Mode: loadgen.Rooms, Conns: 10, Room: 4, Loops: 3, Addrs: make([]string, 2)},
		{Mode: loadgen.Rooms, Conns: 7, Room: 2, Loops: 1, Addrs: make([]string, 1)},
	} {
		places, _ := loadgen.Places(c)
		loopsOf, slots, members := map[int]map[int]int{}, map[int]map[int]bool{}, map[int]int{}
		for _, p := range places {
			if loopsOf[p.Room] == nil {
				loopsOf[p.Room], slots[p.Room] = map[int]int{}, map[int]bool{}
			}
			if loopsOf[p.Room][p.Loop] += 0; p.Slot >= 0 {
				loopsOf[p.Room][p.Loop]++
				if slots[p.Room][p.Slot] {
					t.Errorf("%+v: room %d has two senders %d", c, p.Room, p.Slot)
				}
				slots[p.Room][p.Slot] = true
			}
			members[p.Room]++
		}
		rooms := (c.Conns + c.Room - 1) / c.Room
		if len(members) != rooms {
			t.Errorf("%+v: %d rooms, want %d", c, len(members), rooms)
		}
		for room, n := range members {
			if want := min(n, loadgen.MaxSenders); len(slots[room]) != want {
				t.Errorf("%+v: room %d of %d has %d senders, want %d", c, room, n, len(slots[room]), want)
			}
			if rooms >= c.Loops && len(loopsOf[room]) != 1 {
				t.Errorf("%+v: room %d is on %d loops", c, room, len(loopsOf[room]))
			}
			for loop, senders := range loopsOf[room] {
				if senders == 0 {
					t.Errorf("%+v: room %d has no sender on loop %d", c, room, loop)
				}
			}
		}
	}
}

func TestPlanSpreadsRoomsOverServers(t *testing.T) {
	places, sends := loadgen.Places(loadgen.Config{Mode: loadgen.Rooms, Conns: 600, Room: 100, Addrs: make([]string, 3)})
	seen := map[[2]int]int{}
	for _, p := range places {
		seen[[2]int{p.Room, p.Target}]++
	}
	for at, n := range seen {
		if n < 33 || n > 34 {
			t.Errorf("room %d has %d members on server %d", at[0], n, at[1])
		}
	}
	if sends != 0.01 {
		t.Errorf("one delivery a second takes %g sends, want 0.01", sends)
	}
}
