package redislink

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// target is what URLs say.
type target struct {
	addrs    []string // host:port, or unix:/path
	sentinel bool
	master   string // of the sentinels
	tls      bool
	user     string
	password string
	db       int

	sentinelUser, sentinelPassword string
}

// unixPrefix begins the address of a socket in the file system.
const unixPrefix = "unix:"

// CheckURLs refuses URLs that [Open] would refuse, with the same error.
func CheckURLs(urls []string) error {
	_, err := parseURLs(urls)
	return err
}

// parseURLs returns the one target that all URLs speak of.
func parseURLs(urls []string) (target, error) {
	var all target
	for i, text := range urls {
		t, err := parseURL(text)
		if err != nil {
			return all, err
		}
		if i == 0 {
			all = t
			continue
		}
		same := t
		same.addrs = all.addrs
		if t.sentinel || !all.equal(same) {
			return all, fmt.Errorf("socketeer: redis: %s and %s differ in more than the host", redact(urls[0]), redact(text))
		}
		all.addrs = append(all.addrs, t.addrs...)
	}
	return all, nil
}

func (t target) equal(u target) bool {
	addrs := slices.Equal(t.addrs, u.addrs)
	t.addrs, u.addrs = nil, nil
	return addrs && fmt.Sprint(t) == fmt.Sprint(u)
}

// parseURL reads one URL. Its errors show no password.
func parseURL(text string) (t target, err error) {
	fail := func(what string) (target, error) {
		return target{}, fmt.Errorf("socketeer: redis: %s: %s", redact(text), what)
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return fail("is not a URL such as redis://host:6379")
	}
	port := "6379"
	switch scheme {
	case "redis", "rediss", "unix":
	case "redis-sentinel", "rediss-sentinel":
		t.sentinel, port = true, "26379"
	default:
		return fail("unknown scheme; there are redis, rediss, unix, redis-sentinel and rediss-sentinel")
	}
	t.tls = strings.HasPrefix(scheme, "rediss")
	// A list of hosts is no URL for package url, so it gets one without hosts.
	hosts := ""
	if scheme != "unix" {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		start := strings.LastIndex(rest[:end], "@") + 1
		hosts = rest[start:end]
		rest = rest[:start] + "h" + rest[end:]
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return fail("is malformed")
	}
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("has a malformed query")
	}
	known := []string{"db"}
	if t.sentinel {
		known = append(known, "sentinel_user", "sentinel_password")
	}
	if err := onlyKnown(q, known); err != nil {
		return fail(err.Error())
	}
	t.sentinelUser, t.sentinelPassword = q.Get("sentinel_user"), q.Get("sentinel_password")
	db, path := q.Get("db"), strings.Trim(u.Path, "/")
	switch {
	case scheme == "unix":
		if path == "" {
			return fail("names no socket")
		}
		t.addrs = []string{unixPrefix + u.Path}
	case t.sentinel:
		if path == "" {
			return fail("names no master: redis-sentinel://host:26379/mymaster")
		}
		t.master = path
	case path != "":
		db = path
	}
	if db != "" {
		if t.db, err = strconv.Atoi(db); err != nil || t.db < 0 {
			return fail("the database is not a number")
		}
	}
	if scheme != "unix" {
		if t.addrs, err = hostList(hosts, port); err != nil {
			return fail(err.Error())
		}
	}
	return t, nil
}

// onlyKnown refuses parameters that would be ignored: what they ask for, a
// timeout perhaps, would silently not be so.
func onlyKnown(q url.Values, known []string) error {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch {
		case !slices.Contains(known, name):
			return fmt.Errorf("unknown parameter %s (known: %s)", shown(name), strings.Join(known, ", "))
		case len(q[name]) > 1:
			return fmt.Errorf("has the parameter %s more than once", name)
		}
	}
	return nil
}

// shown is the name of a parameter for an error, unless it may be something
// else: part of a password with a question mark in it.
func shown(name string) string {
	if len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" {
		return "with an odd name"
	}
	return strconv.Quote(name)
}

// hostList reads host:port,host:port.
func hostList(text, port string) ([]string, error) {
	var addrs []string
	for host := range strings.SplitSeq(text, ",") {
		host = strings.TrimSpace(host)
		if host == "" {
			return nil, errors.New("names no host")
		}
		h, p, err := net.SplitHostPort(host)
		if err != nil { // no port
			h, p = strings.Trim(host, "[]"), port
		}
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, errors.New("the port is not a number up to 65535")
		}
		if h == "" {
			h = "localhost"
		}
		addrs = append(addrs, net.JoinHostPort(h, p))
	}
	return addrs, nil
}

// redact removes what is secret from a URL.
func redact(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return strconv.Quote(text[strings.LastIndex(text, "@")+1:])
	}
	rest, query, _ := strings.Cut(rest, "?")
	if strings.Contains(query, "@") { // it may be the end of a password
		return scheme + "://***"
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = "***@" + rest[at+1:]
	}
	return scheme + "://" + rest
}
