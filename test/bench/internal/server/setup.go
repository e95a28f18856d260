package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setup is a server that serves, one process or several, Redis included; or
// one whose nodes others start, see [Tools.Prepare].
type Setup struct {
	Kind  Kind
	Addrs []string // for clients, one a node
	PIDs  []int    // of all processes

	processes []*process
	dir       string // Redis's own, empty without
	redis     string // its URL
	// How a node is started, of a server on Node.js: where, by what, with which
	// environment besides the harness's own. Its port follows.
	folder string
	argv   []string
	env    []string
}

// Start starts the nodes of k and returns when they serve, and know each
// other. died is called, from another goroutine, when a process ends before
// Stop.
func (t *Tools) Start(ctx context.Context, k Kind, nodes int, died func(error)) (*Setup, error) {
	s, err := t.Prepare(ctx, k, died)
	if err != nil {
		return nil, err
	}
	start := t.startOurs
	if k.script != "" {
		start = t.startPeers
	}
	if err := start(ctx, s, nodes, died); err != nil {
		_ = s.Stop() // the first error is the one to tell
		return nil, err
	}
	return s, nil
}

// Prepare starts what nodes of k need besides themselves, such as a Redis.
// died is that of Start.
func (t *Tools) Prepare(ctx context.Context, k Kind, died func(error)) (*Setup, error) {
	s := &Setup{Kind: k}
	if k.redis {
		var err error
		if s.redis, err = t.startRedis(ctx, s, died); err != nil {
			_ = s.Stop() // the first error is the one to tell
			return nil, err
		}
	}
	if k.script == "" {
		return s, nil
	}
	s.folder, s.argv = t.Peers, []string{t.Node, k.script}
	if k.recovers {
		s.env = append(s.env, "RECOVERY=1")
	}
	if k.redis {
		s.env = append(s.env, "ADAPTER="+k.adapter, "REDIS_URL="+s.redis)
	}
	return s, nil
}

// Load returns the arguments by which a command of "socketeer bench" finds the
// nodes of s, or, when s was only prepared, starts them; nodes of ours it starts
// by itself. It must run in the folder and with the environment of Surroundings.
func (s *Setup) Load() []string {
	var pids []string
	for _, pid := range s.PIDs {
		pids = append(pids, strconv.Itoa(pid))
	}
	if len(s.Addrs) > 0 {
		return []string{"--addr", strings.Join(s.Addrs, ","), "--pid", strings.Join(pids, ",")}
	}
	args := []string{"--adapter", s.Kind.adapter}
	if len(s.argv) > 0 {
		args = []string{"--serve", strings.Join(s.argv, " ") + " {port}"}
	}
	if s.Kind.recovers {
		args = append(args, "--recover")
	}
	if len(pids) > 0 {
		args = append(args, "--pid", strings.Join(pids, ","))
	}
	return args
}

// recovery is how long nodes of ours keep sessions: what Node.js servers do by
// default.
const recovery = "2m"

// Surroundings are the folder in which a command runs that starts nodes of s,
// empty for the harness's own, and its environment.
func (s *Setup) Surroundings() (dir string, env []string) {
	return s.folder, append(environ(), s.env...)
}

// Stop ends all processes and returns when they are gone.
func (s *Setup) Stop() error {
	err := stop(s.processes)
	s.processes = nil
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // an empty folder
	}
	return err
}

// launch starts one more process of s.
func (s *Setup) launch(c command, died func(error)) (*process, error) {
	p, err := start(c, died)
	if err != nil {
		return nil, err
	}
	s.processes = append(s.processes, p)
	s.PIDs = append(s.PIDs, p.cmd.Process.Pid)
	return p, nil
}

// nodeName names the i-th of nodes processes of k.
func nodeName(k Kind, i, nodes int) string {
	if nodes == 1 {
		return k.Name
	}
	return fmt.Sprintf("%s, node %d", k.Name, i+1)
}

