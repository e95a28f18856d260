package wsconn

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const (
	// maxFragments bounds the frames of one message, so that a flood of tiny
	// fragments costs its sender the connection.
	maxFragments = 1024
	// firstAlloc is what an announced length may make us allocate before the
	// bytes are there.
	firstAlloc = 16 << 10
)

// parser turns bytes into messages. Its state survives between chunks of any
// size. Used by one goroutine at a time.
type parser struct {
	limit int64 // of a message, in bytes
	flate *deflater

	hdr  [14]byte // header bytes gathered so far
	nhdr uint8

	op        ws.OpCode // of the frame whose payload is being read
	fin       bool
	inPayload bool
	mask      [4]byte
	length    int64 // of the frame's payload
	got       int64 // of it, so far

	msgOp      ws.OpCode // of the message being assembled; 0 between messages
	compressed bool
	fragments  uint16
	buf        []byte // message bytes gathered over chunks or fragments
	ctl        []byte // control payload gathered over chunks
}

// feed consumes all of b, which it may overwrite.
func (p *parser) feed(b []byte, h Handler) error {
	for len(b) > 0 || p.inPayload && p.got == p.length {
		if !p.inPayload {
			n, err := p.header(b)
			if err != nil {
				return err
			}
			b = b[n:]
			if !p.inPayload {
				return nil // header incomplete, b is used up
			}
		}
		n := min(int64(len(b)), p.length-p.got)
		chunk := b[:n]
		b = b[n:]
		ws.Cipher(chunk, p.mask, int(p.got&3))
		p.got += n
		var err error
		if p.op.IsControl() {
			err = p.control(chunk, h)
		} else {
			err = p.data(chunk, h)
		}
		if err != nil {
			return err
		}
		if p.got < p.length {
			return nil
		}
		p.inPayload = false
	}
	return nil
}

// header gathers and checks a frame header, and returns how much of b it used.
func (p *parser) header(b []byte) (int, error) {
	used := 0
	for {
		need := p.headerSize()
		n := copy(p.hdr[p.nhdr:need], b[used:])
		p.nhdr += uint8(n)
		used += n
		if int(p.nhdr) < need {
			return used, nil
		}
		if need >= 6 { // the whole header: the mask is always there
			break
		}
		if err := p.check(); err != nil {
			return used, err
		}
	}
	p.nhdr = 0
	return used, p.begin()
}

// check judges the first two bytes as soon as they are there: what is no
// frame of a client may never get any longer.
func (p *parser) check() error {
	first, second := p.hdr[0], p.hdr[1]
	p.fin, p.op = first&0x80 != 0, ws.OpCode(first&0x0f)
	rsv1 := first&0x40 != 0
	switch {
	case second&0x80 == 0:
		return protocolError("frame is not masked")
	case first&0x30 != 0, rsv1 && p.flate == nil:
		return protocolError("reserved bits set")
	case p.op.IsReserved():
		return protocolError("reserved opcode")
	case p.op.IsControl() && (!p.fin || second&0x7f > 125 || rsv1):
		return protocolError("malformed control frame")
	}
	return nil
}

// headerSize tells how long the header is, as far as is known.
func (p *parser) headerSize() int {
	if p.nhdr < 2 {
		return 2
	}
	switch p.hdr[1] & 0x7f {
	case 126:
		return 8
	case 127:
		return 14
	default:
		return 6
	}
}

// begin takes the rest of the header apart.
func (p *parser) begin() error {
	switch n := p.hdr[1] & 0x7f; n {
	case 126:
		p.length = int64(binary.BigEndian.Uint16(p.hdr[2:]))
		copy(p.mask[:], p.hdr[4:])
	case 127:
		l := binary.BigEndian.Uint64(p.hdr[2:])
		if l>>63 != 0 {
			return protocolError("negative frame length")
		}
		p.length = int64(l)
		copy(p.mask[:], p.hdr[10:])
	default:
		p.length = int64(n)
		copy(p.mask[:], p.hdr[2:])
	}
	p.got, p.inPayload = 0, true
	if p.op.IsControl() {
		return nil
	}
	return p.beginData(p.hdr[0]&0x40 != 0)
}

func (p *parser) beginData(rsv1 bool) error {
	if p.op == ws.OpContinuation {
		if p.msgOp == 0 || rsv1 {
			return protocolError("unexpected continuation")
		}
	} else {
		if p.msgOp != 0 {
			return protocolError("message inside a fragmented message")
		}
		p.msgOp, p.compressed, p.fragments = p.op, rsv1, 0
	}
	p.fragments++
	if p.fragments > maxFragments {
		return &CloseError{Code: ClosePolicy, Reason: "too many fragments"}
	}
	if p.length > p.limit-int64(len(p.buf)) {
		return &CloseError{Code: CloseTooBig, Reason: "message too big"}
	}
	return nil
}

func (p *parser) control(chunk []byte, h Handler) error {
	if p.got < p.length {
		p.ctl = append(p.ctl, chunk...)
		return nil
	}
	if len(p.ctl) > 0 {
		chunk = append(p.ctl, chunk...)
		p.ctl = nil
	}
	switch p.op {
	case ws.OpPing:
		return h.Ping(chunk)
	case ws.OpClose:
		return closeError(chunk)
	default: // an unasked-for pong
		return nil
	}
}

func closeError(payload []byte) error {
	if len(payload) == 0 {
		return &CloseError{Code: CloseNoStatus, Remote: true}
	}
	if len(payload) == 1 || !utf8.Valid(payload[2:]) {
		return protocolError("malformed close frame")
	}
	code := int(binary.BigEndian.Uint16(payload))
	if ws.StatusCode(code).IsNotUsed() || ws.StatusCode(code).IsProtocolReserved() {
		return protocolError("invalid close code")
	}
	return &CloseError{Code: code, Reason: string(payload[2:]), Remote: true}
}

func (p *parser) data(chunk []byte, h Handler) error {
	complete := p.got == p.length && p.fin
	if complete && len(p.buf) == 0 {
		return p.deliver(chunk, h)
	}
	if p.buf == nil && len(chunk) > 0 {
		p.buf = make([]byte, 0, max(min(p.length, firstAlloc), int64(len(chunk))))
	}
	p.buf = append(p.buf, chunk...)
	if !complete {
		return nil
	}
	msg := p.buf
	p.buf = nil
	return p.deliver(msg, h)
}

func (p *parser) deliver(msg []byte, h Handler) error {
	isBinary := p.msgOp == ws.OpBinary
	p.msgOp = 0
	if p.compressed {
		var err error
		if msg, err = p.flate.inflate(msg, p.limit); err != nil {
			return err
		}
	}
	if !isBinary && !utf8.Valid(msg) {
		return &CloseError{Code: CloseInvalidData, Reason: "text is not UTF-8"}
	}
	return h.Message(msg, isBinary)
}
