package config_test

import (
	"testing"

	"github.com/socketeer-io/socketeer/internal/app/config"
)

func TestDidYouMean(t *testing.T) {
	known := []string{"idle", "echo", "rooms", "ping-interval"}
	for name, want := range map[string]string{
		"ecoh":           " (did you mean echo?)", // swapped
		"ecco":           " (did you mean echo?)",
		"room":           " (did you mean rooms?)",
		"iddle":          " (did you mean idle?)",
		"ping-intervall": " (did you mean ping-interval?)",
		"pign-intreval":  " (did you mean ping-interval?)",
		"sunny":          "",
		"oche":           "",
		"":               "",
	} {
		if got := config.DidYouMean(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
