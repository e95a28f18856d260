package mesh

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/cluster"
)

// How two nodes get to know each other:
//
//	dialer    hello                   acceptor
//	          hello, proof        <--
//	      --> proof, verdict
//	          verdict             <--
//
// A hello is [magic, version, cluster, incarnation, address, nonce]; a proof is
// an HMAC of both nonces and incarnations by the clusters' token, so that the
// token itself does not cross the network.
//
// Two nodes may dial each other at the same time, and must end up with one
// link, or messages would overtake each other on the way. Of each pair, the
// node with the smaller incarnation decides, under a lock, and the verdict of
// the other is always yes.
const (
	helloMagic   = "socketeer-mesh"
	helloVersion = 1
	helloFields  = 6
	nonceLen     = 16

	handshakeTimeout = 5 * time.Second
)

// Errors of a handshake. The first three are of no use to try again soon.
var (
	errStranger  = errors.New("socketeer: mesh: the other side is no node of ours")
	errToken     = errors.New("socketeer: mesh: the other side has another token")
	errSelf      = errors.New("socketeer: mesh: this is the node itself")
	errDuplicate = errors.New("socketeer: mesh: there is a link to this node already")
)

// hello is how a node introduces itself.
type hello struct {
	cluster     string
	incarnation string
	addr        string // where others reach it
	nonce       []byte
}

func (h *hello) append(b []byte) []byte {
	b = msgp.AppendArrayHeader(b, helloFields)
	b = msgp.AppendString(b, helloMagic)
	b = msgp.AppendInt(b, helloVersion)
	b = msgp.AppendString(b, h.cluster)
	b = msgp.AppendString(b, h.incarnation)
	b = msgp.AppendString(b, h.addr)
	return msgp.AppendBytes(b, h.nonce)
}

// parseHello is strict about what it knows, and ignores elements at the end
// that later versions may add.
func parseHello(b []byte) (h hello, err error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || n < helloFields {
		return h, errStranger
	}
	magic, b, err := msgp.ReadStringZC(b)
	if err != nil || string(magic) != helloMagic {
		return h, errStranger
	}
	version, b, err := msgp.ReadIntBytes(b)
	if err != nil || version != helloVersion {
		return h, errStranger
	}
	for _, field := range []*string{&h.cluster, &h.incarnation, &h.addr} {
		if *field, b, err = msgp.ReadStringBytes(b); err != nil {
			return h, errStranger
		}
	}
	if h.nonce, _, err = msgp.ReadBytesBytes(b, nil); err != nil ||
		len(h.nonce) != nonceLen || len(h.incarnation) != cluster.IncarnationLen || len(h.addr) > maxAddr {
		return h, errStranger
	}
	return h, nil
}

func newNonce() []byte {
	b := make([]byte, nonceLen)
	_, _ = rand.Read(b) // it does not fail
	return b
}

// proof is what only one who has the token can say as dialer or acceptor.
func proof(token string, role byte, dialer, acceptor *hello) []byte {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte{role})
	for _, h := range []*hello{dialer, acceptor} {
		mac.Write(h.nonce)
		mac.Write([]byte(h.incarnation))
	}
	return mac.Sum(nil)
}

const (
	roleDialer   = 'd'
	roleAcceptor = 'a'
)

// shaker makes handshakes. Its methods take a function that is asked about a
// peer that has shown to have the token, when this node is the one to decide.
type shaker struct {
	self  hello // without nonce
	token string
}

// dial introduces this node on a connection that it has opened.
func (s *shaker) dial(nc net.Conn, decide func(*hello) bool) (hello, error) {
	me := s.self
	me.nonce = newNonce()
	if err := writeFrames(nc, appendFrame(nil, frameHello, me.append(nil))); err != nil {
		return hello{}, err
	}
	peer, err := s.expectHello(nc)
	if err != nil {
		return peer, err
	}
	if err := expectProof(nc, proof(s.token, roleAcceptor, &me, &peer)); err != nil {
		return peer, err
	}
	verdict := s.self.incarnation > peer.incarnation || decide(&peer)
	b := appendFrame(nil, frameProof, proof(s.token, roleDialer, &me, &peer))
	if err := writeFrames(nc, appendVerdict(b, verdict)); err != nil {
		return peer, err
	}
	if !verdict {
		return peer, errDuplicate
	}
	return peer, expectVerdict(nc)
}

// accept answers on a connection that another node has opened.
func (s *shaker) accept(nc net.Conn, decide func(*hello) bool) (hello, error) {
	peer, err := s.expectHello(nc)
	if err != nil {
		return peer, err
	}
	me := s.self
	me.nonce = newNonce()
	b := appendFrame(nil, frameHello, me.append(nil))
	if err := writeFrames(nc, appendFrame(b, frameProof, proof(s.token, roleAcceptor, &peer, &me))); err != nil {
		return peer, err
	}
	if err := expectProof(nc, proof(s.token, roleDialer, &peer, &me)); err != nil {
		return peer, err
	}
	if err := expectVerdict(nc); err != nil {
		return peer, err
	}
	verdict := s.self.incarnation > peer.incarnation || decide(&peer)
	if err := writeFrames(nc, appendVerdict(nil, verdict)); err != nil {
		return peer, err
	}
	if !verdict {
		return peer, errDuplicate
	}
	return peer, nil
}

func (s *shaker) expectHello(nc net.Conn) (hello, error) {
	body, err := readFrame(nc, frameHello)
	if err != nil {
		return hello{}, err
	}
	peer, err := parseHello(body)
	switch {
	case err != nil:
		return peer, err
	case peer.incarnation == s.self.incarnation:
		return peer, errSelf
	case peer.cluster != s.self.cluster:
		return peer, fmt.Errorf("%w: its cluster is %.64q", errStranger, peer.cluster)
	}
	return peer, nil
}

func expectProof(nc net.Conn, want []byte) error {
	got, err := readFrame(nc, frameProof)
	if err != nil {
		return err
	}
	if !hmac.Equal(got, want) {
		return errToken
	}
	return nil
}

func appendVerdict(b []byte, yes bool) []byte {
	verdict := []byte{0}
	if yes {
		verdict[0] = 1
	}
	return appendFrame(b, frameVerdict, verdict)
}

func expectVerdict(nc net.Conn) error {
	body, err := readFrame(nc, frameVerdict)
	switch {
	case err != nil:
		return err
	case len(body) != 1 || body[0] > 1:
		return errFrame
	case body[0] == 0:
		return errDuplicate
	}
	return nil
}

func writeFrames(nc net.Conn, b []byte) error {
	if _, err := nc.Write(b); err != nil {
		return fmt.Errorf("socketeer: mesh: handshake: %w", err)
	}
	return nil
}

// readFrame reads one frame of a kind, and not a byte more.
func readFrame(nc net.Conn, want frameKind) ([]byte, error) {
	var head [lengthSize + 1]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return nil, fmt.Errorf("socketeer: mesh: handshake: %w", err)
	}
	b := head[:]
	_, _, _, need, complete, err := nextFrame(b, 0)
	if err != nil {
		return nil, errStranger
	}
	if !complete {
		b = append(b, make([]byte, need-len(b))...)
		if _, err := io.ReadFull(nc, b[len(head):]); err != nil {
			return nil, fmt.Errorf("socketeer: mesh: handshake: %w", err)
		}
	}
	k, body, _, _, _, err := nextFrame(b, 0)
	if err != nil || k != want {
		return nil, errStranger
	}
	return body, nil
}
