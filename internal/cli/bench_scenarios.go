package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/socketeer-io/socketeer/internal/app/config"
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

// onlyIn are the modes of the flags that do nothing in others.
var onlyIn = map[string][]loadgen.Mode{
	"room":            {loadgen.Rooms, loadgen.Storm, loadgen.Drops},
	"rate":            sending,
	"inflight":        sending,
	"coalesce":        sending,
	"warmup":          sending,
	"duration":        append([]loadgen.Mode{loadgen.Idle, loadgen.Storm}, sending...),
	"payload":         append([]loadgen.Mode{loadgen.Drops}, sending...),
	"drain":           append([]loadgen.Mode{loadgen.Drops}, sending...),
	"settle":          {loadgen.Idle, loadgen.Storm},
	"to-user":         {loadgen.Direct},
	"cut":             {loadgen.Storm, loadgen.Drops},
	"reconnect-delay": {loadgen.Storm, loadgen.Drops},
	"drop-every":      {loadgen.Drops},
	"drop-for":        {loadgen.Drops},
	"messages":        {loadgen.Drops},
	"message-every":   {loadgen.Drops},
	"recover":         {loadgen.Drops},
}

// sending are the modes that only put a load on servers.
var sending = []loadgen.Mode{loadgen.Echo, loadgen.Rooms, loadgen.Broadcast, loadgen.Direct}

// positive are the flags that cannot be zero, which a [loadgen.Config] takes
// for its default.
var positive = []string{"room", "payload", "connect-inflight", "loops", "drop-every", "drop-for", "messages", "message-every"}

// notNegative are the flags for which zero means not at all.
var notNegative = []string{"settle", "drain", "reconnect-delay"}

// checkMode refuses a mode that there is not, flags that do nothing in it, and
// values that would be taken for others.
func checkMode(f *pflag.FlagSet, mode loadgen.Mode) error {
	if !slices.Contains(loadgen.Modes(), mode) {
		known := list(loadgen.Modes())
		return wrong("mode %q is none of %s%s", mode, strings.Join(known, ", "), config.DidYouMean(string(mode), known))
	}
	if mode == loadgen.Deploy {
		return wrong("--mode deploy starts its servers itself: socketeer bench deploy, see its --help")
	}
	var err error
	f.Visit(func(flag *pflag.Flag) {
		value := flag.Value.String()
		switch modes := onlyIn[flag.Name]; {
		case err != nil:
		case modes != nil && !slices.Contains(modes, mode):
			err = wrong("--%s does nothing in %s: it is for %s", flag.Name, mode, strings.Join(list(modes), ", "))
		case slices.Contains(positive, flag.Name) && (value == "0" || value == "0s"):
			err = wrong("--%s %s: must be positive", flag.Name, value)
		case slices.Contains(notNegative, flag.Name) && strings.HasPrefix(value, "-"):
			err = wrong("--%s %s: must not be negative", flag.Name, value)
		case (flag.Name == "inflight" || flag.Name == "coalesce") && f.Changed("rate") && f.Lookup("rate").Value.String() != "0":
			err = wrong("--%s does nothing with --rate: it is for a load that saturates", flag.Name)
		}
	})
	return err
}

// list are the names of modes.
func list(modes []loadgen.Mode) (names []string) {
	for _, m := range modes {
		names = append(names, string(m))
	}
	return names
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
