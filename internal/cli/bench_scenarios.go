package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// scenarioFlags adds the flags that only some modes know.
func scenarioFlags(f *pflag.FlagSet, cfg *loadgen.Config) {
	f.Var(shareValue{&cfg.Polling}, "polling", "share of the connections on HTTP long-polling, such as 5%")
	f.BoolVar(&cfg.ToUser, "to-user", false, "in direct, send to a room of the partner's own instead of its id")
	f.StringVar((*string)(&cfg.Cut), "cut", string(loadgen.RST), "in storm and drops, cut connections by rst or fin")
	f.DurationVar(&cfg.ReconnectDelay, "reconnect-delay", time.Second, "in storm, wait this long, times 0.5 to 1.5, before coming back; 0: at once")
	f.DurationVar(&cfg.DropEvery, "drop-every", 15*time.Second, "in drops, cut each client this often")
	f.DurationVar(&cfg.DropFor, "drop-for", 2*time.Second, "in drops, keep it away this long")
	f.IntVar(&cfg.Messages, "messages", 120, "in drops, messages sent to each room")
	f.DurationVar(&cfg.MessageEvery, "message-every", 500*time.Millisecond, "in drops, send one this often")
	f.BoolVar(&cfg.Recover, "recover", false, "in drops, come back with the session the client had, if the server keeps sessions")
}

// shareValue is a part of the whole: 5% or 0.05.
type shareValue struct{ share *float64 }

// Set implements pflag.Value.
func (v shareValue) Set(s string) error {
	number, percent := strings.CutSuffix(s, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= 1) {
		return fmt.Errorf("want a share, such as 5%% or 0.05")
	}
	*v.share = share
	return nil
}

// String implements pflag.Value.
func (v shareValue) String() string {
	if v.share == nil {
		return ""
	}
	return strconv.FormatFloat(*v.share*100, 'f', -1, 64) + "%"
}

// Type implements pflag.Value.
func (v shareValue) Type() string { return "N%" }
