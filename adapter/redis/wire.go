package redis

import (
	"bytes"
	"context"
	"slices"

	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// wire is one of the two formats, and the names of its channels.
type wire interface {
	nodepeers.Wire
	// subscriptions returns what a namespace subscribes to, rooms apart. The
	// last one is where it becomes visible to peers.
	subscriptions(s *space) []subscription
	// roomChannel returns the channel of a room that this node has members in,
	// if it needs one.
	roomChannel(s *space, room string) (redislink.Kind, string, bool)
	// peek finds the sender without decoding, as far as that is quick.
	peek(u use, s *space, b []byte) (uid []byte, own bool)
	// decode decodes what came by a channel for u.
	decode(u use, s *space, b []byte) (*nodewire.Message, error)
}

type subscription struct {
	kind redislink.Kind
	name string
	use  use
}

// Keys of members that hold a uid, in JSON and in msgpack.
var (
	jsonUID    = []byte(`"uid":"`)
	msgpackUID = []byte("\xa3uid")
)

// uidIn returns what follows a key at b[i:], which is a uid most likely: of no
// use but to keep senders apart.
func uidIn(b []byte, i int, key []byte) []byte {
	if i < 0 {
		return nil
	}
	b = b[i+len(key):]
	if key[0] == '"' {
		if end := bytes.IndexByte(b, '"'); end >= 0 {
			return b[:end]
		}
		return nil
	}
	const fixstr, maxLen = 0xa0, 31
	if len(b) > 0 && b[0]&0xe0 == fixstr {
		if n := int(b[0] & maxLen); n < len(b) {
			return b[1 : 1+n]
		}
	}
	return nil
}

// counts asks how many subscribe to a channel, and which of those named after
// uids have a subscriber.
func counts(ctx context.Context, ask func(context.Context, ...string) (map[string]int64, error), channel string, own []string) (total int, present []bool, err error) {
	n, err := ask(ctx, append([]string{channel}, own...)...)
	if err != nil {
		return 0, nil, err
	}
	for _, c := range own {
		present = append(present, n[c] > 0)
	}
	return int(n[channel]), present, nil
}

// uidsOf returns the uids in names of channels, sorted.
func uidsOf(names []string, prefix string) (uids []string) {
	for _, name := range names {
		if uid, ok := inside(name, prefix); ok {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids)
}
