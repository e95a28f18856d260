package redislink

import (
	"slices"
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	for text, want := range map[string]target{
		"redis://h":             {addrs: []string{"h:6379"}},
		"redis://[::1]:1/3":     {addrs: []string{"[::1]:1"}, db: 3},
		"redis://h1:1,h2?db=2":  {addrs: []string{"h1:1", "h2:6379"}, db: 2},
		"rediss://u:p%40@h:1":   {addrs: []string{"h:1"}, tls: true, user: "u", password: "p@"},
		"redis://:p@h":          {addrs: []string{"h:6379"}, password: "p"},
		"unix:///run/r.sock":    {addrs: []string{"unix:/run/r.sock"}},
		"unix://u:p@/r?db=4":    {addrs: []string{"unix:/r"}, user: "u", password: "p", db: 4},
		"redis-sentinel://h/m":  {addrs: []string{"h:26379"}, sentinel: true, master: "m"},
		"rediss-sentinel://h/m": {addrs: []string{"h:26379"}, sentinel: true, master: "m", tls: true},
		"redis-sentinel://u:p@h1:1,h2/m?db=1&sentinel_user=su&sentinel_password=sp": {
			addrs: []string{"h1:1", "h2:26379"}, sentinel: true, master: "m", user: "u", password: "p", db: 1,
			sentinelUser: "su", sentinelPassword: "sp",
		},
	} {
		got, err := parseURL(text)
		if err != nil || !got.equal(want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestSeveralURLs(t *testing.T) {
	got, err := parseURLs([]string{"redis://u:p@a:1", "redis://u:p@b:2"})
	if err != nil || !slices.Equal(got.addrs, []string{"a:1", "b:2"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseURLs([]string{"redis://u:hidden@a:1", "redis://u:other@b:2"}); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
}

// A parameter that would be ignored is refused, without showing what may be
// secret.
func TestParameters(t *testing.T) {
	for text, want := range map[string]string{
		"redis://h?timeout=5s":                            `redis://h: unknown parameter "timeout" (known: db)`,
		"redis://h/1?db=1&Db=2":                           `unknown parameter "Db" (known: db)`,
		"unix:///r?sentinel_user=u":                       `unknown parameter "sentinel_user" (known: db)`,
		"redis-sentinel://h/m?sentinel_pass=hidden":       `unknown parameter "sentinel_pass" (known: db, sentinel_user, sentinel_password)`,
		"redis://h?db=1&db=2":                             "has the parameter db more than once",
		"redis://h?db=%zz":                                "malformed",
		"redis://h?db=1;hidden":                           "malformed",
		"redis://h?hidden%20one":                          "unknown parameter with an odd name",
		"redis://u:6379?hidden@h":                         "redis://***: unknown parameter with an odd name",
		"redis://h?" + strings.Repeat("hidden", 20) + "=": "unknown parameter with an odd name",
	} {
		_, err := parseURL(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{
		"redis://u:p@h:1/2", "unix:///x?db=1", "redis-sentinel://a,b:1/m", "redis://[::1", "redis://@,@/?", "x", "redis://h:99999", "redis://h?db=1&db=%31", "redis://h?x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseURL(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "socketeer: ") {
				t.Errorf("%v", err)
			}
			return
		}
		if len(got.addrs) == 0 || got.db < 0 || got.sentinel && got.master == "" {
			t.Errorf("%q: %+v", text, got)
		}
	})
}

// TestSlots: the examples of the Redis Cluster specification, and CLUSTER
// KEYSLOT's answers.
func TestSlots(t *testing.T) {
	for key, want := range map[string]uint16{
		"123456789": 0x31C3, "": 0, "foo": 12182, "{foo}bar": 12182, "a{foo}b{x}": 12182,
		"{}foo": Slot("{}foo"), "foo{": Slot("foo{"),
	} {
		if got := Slot(key); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
	if Slot("{}foo") == Slot("foo") || Slot("{user}.a") != Slot("{user}.b") {
		t.Error("what is between braces")
	}
}