func (t *Tools) startOurs(ctx context.Context, s *Setup, nodes int, died func(error)) error {
	addrs, err := freeAddrs(ctx, 3*nodes)
	if err != nil {
		return err
	}
	public, admin, peers := addrs[:nodes], addrs[nodes:2*nodes], addrs[2*nodes:]
	// As each Node.js process has one thread for its JavaScript, several nodes
	// of ours share the processors instead of taking all of them each.
	var env []string
	if nodes > 1 {
		env = []string{fmt.Sprint("GOMAXPROCS=", max(1, runtime.NumCPU()/nodes))}
	}
	for i := range nodes {
		argv := []string{t.Socketeer, "serve", "--app", "bench", "--log-level", "error", "--drain", "1s",
			"--name", "node-" + strconv.Itoa(i+1), "--addr", public[i], "--admin-addr", admin[i]}
		if nodes > 1 {
			argv = append(argv, "--adapter", s.Kind.adapter, "--cluster-wait", startPatience.String())
			if s.Kind.redis {
				argv = append(argv, "--redis", s.redis)
			} else {
				argv = append(argv, "--cluster-addr", peers[i], "--cluster-peers", strings.Join(peers, ","))
			}
		}
		if s.Kind.recovers {
			argv = append(argv, "--recovery", recovery)
		}
		if _, err := s.launch(command{name: nodeName(s.Kind, i, nodes), argv: argv, env: env}, died); err != nil {
			return err
		}
	}
	s.Addrs = public
	for i, p := range s.processes[len(s.processes)-nodes:] {
		if err := p.awaitCluster(ctx, admin[i], nodes); err != nil {
			return err
		}
	}
	return nil
}

// awaitCluster waits until a node of ours says, at its address for operators,
// that it is ready and knows so many nodes.
func (p *process) awaitCluster(ctx context.Context, admin string, nodes int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan struct{})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if knows(ctx, admin) >= nodes {
				close(ready)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	err := p.await(ctx, ready)
	cancel()
	<-asked
	return err
}

// knows returns how many nodes the one at admin knows; 0 when it is not ready.
func knows(ctx context.Context, admin string) int {
	var ready struct{}
	var list struct {
		Nodes []json.RawMessage `json:"nodes"`
	}
	if !fetch(ctx, "http://"+admin+"/readyz", &ready) || !fetch(ctx, "http://"+admin+"/v1/nodes", &list) {
		return 0
	}
	return len(list.Nodes)
}

// fetch reads JSON from url, and reports whether it came.
func fetch(ctx context.Context, url string, into any) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK && json.NewDecoder(res.Body).Decode(into) == nil
}

func (t *Tools) startPeers(ctx context.Context, s *Setup, nodes int, died func(error)) error {
	addrs, err := freeAddrs(ctx, nodes)
	if err != nil {
		return err
	}
	var started []*process
	for i, addr := range addrs {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("socketeer: %w", err)
		}
		p, err := s.launch(command{
			name: nodeName(s.Kind, i, nodes), dir: s.folder, argv: append(slices.Clip(s.argv), port), env: s.env, ready: "listening " + port,
		}, died)
		if err != nil {
			return err
		}
		started = append(started, p)
	}
	s.Addrs = addrs
	for _, p := range started {
		if err := p.await(ctx, p.out.ready); err != nil {
			return err
		}
	}
	return nil
}

// startRedis starts a Redis that keeps nothing on disk, and returns its URL.
func (t *Tools) startRedis(ctx context.Context, s *Setup, died func(error)) (string, error) {
	addrs, err := freeAddrs(ctx, 1)
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(addrs[0])
	if err != nil {
		return "", fmt.Errorf("socketeer: %w", err)
	}
	if s.dir, err = os.MkdirTemp("", "socketeer-compare-"); err != nil {
		return "", fmt.Errorf("socketeer: %w", err)
	}
	p, err := s.launch(command{
		name: "redis-server of " + s.Kind.Name, dir: s.dir, ready: "Ready to accept connections",
		argv: []string{t.Redis, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--daemonize", "no"},
	}, died)
	if err != nil {
		return "", err
	}
	return "redis://" + addrs[0], p.await(ctx, p.out.ready)
}
