package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// masked stands for a secret that is set.
const masked = "********"

// YAML returns the configuration as a file. Secrets are masked, and [Load]
// refuses them until they are written in.
func (c Config) YAML() ([]byte, error) {
	doc := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range Keys() {
		name, value := &yaml.Node{}, &yaml.Node{}
		name.SetString(k.Name)
		v := k.value(&c)
		if k.Name == "admin-addr" && v == "" {
			v = Off
		}
		if err := value.Encode(v); err != nil {
			return nil, fmt.Errorf("socketeer: %s: %w", k.Name, err)
		}
		doc.Content = append(doc.Content, name, value)
	}
	return yaml.Marshal(doc)
}

// CommandLine returns flags and environment variables that make a process load
// exactly c, if it has no file and no other SOCKETEER_ variables. Secrets are
// in the environment, because everyone on a machine can read command lines.
func (c Config) CommandLine() (args, env []string) {
	for _, k := range Keys() {
		var text string
		switch p := k.field(&c).(type) {
		case *string:
			text = *p
		case *[]string:
			text = strings.Join(*p, ",")
		default:
			text = fmt.Sprint(k.value(&c))
		}
		if k.Name == "admin-addr" && text == "" {
			text = Off
		}
		switch {
		case text == "" || text == k.Default:
		case k.mask != nil:
			env = append(env, k.Env()+"="+text)
		default:
			args = append(args, "--"+k.Name+"="+text)
		}
	}
	return args, env
}

// CleanEnviron returns environ without the variables that [Load] reads.
func CleanEnviron(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(e string) bool { return strings.HasPrefix(e, envPrefix) })
}

// value returns the key's value in c as it is printed.
func (k Key) value(c *Config) any {
	switch p := k.field(c).(type) {
	case *time.Duration:
		return p.String()
	case *size:
		return int64(*p)
	case *bool:
		return *p
	case *int:
		return *p
	case *[]string:
		return slices.Clone(*p)
	case *string:
		if k.mask != nil && *p != "" {
			return k.mask(*p)
		}
		return *p
	}
	return nil
}

func maskAll(string) string { return masked }

// maskURLs hides the user information of comma-separated URLs.
func maskURLs(s string) string { return maskParts(split(s)) }

// maskRedis does it for those of Redis.
func maskRedis(s string) string { return maskParts(splitURLs(s)) }

func maskParts(parts []string) string {
	for i, p := range parts {
		scheme, rest, _ := strings.Cut(p, "://")
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			parts[i] = scheme + "://" + masked + rest[at:]
		}
	}
	return strings.Join(parts, ",")
}

// AddFlags adds a flag for every key but those in without. Values are checked
// as they are parsed; defaults are shown, and left to [Load].
func AddFlags(set *pflag.FlagSet, defaults map[string]string, without ...string) {
	for _, k := range Keys() {
		if slices.Contains(without, k.Name) {
			continue
		}
		shown, ok := defaults[k.Name]
		if !ok {
			shown = k.Default
		}
		f := set.VarPF(&flag{key: k, text: shown}, k.Name, "", k.Usage)
		if k.Type == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}

// flag is the pflag.Value of a key.
type flag struct {
	key   Key
	text  string
	given bool // text is not the default
}

func (f *flag) String() string { return f.text }
func (f *flag) Type() string   { return f.key.Type }

func (f *flag) Set(s string) error {
	if err := f.key.Check(s); err != nil {
		return err
	}
	if f.given && (f.key.Type == "list" || f.key.Type == "urls") {
		s = f.text + "," + s // repeated
	}
	f.text, f.given = s, true
	return nil
}
