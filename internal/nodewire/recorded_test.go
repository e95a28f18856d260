package nodewire_test

import (
	"encoding/json"
	"os"
	"sync"
	"testing"
)

// recordings are what notepack 3.0.1, @msgpack/msgpack 2.8.0, redis-adapter
// 8.3.0 (classic and sharded) and redis-streams-adapter 0.3.1 encoded.
type recordings struct {
	Values []struct {
		JSON        string
		Attachments []string
		Exact       bool // packed alike by us: no date, no undefined
		Notepack    string
		Msgpack     string
	}
	ClassicBroadcasts, ClassicRequests, ClassicResponses []string   // hexadecimal
	Envelopes                                            []string   // of the sharded adapter, hexadecimal
	Published                                            []string   // by the streams adapter, hexadecimal
	Entries                                              [][]string // fields of a stream's entries
	Sessions                                             []string
	Hashes                                               []struct {
		NSP  string
		Hash int32
		Of4  string
	}
}

var loadRecordings = sync.OnceValues(func() (r recordings, err error) {
	b, err := os.ReadFile("testdata/node.json")
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
})

func recorded(tb testing.TB) recordings {
	tb.Helper()
	r, err := loadRecordings()
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
