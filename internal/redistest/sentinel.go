package redistest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// MasterName is what sentinels call their master.
const MasterName = "mymaster"

// SentinelSet is a master, its replica, and three sentinels that watch them.
// After a failover the roles of Master and Replica are swapped.
type SentinelSet struct {
	tb              testing.TB
	Master, Replica *Server
	Sentinels       []*Server
}

// Sentinel starts the set and waits until a failover would work. At most one
// Options applies to master and replica. They fail over about a second after
// the master is gone.
func Sentinel(tb testing.TB, o ...Options) *SentinelSet {
	tb.Helper()
	set := &SentinelSet{tb: tb, Master: newServer(tb, one(o))}
	set.Replica = newServer(tb, one(o), "--replicaof", "127.0.0.1 "+strconv.Itoa(set.Master.port))
	for _, s := range []*Server{set.Master, set.Replica} {
		s.args = append(s.args, "--repl-timeout", "5", "--repl-ping-replica-period", "1")
		if s.options.Password != "" {
			s.args = append(s.args, "--masterauth", s.options.Password)
		}
		s.Restart()
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	set.Replica.waitInfo(ctx, "REPLICATION", "master_link_status:up")
	for range 3 {
		set.Sentinels = append(set.Sentinels, newSentinel(tb, set.Master))
	}
	for _, s := range set.Sentinels {
		set.await(ctx, s)
	}
	return set
}

func newSentinel(tb testing.TB, master *Server) *Server {
	tb.Helper()
	s := newServer(tb, Options{})
	conf := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds %[3]s 700\nsentinel failover-timeout %[3]s 2000\nsentinel parallel-syncs %[3]s 1\n",
		s.port, s.dir, MasterName, master.port)
	if p := master.options.Password; p != "" {
		conf += fmt.Sprintf("sentinel auth-pass %s %s\n", MasterName, p)
	}
	name := filepath.Join(s.dir, "sentinel.conf")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.args = []string{name, "--sentinel"}
	s.Restart()
	return s
}

// await waits until a sentinel knows everybody.
func (set *SentinelSet) await(ctx context.Context, s *Server) {
	set.tb.Helper()
	if err := until(ctx, func() error {
		v, err := s.Do(ctx, "SENTINEL", "MASTER", MasterName)
		if err != nil {
			return err
		}
		list, _ := v.([]any)
		found := make(map[string]string)
		for i := 0; i+1 < len(list); i += 2 {
			found[fmt.Sprint(list[i])] = fmt.Sprint(list[i+1])
		}
		if found["num-other-sentinels"] != "2" || found["num-slaves"] != "1" {
			return errors.New("the sentinels do not know everybody")
		}
		return nil
	}); err != nil {
		set.tb.Fatal(err)
	}
}

// URL returns the redis-sentinel:// URL of the set.
func (set *SentinelSet) URL() string {
	var hosts []string
	for _, s := range set.Sentinels {
		hosts = append(hosts, s.Addr())
	}
	u := url.URL{Scheme: "redis-sentinel", User: set.Master.userinfo(), Host: strings.Join(hosts, ","), Path: MasterName}
	return u.String()
}

// Current returns the address of the master, as the first sentinel sees it.
func (set *SentinelSet) Current() string {
	set.tb.Helper()
	v, _ := set.Sentinels[0].Must("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName).([]any)
	if len(v) != 2 {
		set.tb.Fatalf("the sentinel says %v", v)
	}
	return fmt.Sprintf("%s:%s", v...)
}
