package queue

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// parseID returns the two numbers of an entry id.
func parseID(id string) (ms, seq uint64, ok bool) {
	a, b, found := strings.Cut(id, "-")
	ms, err1 := strconv.ParseUint(a, 10, 64)
	seq, err2 := strconv.ParseUint(b, 10, 64)
	return ms, seq, found && err1 == nil && err2 == nil
}

// compareIDs orders entry ids by age. What is no id is the oldest.
func compareIDs(a, b string) int {
	ams, aseq, _ := parseID(a)
	bms, bseq, _ := parseID(b)
	return cmp.Or(cmp.Compare(ams, bms), cmp.Compare(aseq, bseq))
}

// after returns the smallest id that is larger.
func after(id string) string {
	ms, seq, _ := parseID(id)
	if seq++; seq == 0 {
		ms++
	}
	return strconv.FormatUint(ms, 10) + "-" + strconv.FormatUint(seq, 10)
}

// idTime returns the time that is in an id.
func idTime(id string) time.Time {
	ms, _, ok := parseID(id)
	if !ok || ms > 1<<53 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}
