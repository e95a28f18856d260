package mixedtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// Wire is how the nodes of a cluster talk to each other.
type Wire uint8

// The wires.
const (
	Classic Wire = iota
	Sharded
	Streams
	StreamsSharded // with useShardedPubSub
)

// shards reports whether a namespace's channels are sharded ones.
func (w Wire) shards() bool { return w == Sharded || w == StreamsSharded }

// Raw is somebody on Redis who writes and reads bytes.
type Raw struct {
	*redislink.Link
	tb testing.TB

	mu      sync.Mutex
	got     []redislink.Message
	changed chan struct{}
}

// NewRaw connects one, until the end of the test.
func NewRaw(tb testing.TB, url string) *Raw {
	tb.Helper()
	r := &Raw{tb: tb, changed: make(chan struct{})}
	link, err := redislink.Open(Patient(tb), redislink.Options{URLs: []string{url}, Prefix: "raw", Receive: func(m redislink.Message) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, m)
		close(r.changed)
		r.changed = make(chan struct{})
	}})
	must(tb, err)
	tb.Cleanup(func() {
		if err := link.Close(); err != nil {
			tb.Error(err)
		}
	})
	r.Link = link
	return r
}

// Until waits for a message that fits, and returns the first one.
func (r *Raw) Until(fits func(redislink.Message) bool) redislink.Message {
	r.tb.Helper()
	for ctx, from := Patient(r.tb), 0; ; {
		r.mu.Lock()
		fresh, changed := r.got[min(from, len(r.got)):], r.changed
		from = len(r.got)
		r.mu.Unlock()
		for _, m := range fresh {
			if fits(m) {
				return m
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.tb.Fatal("nothing that fits was published")
		}
	}
}

// Got returns what has come.
func (r *Raw) Got() []redislink.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]redislink.Message(nil), r.got...)
}

// Forget drops what has come.
func (r *Raw) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = nil
}

// Impostor takes part in the namespace "/" of a cluster as a Node.js server
// does, and answers as it is told.
type Impostor struct {
	*Raw
	wire   Wire
	prefix string
	uid    string
}

// NewImpostor adds one to the cluster whose channels begin with a prefix.
func NewImpostor(tb testing.TB, w Wire, url, prefix string) *Impostor {
	tb.Helper()
	p := &Impostor{Raw: NewRaw(tb, url), wire: w, prefix: prefix, uid: "0123456789abcdef"}
	if w == Classic {
		p.uid = "abcdef"
		must(tb, p.Subscribe(Patient(tb), prefix+"-request#/#", prefix+"-response#/#"+p.uid+"#"))
		return p
	}
	subscribe := p.Subscribe
	if w.shards() {
		subscribe = p.SSubscribe
	}
	must(tb, subscribe(Patient(tb), prefix+"#/#", prefix+"#/#"+p.uid+"#"))
	return p
}

// asked waits for a request and returns it.
func (p *Impostor) asked(t nodewire.Type) (m *nodewire.Message) {
	p.tb.Helper()
	decode := nodewire.DecodeEnvelope
	if p.wire == Classic {
		decode = nodewire.DecodeClassicRequest
	}
	p.Until(func(got redislink.Message) bool {
		var err error
		m, err = decode(got.Data)
		return err == nil && m.Type == t && m.RequestID != ""
	})
	return m
}

// encode returns a message as Node.js makes it.
func (p *Impostor) encode(m *nodewire.Message) []byte {
	p.tb.Helper()
	m.UID, m.NSP = p.uid, "/"
	encode := nodewire.AppendEnvelope
	switch {
	case p.wire == Classic && m.Type.Response():
		encode = nodewire.AppendClassicResponse
	case p.wire == Classic && m.Type == nodewire.Broadcast && m.RequestID == "":
		encode = nodewire.AppendClassicBroadcast
	case p.wire == Classic:
		encode = nodewire.AppendClassicRequest
	case p.wire != Sharded:
		encode = nodewire.AppendMsgpackEnvelope
	}
	b, err := encode(nil, m)
	must(p.tb, err)
	return b
}

// respond sends bytes to where an adapter gets answers.
func (p *Impostor) respond(to string, b []byte) error {
	switch {
	case p.wire == Classic:
		return p.Publish(p.prefix+"-response#/#", b)
	case p.wire.shards():
		return p.SPublish(p.prefix+"#/#"+to+"#", b)
	}
	return p.Publish(p.prefix+"#/#"+to+"#", b)
}

// flood publishes bytes, as fast as Redis takes them.
func (p *Impostor) flood(ctx context.Context, shard bool, channel string, b []byte) {
	p.tb.Helper()
	publish := p.Publish
	if shard {
		publish = p.SPublish
	}
	err := publish(channel, b)
	for ; errors.Is(err, redislink.ErrBacklog); err = publish(channel, b) {
		must(p.tb, Moment(ctx))
	}
	must(p.tb, err)
}

// listening returns the channels of the cluster that anybody subscribes to.
func (p *Impostor) listening() (channels, shards []string) {
	p.tb.Helper()
	ask := func(list func(context.Context, string) ([]string, error)) []string {
		names, err := list(Patient(p.tb), p.prefix+"[-#]*")
		must(p.tb, err)
		return names
	}
	channels, shards = ask(p.Channels), ask(p.ShardChannels)
	if len(channels)+len(shards) < 4 {
		p.tb.Fatalf("channels %q %q", channels, shards)
	}
	return channels, shards
}

func (w Wire) String() string {
	if names := []string{"classic", "sharded", "streams", "streams with sharded channels"}; int(w) < len(names) {
		return names[w]
	}
	return fmt.Sprintf("wire(%d)", uint8(w))
}
