package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/respite"
)

// Back-off of what fails.
const (
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second
)

// patience is what a command may take beyond what it waits for.
const patience = 3 * time.Second

// Entries that come often are read together: gather is how long the next read
// waits when the last two came within twice that time. A read costs Redis and
// every node about the same for one entry and for a few, so that nearly half of
// the processor time is saved at three thousand a second. A wait that brought no
// more than one entry was in vain: a rest follows (package respite).
const gather = time.Millisecond

// checkEvery is how often a reader that reads without errors looks whether
// entries were trimmed before it came to them, at most when it is behind.
const checkEvery = time.Second

// reader reads one stream, from where it ended when it was opened, and hands
// the entries on. It holds its place through errors and outages, and finds out
// when entries went by that it never saw.
type reader struct {
	s *stream

	// The goroutine's own.
	place   place
	check   time.Time         // when to look for what was trimmed
	came    time.Time         // when the last entries came
	waited  bool              // before the last read
	rest    respite.Rest      // in reads, from waiting
	numbers map[string]uint64 // of the newest entry of each Go node; nil at first

	mu      sync.Mutex
	last    offset        // of the newest entry that has been handed on
	next    chan struct{} // closed and replaced when last changes, if somebody waits
	waiting int
	late    error // why nothing can be read at present
}

// place is where a reader is.
type place struct {
	last  offset
	count int64 // entries ever added up to last; -1 if the server does not count
}

