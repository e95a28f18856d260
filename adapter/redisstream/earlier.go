package redisstream

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/replay"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// Of what is read at once of a stream when clients come back from before the
// history: so many entries at first, later as many as take about pageBytes, if
// that is not more than maxPage.
const (
	firstPage = 100
	maxPage   = 1000
	pageBytes = 4 << 20
)

// maxMissed bounds the entries of a stream that are looked at for clients who
// come back together, those of other namespaces included.
const maxMissed = 100_000

// earlier reads the newest entries of a range, a page of them: what is before
// where anybody was is of use to who comes next. It is a [replay.Reader].
func (ns *namespace) earlier(ctx context.Context, r replay.Range[offset]) (part replay.Part[offset], err error) {
	ns.c.count.scans.Add(1)
	failure := func(err error) (replay.Part[offset], error) {
		return part, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
	}
	// The oldest entry is asked for at the same time: nobody need read back to an
	// offset that is not there any more.
	redis, name, count := ns.stream.redis, ns.stream.name, ns.page()
	answers := redis.DoMulti(ctx,
		redis.B().Xrevrange().Key(name).End(r.To.String()).Start("-").Count(count).Build(),
		redis.B().Xrange().Key(name).Start("-").End("+").Count(1).Build())
	entries, err := answers[0].AsXRange()
	if err != nil {
		return failure(err)
	}
	oldest, err := answers[1].AsXRange()
	if err != nil {
		return failure(err)
	}
	slices.Reverse(entries)
	bytes := 0
	part.Start, part.Passed = r.To, len(entries)
	for i, e := range entries {
		id, ok := parseOffset(e.ID)
		if !ok {
			return failure(fmt.Errorf("socketeer: redis gave an entry the id %.50q", e.ID))
		}
		if i == 0 {
			part.Start = id.before()
		}
		bytes += wireSize(e)
		if m, ours := ns.decode(e.ID, e.FieldValues); ours {
			part.List = append(part.List, replay.Entry[offset]{At: id, Message: m, Read: time.Now()})
		} else if ns.isGap(e.FieldValues) {
			part.Gap = id
		}
	}
	if int64(len(entries)) < count {
		part.Floor = part.Start
	}
	if len(oldest) > 0 {
		id, ok := parseOffset(oldest[0].ID)
		if !ok {
			return failure(fmt.Errorf("socketeer: redis gave an entry the id %.50q", oldest[0].ID))
		}
		if id.before().after(part.Floor) {
			part.Floor = id.before()
		}
	}
	if len(entries) > 0 {
		ns.nextPage.Store(min(maxPage, max(1, pageBytes*int64(len(entries))/int64(bytes))))
	}
	return part, nil
}

// page returns how many entries to read.
func (ns *namespace) page() int64 {
	if n := ns.nextPage.Load(); n > 0 {
		return n
	}
	return firstPage
}

// wireSize is how much an entry takes on the wire, about.
func wireSize(e rueidis.XRangeEntry) int {
	n := len(e.ID)
	for k, v := range e.FieldValues {
		n += len(k) + len(v)
	}
	return n
}

func (ns *namespace) isGap(f map[string]string) bool {
	return f["type"] == gapType && (f["nsp"] == ns.name || f["nsp"] == "")
}

// decode returns the message of an entry, if it is one of the namespace that a
// client gets when it comes back.
func (ns *namespace) decode(id string, f map[string]string) (*adapter.Message, bool) {
	if f["nsp"] != ns.name || f["type"] != broadcastType {
		return nil, false
	}
	m, err := nodewire.DecodeStreamEntry(f)
	if err != nil || !storable(m) {
		return nil, false
	}
	return toMessage(m, id), true
}
