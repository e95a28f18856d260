package jslog

import (
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// A client is served from what was read of the stream after that has been put
// before the history, which may forget it meanwhile.
func TestExtensionStaysWhole(t *testing.T) {
	at := func(seq uint64) remembered {
		return remembered{offset{pos: position{seq: seq}}, "/", &adapter.Message{}, time.Now()}
	}
	var h history
	h.limit, h.retain = 1<<20, time.Hour
	h.begin(position{seq: 10})
	h.add(at(11))
	// Room at its end, as a list that has grown has it.
	e := &extension{start: position{seq: 7}, list: append(make([]remembered, 0, 8), at(8), at(9))}
	h.extend(e, position{seq: 10})
	if h.bounds() != e.start {
		t.Fatalf("the history begins at %v", h.bounds())
	}
	h.lengthen(0)
	h.add(at(12))
	for i, r := range e.list {
		if r.m == nil {
			t.Errorf("message %d is gone", i)
		}
	}
}
