package wsconn

// Parser is the server's parser, for tests that feed it bytes directly.
type Parser struct{ p parser }

// NewParser returns a parser; with deflate, as if compression was negotiated.
func NewParser(limit int64, deflate bool) *Parser {
	p := &Parser{parser{limit: limit}}
	if deflate {
		p.p.flate = &deflater{}
	}
	return p
}

// Feed is parser.feed.
func (p *Parser) Feed(b []byte, h Handler) error { return p.p.feed(b, h) }

// Held is how many bytes of memory the parser keeps.
func (p *Parser) Held() int { return cap(p.p.buf) + cap(p.p.ctl) }

// MaxFragments is the bound on frames a message.
const MaxFragments = maxFragments
