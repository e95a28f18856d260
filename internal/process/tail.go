package process

import (
	"bytes"
	"sync"
)

// tailSize is how much of a process's output is kept, in bytes.
const tailSize = 4 << 10

// Tail keeps the end of what a process prints. It is a writer for one or both
// of its streams; the zero value is ready.
type Tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements [io.Writer].
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(b), nil
}

// Shown returns the output as the end of an error message, from "; " on.
func (t *Tail) Shown() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimSpace(t.text)
	if len(text) == 0 {
		return "; it printed nothing"
	}
	return "; its output ends with: " + string(text)
}
