package redislink_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/nettest"
	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	plain := redistest.Standalone(t)
	secret := redistest.Standalone(t, redistest.Options{Password: "secret"})
	poor := redistest.Standalone(t, redistest.Options{User: "poor", UserPassword: "pw", UserRules: "~* resetchannels &other +@all"})
	secure := redistest.Standalone(t, redistest.Options{TLS: true})
	replica := redistest.Standalone(t)
	_, port, _ := strings.Cut(plain.Addr(), ":")
	replica.Must("REPLICAOF", "127.0.0.1", port)
	hole := nettest.StartProxy(t, plain.Addr())
	hole.Blackhole(true)
	for name, c := range map[string]struct {
		urls []string
		want string
	}{
		"nothing":       {nil, "no URL is given"},
		"no URL":        {[]string{"localhost"}, "is not a URL"},
		"scheme":        {[]string{"http://localhost"}, "unknown scheme"},
		"port":          {[]string{"redis://localhost:x"}, "the port is not a number"},
		"master":        {[]string{"redis-sentinel://localhost"}, "names no master"},
		"refused":       {[]string{"redis://127.0.0.1:1"}, "is it running"},
		"socket":        {[]string{"unix:///nowhere/redis.sock"}, "is it running"},
		"no password":   {[]string{"redis://" + secret.Addr()}, "the server wants a password"},
		"bad password":  {[]string{"redis://:hidden@" + secret.Addr()}, "check the user and password"},
		"no rights":     {[]string{poor.URL()}, "is the user allowed"},
		"not a cluster": {[]string{plain.URL(), secret.URL()}, "differ in more than the host"},
		"several":       {[]string{plain.URL(), replica.URL()}, "not part of a Redis Cluster"},
		"replica":       {[]string{replica.URL()}, "is a replica"},
		"hole":          {[]string{"redis://" + hole.Addr()}, "does not answer"},
		"tls":           {[]string{secure.URL()}, "check its certificate"},
		"needs tls":     {[]string{"redis://" + secure.Addr()}, "rediss://"},
		"no tls":        {[]string{"rediss://" + plain.Addr()}, "does it speak TLS?"},
		"no sentinel":   {[]string{"redis-sentinel://" + plain.Addr() + "/mymaster"}, "the server is no sentinel"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			l, err := redislink.Open(deadline(t), redislink.Options{URLs: c.urls, DialTimeout: 500 * time.Millisecond, PublishTimeout: 500 * time.Millisecond})
			if err == nil {
				l.Close()
				t.Fatal("it opened")
			}
			text := err.Error()
			if !strings.Contains(text, c.want) || !strings.HasPrefix(text, "socketeer: ") || strings.Contains(text, "\n") ||
				strings.Contains(text, "hidden") {
				t.Errorf("%s", text)
			}
			t.Logf("%s (%v)", text, time.Since(start))
		})
	}
}

func TestOpensEverywhere(t *testing.T) {
	for name, o := range map[string]redistest.Options{
		"password": {Password: "secret"}, "user": {User: "u", UserPassword: "p@ss/w:rd"}, "tls": {TLS: true, Password: "secret"}, "unix": {Unix: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Standalone(t, o)
			u := s.URL()
			if o.Unix {
				u = s.UnixURL()
			}
			l, got := linked(t, redislink.Options{URLs: []string{u}, TLS: s.TLS()})
			whole(t, l, got)
		})
	}
}

func TestSendAnswers(t *testing.T) {
	s := redistest.Standalone(t)
	l, got := linked(t, redislink.Options{URLs: []string{s.URL()}})
	b := l.Client().B()
	answers := make(chan string, 2)
	done := func(m rueidis.RedisMessage, err error) {
		id, _ := m.ToString()
		if err != nil {
			id = err.Error()
		}
		answers <- id
	}
	if err := l.Send(b.Xadd().Key("stream").Id("1-1").FieldValue().FieldValue("k", "v").Build(), done); err != nil {
		t.Fatal(err)
	}
	if err := l.Send(b.Xadd().Key("stream").Id("1-1").FieldValue().FieldValue("k", "v").Build(), done); err != nil {
		t.Fatal(err)
	}
	if id := <-answers; id != "1-1" {
		t.Error(id)
	}
	if text := <-answers; !strings.Contains(text, "equal or smaller") {
		t.Error(text)
	}
	whole(t, l, got)
}

// TestCloseSendsFirst: a goodbye before Close leaves.
func TestCloseSendsFirst(t *testing.T) {
	s := redistest.Standalone(t)
	_, got := linked(t, redislink.Options{URLs: []string{s.URL()}})
	other, _ := open(t, redislink.Options{URLs: []string{s.URL()}})
	if err := other.Publish("news", []byte("goodbye")); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goodbye", func() bool { return got.got("news", "goodbye") })
	if err := other.Publish("news", nil); err == nil {
		t.Error("published on a closed link")
	}
	if err := other.Subscribe(t.Context(), "x"); err == nil || other.Ready() == nil {
		t.Error("subscribed on a closed link")
	}
}
