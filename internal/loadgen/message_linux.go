package loadgen

import (
	"errors"
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What the process that conducts a run and those that have shares of it say to
// each other: JSON values, a share first, then instructions one way and news
// the other. A closed pipe ends a process.

// instruction is what a process with a share is told.
type instruction struct {
	Do      string `json:",omitempty"` // "connect", "hold", "load" or "storm": start to
	Start   int64  `json:",omitempty"` // of the load's window, or the cut, on the machine's monotonic clock
	Count   int64  `json:",omitempty"`
	End     int64  `json:",omitempty"`
	Enough  bool   `json:",omitempty"` // what is being done may end
	Report  bool   `json:",omitempty"` // say what was counted
	Recent  bool   `json:",omitempty"` // and the latencies since the last time
	Kinds   bool   `json:",omitempty"` // and those of each transport
	Clients bool   `json:",omitempty"` // and how each client fared
}

// news is what a process with a share tells.
type news struct {
	Ready    bool    `json:",omitempty"` // it has its share
	Finished bool    `json:",omitempty"` // what it was told to do
	Error    string  `json:",omitempty"` // it ends
	Counted  *counts `json:",omitempty"`
}

// counts is a tally; with it, when asked for, the latencies since the last
// time, those of each transport since the run began, and how clients fared.
type counts struct {
	Accepted    int
	LastAccept  int64
	Ready       int
	Lost        int
	LostWhy     string `json:",omitempty"`
	Sent        uint64
	Measured    uint64
	Expected    uint64
	Received    uint64
	Foreign     uint64
	Pings       uint64
	Busy        int
	Misordered  uint64
	Duplicated  uint64
	Missed      uint64
	Cuts        int    `json:",omitempty"`
	Fallen      int    `json:",omitempty"`
	Returned    int    `json:",omitempty"`
	FirstReturn int64  `json:",omitempty"`
	LastReturn  int64  `json:",omitempty"`
	Recovered   int    `json:",omitempty"`
	Passed      int    `json:",omitempty"`
	Failed      int    `json:",omitempty"`
	FailedWhy   string `json:",omitempty"`
	Latencies   []byte `json:",omitempty"`
	WebSocket   []byte `json:",omitempty"`
	LongPolling []byte `json:",omitempty"`
	Clients     *fared `json:",omitempty"`
}

func newCounts(t tally) *counts {
	c := &counts{
		Accepted: t.accepted, LastAccept: t.lastAccept, Ready: t.ready, Lost: t.lost,
		Sent: t.sent, Measured: t.measured, Expected: t.expected, Received: t.received,
		Foreign: t.foreign, Pings: t.pings, Busy: t.busy,
		Misordered: t.misordered, Duplicated: t.duplicated, Missed: t.missed,
		Cuts: t.cuts, Fallen: t.fallen, Returned: t.returned, FirstReturn: t.firstReturn, LastReturn: t.lastReturn,
		Recovered: t.recovered, Passed: t.passed, Failed: t.failed,
	}
	if t.lostWhy != nil {
		c.LostWhy = t.lostWhy.Error()
	}
	if t.failedWhy != nil {
		c.FailedWhy = t.failedWhy.Error()
	}
	return c
}

func (c *counts) tally() tally {
	t := tally{
		accepted: c.Accepted, lastAccept: c.LastAccept, ready: c.Ready, lost: c.Lost,
		sent: c.Sent, measured: c.Measured, expected: c.Expected, received: c.Received,
		foreign: c.Foreign, pings: c.Pings, busy: c.Busy,
		misordered: c.Misordered, duplicated: c.Duplicated, missed: c.Missed,
		cuts: c.Cuts, fallen: c.Fallen, returned: c.Returned, firstReturn: c.FirstReturn, lastReturn: c.LastReturn,
		recovered: c.Recovered, passed: c.Passed, failed: c.Failed,
	}
	if c.LostWhy != "" {
		t.lostWhy = errors.New(c.LostWhy)
	}
	if c.FailedWhy != "" {
		t.failedWhy = errors.New(c.FailedWhy)
	}
	return t
}

// pack writes a histogram for another process.
func pack(h *hdrhistogram.Histogram) ([]byte, error) {
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("socketeer: latencies: %w", err)
	}
	return b, nil
}

// mergePacked adds a histogram that another process has packed.
func mergePacked(into *hdrhistogram.Histogram, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	h, err := hdrhistogram.Decode(b)
	if err != nil {
		return fmt.Errorf("socketeer: latencies of a process: %w", err)
	}
	if into.Merge(h) > 0 {
		return errors.New("socketeer: latencies of a process are out of range")
	}
	return nil
}
