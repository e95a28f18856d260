package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// maxLine is where a line without an end is broken, in bytes.
const maxLine = 64 << 10

// own is the name before the supervisor's own messages.
const own = "up"

// output merges the lines of all children into one writer.
type output struct {
	prefixes [][]byte // by child; the supervisor's own is the last

	mu sync.Mutex
	w  io.Writer
}

func newOutput(w io.Writer, names []string, colour bool) *output {
	names = append(append([]string{}, names...), own)
	width := 0
	for _, n := range names {
		width = max(width, len(n))
	}
	o := &output{w: w}
	palette := [...]int{36, 33, 35, 32, 34, 91, 96, 93, 95, 92, 94}
	for i, n := range names {
		p := fmt.Sprintf("%-*s | ", width, n)
		switch {
		case colour && i == len(names)-1:
			p = "\x1b[1m" + p + "\x1b[0m"
		case colour:
			p = fmt.Sprintf("\x1b[%dm%s\x1b[0m", palette[i%len(palette)], p)
		}
		o.prefixes = append(o.prefixes, []byte(p))
	}
	return o
}

// message prints a line of the supervisor's own.
func (o *output) message(format string, args ...any) {
	o.line(len(o.prefixes)-1, fmt.Appendf(nil, format, args...))
}

// line prints one line after the prefix of child i. That it cannot be written
// is nothing the supervisor could tell anyone.
func (o *output) line(i int, b []byte) {
	p := o.prefixes[i]
	whole := make([]byte, 0, len(p)+len(b)+1)
	whole = append(append(append(whole, p...), b...), '\n')
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = o.w.Write(whole)
}

// block prints text as it is.
func (o *output) block(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = o.w.Write(b)
}

// lines returns a writer for one stream of child i. It is not for concurrent
// use, and never fails, so that a full terminal does not break the child.
func (o *output) lines(i int) *lineWriter { return &lineWriter{out: o, child: i} }

type lineWriter struct {
	out   *output
	child int
	rest  []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	n := len(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		w.rest = append(w.rest, b[:i]...)
		w.flushLine()
		b = b[i+1:]
	}
	w.rest = append(w.rest, b...)
	if len(w.rest) >= maxLine {
		w.flushLine()
	}
	return n, nil
}

func (w *lineWriter) flushLine() {
	w.out.line(w.child, bytes.TrimSuffix(w.rest, []byte("\r")))
	w.rest = w.rest[:0]
}

// flush prints a last line that had no end.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.flushLine()
	}
}
