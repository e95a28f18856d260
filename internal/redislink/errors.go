package redislink

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/rueidis"
)

// Errors that tell what became of a publish or of a subscription.
var (
	// ErrClosed: the link is closed. It is a net.ErrClosed.
	ErrClosed = fmt.Errorf("socketeer: redis link: %w", net.ErrClosed)
	// ErrDown: Redis is away.
	ErrDown = errors.New("socketeer: redis is not connected")
	// ErrBacklog: Redis takes messages slower than they come.
	ErrBacklog = errors.New("socketeer: redis backlog is full")

	errPublishOnly = errors.New("socketeer: redis: this link only publishes")

	errReplica  = errors.New("the server is a replica, where what is published reaches nobody: name the master, or its sentinels")
	errRetired  = errors.New("socketeer: redis: that server is not a master any more")
	errSentinel = errors.New("the server is a sentinel: write redis-sentinel://host:port/master-name")
)

func redisError(err error, prefixes ...string) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	for _, p := range prefixes {
		if strings.HasPrefix(e.Error(), p) {
			return true
		}
	}
	return false
}

func loading(err error) bool { return redisError(err, "LOADING", "MASTERDOWN", "BUSY", "CLUSTERDOWN") }

func denied(err error) bool {
	return redisError(err, "WRONGPASS", "NOAUTH", "NOPERM", "ERR invalid password", "ERR Client sent AUTH", "ERR AUTH")
}

func moved(err error) bool { return redisError(err, "MOVED ", "ASK ") }

// explain makes one line of an error, with what to check.
func explain(addr string, err error) error {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		dns     *net.DNSError
	)
	hint := ""
	switch {
	case errors.Is(err, errReplica), errors.Is(err, errSentinel):
	case redisError(err, "WRONGPASS", "ERR invalid password", "ERR AUTH"):
		hint = "check the user and password of the URL"
	case redisError(err, "NOAUTH"):
		hint = "the server wants a password: redis://user:password@host"
	case redisError(err, "NOPERM"):
		hint = "the user lacks rights: see ACL LIST"
	case redisError(err, "DENIED"):
		hint = "the server is in protected mode: give it a password, or bind it to an address"
	case redisError(err, "LOADING"):
		hint = "the server is starting: try again"
	case redisError(err, "unknown command 'SENTINEL'", "ERR unknown command 'SENTINEL'"):
		hint = "the server is no sentinel: name the sentinels, or write redis://host:port for the server itself"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		hint = "is it running, and is the address right?"
	case errors.As(err, &dns):
		hint = "is the host name right?"
	case errors.As(err, &unknown), errors.As(err, &host):
		hint = "check its certificate, or the certificate authorities in the TLS options"
	case errors.As(err, new(tlsError)):
		hint = "does it speak TLS? If not, write redis:// in place of rediss://"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		hint = "it closed the connection: does it want TLS (rediss://)?"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		hint = "it does not answer: check address, port and firewall"
	}
	text := oneLine(err)
	if hint != "" {
		text += " (" + hint + ")"
	}
	return &linkError{text: "socketeer: redis at " + addr + ": " + text, err: err}
}

// from says where an error came from, with no advice: it worked before.
func from(addr string, err error) error {
	return &linkError{text: "socketeer: redis at " + addr + ": " + oneLine(err), err: err}
}

// tlsError is why a TLS handshake failed.
type tlsError struct{ error }

func (e tlsError) Error() string { return "tls: " + e.error.Error() }
func (e tlsError) Unwrap() error { return e.error }

// linkError has a text of its own.
type linkError struct {
	text string
	err  error
}

func (e *linkError) Error() string { return e.text }
func (e *linkError) Unwrap() error { return e.err }

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