// start finds the stream's end.
func (r *reader) start(ctx context.Context) error {
	info, err := r.info(ctx)
	if err != nil {
		return err
	}
	r.place = place{last: info.last, count: info.added}
	r.last, r.next = info.last, make(chan struct{})
	return nil
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	pause, unsure := minPause, false
	r.check = time.Now().Add(checkEvery)
	for ctx.Err() == nil {
		err := r.turn(ctx, unsure)
		if err == nil {
			r.state(nil)
			pause, unsure = minPause, false
			continue
		}
		if ctx.Err() != nil {
			return
		}
		r.state(err)
		r.s.count.readErrors.Add(1)
		r.s.c.troubled("cannot read the stream", err)
		unsure = true
		if !sleep(ctx, jitter(pause)) {
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// turn looks for what is missing, if it is time or after an error, and reads
// what there is.
func (r *reader) turn(ctx context.Context, unsure bool) error {
	if unsure || !time.Now().Before(r.check) {
		if err := r.verify(ctx, unsure); err != nil {
			return err
		}
		r.check = time.Now().Add(jitter(checkEvery))
	}
	// Not a deadline: with one rueidis would not look at the end of ctx.
	ask, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(r.s.o.BlockTime+patience, cancel).Stop()
	streams, err := r.s.redis.Do(ask, r.command()).AsXRead()
	if rueidis.IsRedisNil(err) {
		return nil
	}
	if err != nil {
		return err
	}
	entries := streams[r.s.name]
	now := time.Now()
	often := now.Sub(r.came) < 2*gather
	r.came = now
	for _, e := range entries {
		id, ok := parseOffset(e.ID)
		if !ok {
			return fmt.Errorf("socketeer: redis gave an entry the id %.50q", e.ID)
		}
		r.place.last = id
		if r.place.count >= 0 {
			r.place.count++
		}
		r.s.deliver.Lock() // around both: a namespace that opens sees the entry or begins after it
		r.s.entry(id, e)
		r.reached(id)
		r.s.arrived(id)
		r.s.deliver.Unlock()
	}
	if len(entries) < r.s.o.ReadCount { // not behind
		r.check = time.Now().Add(maxCheck)
		r.gather(ctx, often, len(entries))
	}
	return nil
}

// gather waits for more entries, if they come often. The last read brought so
// many.
func (r *reader) gather(ctx context.Context, often bool, brought int) {
	if r.waited {
		r.rest.Waited(brought > 1)
	}
	r.waited = r.rest.Over() && often
	if r.waited {
		sleep(ctx, gather)
	}
}

// command is the read. It is not marked as one, or rueidis would repeat it after
// an error, of which the reader has to know.
func (r *reader) command() rueidis.Completed {
	return r.s.redis.B().Arbitrary("XREAD").Args("COUNT", strconv.Itoa(r.s.o.ReadCount),
		"BLOCK", strconv.FormatInt(r.s.o.BlockTime.Milliseconds(), 10), "STREAMS").
		Keys(r.s.name).Args(r.place.last.String()).Blocking()
}

// maxNumbers bounds the nodes whose numbers are remembered.
const maxNumbers = 4096

// again reports whether an entry of a Go node has been read before. That happens
// when Redis lost it, and with it that it was written, before the node heard
// that it was: a server that came back empty, or a replica that took over.
func (r *reader) again(uid, seq string) bool {
	n, err := strconv.ParseUint(seq, 36, 64)
	if err != nil { // of Node.js
		return false
	}
	if n <= r.numbers[uid] {
		return true
	}
	if r.numbers == nil || len(r.numbers) >= maxNumbers {
		r.numbers = make(map[string]uint64)
	}
	r.numbers[uid] = n
	return false
}

// maxCheck is how often a reader looks that is not behind.
const maxCheck = 10 * time.Second

// verify looks whether entries were trimmed before they were read, or, when
// unsure because there was an error, the stream is not the one it was.
func (r *reader) verify(ctx context.Context, unsure bool) error {
	info, err := r.info(ctx)
	if err != nil {
		return err
	}
	removed := info.added - info.length // before the first one that is there
	switch at := &r.place; {
	case info.last == at.last:
		at.count = info.added
	case at.last.after(info.last):
		r.gap(replaced, -1)
		*at = place{last: info.last, count: info.added}
	case !info.first.after(at.last):
		if unsure {
			return r.present(ctx)
		}
	case info.added < 0 || at.count < 0: // it is not known how many
		r.gap(trimmed, -1)
	case removed > at.count:
		r.gap(trimmed, removed-at.count)
		at.count = removed
	case removed < at.count || unsure:
		r.gap(replaced, -1)
		at.count = removed
	}
	return nil
}

// What a gap comes from.
const (
	trimmed  = "entries were trimmed before they were read"
	replaced = "the stream is not what it was, redis lost entries"
)

// present looks whether the newest entry that was read still is there. If not,
// this is another server, which did not get all that the old one had.
func (r *reader) present(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id := r.place.last.String()
	found, err := r.s.redis.Do(ask, r.s.redis.B().Xrange().Key(r.s.name).Start(id).End(id).Build()).AsXRange()
	if err != nil {
		return err
	}
	if len(found) == 0 {
		r.gap(replaced, -1)
		r.place.count = -1
	}
	return nil
}

// gap notes that entries are missing here. Trimmed ones are counted if it is
// known how many they are.
func (r *reader) gap(what string, count int64) {
	r.s.count.gaps.Add(1)
	r.s.count.missed.Add(uint64(max(count, 0)))
	r.s.log.Error("messages of other nodes were missed: "+what, "stream", r.s.name, "count", count)
	r.s.broken()
}

// streamInfo is what XINFO STREAM tells.
type streamInfo struct {
	first, last   offset // of the entries
	length, added int64  // added is -1 if the server does not count
}

func (r *reader) info(ctx context.Context) (streamInfo, error) {
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, err := r.s.redis.Do(ask, r.s.redis.B().XinfoStream().Key(r.s.name).Build()).AsMap()
	var re *rueidis.RedisError
	if errors.As(err, &re) && strings.Contains(re.Error(), "no such key") {
		return streamInfo{}, nil
	}
	if err != nil {
		return streamInfo{}, err
	}
	info := streamInfo{added: -1}
	lastID, length := m["last-generated-id"], m["length"]
	s, _ := lastID.ToString()
	var ok bool
	if info.last, ok = parseOffset(s); !ok {
		return streamInfo{}, errors.New("socketeer: redis describes a stream in another way than expected")
	}
	info.length, _ = length.AsInt64()
	if added, ok := m["entries-added"]; ok {
		info.added, _ = added.AsInt64()
	}
	first := m["first-entry"]
	if entry, err := first.AsXRangeEntry(); err == nil {
		info.first, _ = parseOffset(entry.ID)
	}
	return info, nil
}

// reached tells who waits that everything up to id has been handed on.
func (r *reader) reached(id offset) {
	r.mu.Lock()
	r.last = id
	if r.waiting > 0 {
		close(r.next)
		r.next = make(chan struct{})
		r.waiting = 0
	}
	r.mu.Unlock()
}

func (r *reader) state(err error) {
	r.mu.Lock()
	r.late = err
	r.mu.Unlock()
}

// ready returns why nothing can be read, or nil.
func (r *reader) ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.late
}

// wait returns when everything up to id has been handed on, or with ctx's
// cause.
func (r *reader) wait(ctx context.Context, id offset) error {
	for {
		r.mu.Lock()
		done, next := !id.after(r.last), r.next
		if !done {
			r.waiting++
		}
		r.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// position returns the newest entry that has been handed on.
func (r *reader) position() offset {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
