package redistest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/nettest"
	"github.com/socketeer-io/socketeer/internal/process"
)

// startTime bounds how long a server may take until it answers.
const startTime = 20 * time.Second

// Options of a server. The zero value is one without a password.
type Options struct {
	// Password is asked for (requirepass). Default: none.
	Password string
	// User is another user, with UserPassword and the rights of UserRules, such
	// as "~* &* +@all". Default: none.
	User, UserPassword, UserRules string
	// TLS has the server speak nothing but TLS, with a certificate for
	// 127.0.0.1 that only [Server.TLS] trusts.
	TLS bool
	// Unix has it listen on a socket of the file system too: [Server.UnixURL].
	Unix bool
	// Args are appended to the command line: "--maxclients", "10".
	Args []string
}

// Server is one redis-server process, or the place of one that was killed. Its
// methods may be called concurrently.
type Server struct {
	tb      testing.TB
	bin     string
	dir     string
	port    int
	options Options
	args    []string
	cert    *certificate
	spawner *process.Spawner

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	tail *process.Tail
}

// Standalone starts one server, with at most one Options, and waits until it
// answers.
func Standalone(tb testing.TB, o ...Options) *Server {
	tb.Helper()
	s := newServer(tb, one(o))
	s.Restart()
	return s
}

func one[T any](list []T) (v T) {
	if len(list) > 0 {
		v = list[0]
	}
	return v
}

// newServer chooses a place for a server.
func newServer(tb testing.TB, o Options, args ...string) *Server {
	tb.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Skip("redis-server is not installed: Debian has it in the package redis-server")
	}
	s := &Server{tb: tb, bin: bin, dir: tb.TempDir(), port: nettest.FreePort(tb), options: o, spawner: process.NewSpawner()}
	if o.TLS {
		if s.cert, err = newCertificate(s.dir); err != nil {
			tb.Fatal(err)
		}
	}
	s.args = append(s.arguments(), args...)
	tb.Cleanup(func() {
		s.Kill()
		s.spawner.Close()
	})
	return s
}

// arguments returns the command line.
func (s *Server) arguments() []string {
	args := []string{
		"--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
		"--loglevel", "notice", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
	}
	port := strconv.Itoa(s.port)
	if s.cert != nil {
		args = append(args, "--port", "0", "--tls-port", port, "--tls-auth-clients", "no",
			"--tls-cert-file", s.cert.certFile, "--tls-key-file", s.cert.keyFile, "--tls-ca-cert-file", s.cert.certFile)
	} else {
		args = append(args, "--port", port)
	}
	if s.options.Unix {
		args = append(args, "--unixsocket", s.socket())
	}
	if s.options.Password != "" {
		args = append(args, "--requirepass", s.options.Password)
	}
	if s.options.User != "" {
		rules := cmp.Or(s.options.UserRules, "~* &* +@all")
		args = append(args, "--user", s.options.User, "on", ">"+s.options.UserPassword)
		args = append(args, strings.Fields(rules)...)
	}
	return append(args, s.options.Args...)
}

func (s *Server) socket() string { return filepath.Join(s.dir, "redis.sock") }

// Addr returns where the server listens, host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL returns the server's redis:// or rediss:// URL, with the user or the
// password if it asks for one.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), User: s.userinfo()}
	if s.cert != nil {
		u.Scheme = "rediss"
	}
	return u.String()
}

// UnixURL returns the URL of the socket in the file system.
func (s *Server) UnixURL() string {
	u := url.URL{Scheme: "unix", Path: s.socket(), User: s.userinfo()}
	return u.String()
}

func (s *Server) userinfo() *url.Userinfo {
	switch {
	case s.options.User != "":
		return url.UserPassword(s.options.User, s.options.UserPassword)
	case s.options.Password != "":
		return url.UserPassword("", s.options.Password)
	}
	return nil
}

// TLS returns what a client needs to trust the server; nil without TLS.
func (s *Server) TLS() *tls.Config {
	if s.cert == nil {
		return nil
	}
	return s.cert.client()
}

// Restart starts the server in its old place, empty, and waits until it
// answers. It ends it first if it runs.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	if err := s.launch(); err != nil {
		s.tb.Fatalf("redis-server: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if err := until(ctx, func() error {
		select {
		case <-s.ended():
			return errors.Join(errStop, errors.New("it ended"))
		default:
		}
		_, err := s.Do(ctx, "PING")
		return err
	}); err != nil {
		s.tb.Fatalf("redis-server does not answer: %v%s", err, s.tail.Shown())
	}
}

// launch starts the process.
func (s *Server) launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = new(process.Tail)
	cmd := exec.CommandContext(context.Background(), s.bin, s.args...)
	cmd.Stdout, cmd.Stderr = s.tail, s.tail
	if err := s.spawner.Start(cmd); err != nil {
		return err
	}
	done := make(chan struct{})
	s.cmd, s.done = cmd, done
	go func() {
		defer close(done)
		_ = cmd.Wait() // the reason is in its output
	}()
	return nil
}

func (s *Server) ended() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// Kill ends the server at once, as a crash does, and waits for it.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it may have ended already
	<-done
}

// Do sends one command on a connection of its own, as the default user, and
// returns the answer: string, int64, []any or nil.
func (s *Server) Do(ctx context.Context, args ...string) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if s.cert != nil {
		config := s.cert.client()
		config.ServerName = "127.0.0.1"
		conn = tls.Client(conn, config)
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	var commands [][]string
	if s.options.Password != "" {
		commands = append(commands, []string{"AUTH", s.options.Password})
	}
	return exchange(conn, append(commands, args)...)
}

// Must is [Server.Do] that fails the test on errors.
func (s *Server) Must(args ...string) any {
	s.tb.Helper()
	v, err := s.Do(context.Background(), args...)
	if err != nil {
		s.tb.Fatalf("redis-server: %v: %v", args, err)
	}
	return v
}

// errStop ends until.
var errStop = errors.New("given up")

// until calls f every few milliseconds until it returns nil.
func until(ctx context.Context, f func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil || errors.Is(err, errStop) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
