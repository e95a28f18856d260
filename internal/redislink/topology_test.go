package redislink

import (
	"slices"
	"testing"
)

// TestChoice: channels stay with their masters while these are masters, also if
// the other one is replaced, and publishing and listening are at two of them if
// there are.
func TestChoice(t *testing.T) {
	for range 100 {
		a := &topology{masters: []string{"a", "b", "c"}}
		a.choose(nil)
		if a.publish == a.listen || !slices.Contains(a.masters, a.publish) || !slices.Contains(a.masters, a.listen) {
			t.Fatalf("%+v", a)
		}
		b := &topology{masters: []string{"a", "b", "c", "d"}}
		b.choose(a)
		if b.publish != a.publish || b.listen != a.listen {
			t.Fatalf("%+v after %+v", b, a)
		}
		c := &topology{masters: []string{"c", "d"}}
		c.choose(b)
		if c.publish == c.listen || !slices.Contains(c.masters, c.publish) || !slices.Contains(c.masters, c.listen) {
			t.Fatalf("%+v after %+v", c, b)
		}
		e := &topology{masters: []string{"new", b.listen, "e"}}
		if e.choose(b); e.listen != b.listen || e.publish == e.listen {
			t.Fatalf("%+v after %+v", e, b)
		}
		d := &topology{masters: []string{"x"}}
		d.choose(c)
		if d.publish != "x" || d.listen != "x" {
			t.Fatalf("%+v", d)
		}
		f := &topology{masters: []string{"x", "y"}}
		if f.choose(d); f.publish != "x" || f.listen != "y" {
			t.Fatalf("%+v after %+v", f, d)
		}
	}
}
