package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const (
	envPrefix = "SOCKETEER_"
	// EnvFile is the environment variable that names the configuration file.
	EnvFile = envPrefix + "CONFIG"
)

// Sources is where [Load] takes values from. The zero value gives the
// defaults.
type Sources struct {
	// Defaults replaces defaults of single keys.
	Defaults map[string]string
	// File is the path of a YAML file, "" for none.
	File string
	// Environ is the environment in os.Environ's form.
	Environ []string
	// Together is for the nodes of a cluster that the caller starts: it brings
	// what an adapter lacks to connect to, and the default adapter is NATS.
	Together bool
	// Flags holds flags made by [AddFlags]; those set on the command line count.
	Flags *pflag.FlagSet
}

// Error lists everything wrong with a configuration.
type Error struct {
	Problems []string
}

// Error joins the problems in one line.
func (e *Error) Error() string { return "socketeer: " + strings.Join(e.Problems, "; ") }

// Load lays the sources over each other and checks the result. Its errors are
// of type *[Error] where values are to blame, with every problem found.
func Load(src Sources) (Config, error) {
	file := src.File
	if file == "" {
		file = fileFrom(src.Environ)
	}
	l := loader{merged: koanf.New("."), keys: Keys()}
	l.defaults(src.Defaults)
	if file != "" {
		if err := l.file(file); err != nil {
			return Config{}, err
		}
	}
	l.environ(src.Environ)
	if src.Flags != nil {
		l.flags(src.Flags)
	}
	if len(l.problems) > 0 {
		return Config{}, &Error{Problems: l.problems}
	}
	return l.config(src.Together)
}

// CheckFile checks a configuration file by itself, without environment and
// flags.
func CheckFile(path string) error {
	_, err := Load(Sources{File: path})
	return err
}

// loader checks each source by itself, so that a problem is told with its
// place, and merges those that are fine.
type loader struct {
	merged   *koanf.Koanf
	keys     []Key
	problems []string
}

func (l *loader) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *loader) key(name string) (Key, bool) {
	i := slices.IndexFunc(l.keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return l.keys[i], true
}

// add merges one checked value. Setting a known, flat key cannot fail.
func (l *loader) add(name string, v any) { _ = l.merged.Set(name, v) }

func (l *loader) defaults(replaced map[string]string) {
	for _, k := range l.keys {
		v, ok := replaced[k.Name]
		if !ok {
			v = k.Default
		}
		if v != "" {
			l.add(k.Name, v)
		}
	}
}

func (l *loader) file(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("socketeer: no configuration file %s", path)
		}
		return fmt.Errorf("socketeer: configuration file: %w", err)
	}
	k := koanf.New(".")
	if err := k.Load(rawbytes.Provider(b), yaml.Parser()); err != nil {
		l.problem("%s: %s", path, strings.ReplaceAll(err.Error(), "\n", " "))
		return nil
	}
	names := make([]string, len(l.keys))
	for i, key := range l.keys {
		names[i] = key.Name
	}
	for _, name := range k.Keys() {
		key, ok := l.key(name)
		if !ok {
			l.problem("%s: unknown key %q%s", path, name, DidYouMean(strings.ReplaceAll(name, "_", "-"), names))
			continue
		}
		v := k.Get(name)
		var c Config
		if err := key.set(&c, v); err != nil {
			l.problem("%s: %s: %v", path, name, err)
			continue
		}
		l.add(name, v)
	}
	return nil
}

func (l *loader) environ(environ []string) {
	names := make([]string, len(l.keys), len(l.keys)+1)
	for i, key := range l.keys {
		names[i] = key.Env()
	}
	names = append(names, EnvFile)
	k := koanf.New("")
	_ = k.Load(env.Provider("", env.Opt{ // reads memory: cannot fail
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, v string) (string, any) {
			if v == "" || name == EnvFile || serviceLink(name, v) {
				return "", nil
			}
			return name, v
		},
	}), nil)
	for _, name := range k.Keys() {
		i := slices.Index(names, name)
		if i < 0 {
			l.problem("unknown environment variable %s%s", name, DidYouMean(name, names))
			continue
		}
		v, key := k.Get(name), l.keys[i]
		var c Config
		if err := key.set(&c, v); err != nil {
			l.problem("%s: %v", name, err)
			continue
		}
		l.add(key.Name, v)
	}
}

func (l *loader) flags(set *pflag.FlagSet) {
	_ = l.merged.Load(posflag.ProviderWithFlag(set, ".", nil, func(f *pflag.Flag) (string, any) {
		if _, ok := l.key(f.Name); !ok {
			return "", nil
		}
		return f.Name, f.Value.String()
	}), nil) // reads memory: cannot fail
}

func (l *loader) config(together bool) (Config, error) {
	var c Config
	for _, key := range l.keys {
		if !l.merged.Exists(key.Name) {
			continue
		}
		if err := key.set(&c, l.merged.Get(key.Name)); err != nil {
			return Config{}, &Error{Problems: []string{fmt.Sprintf("%s: %v", key.Name, err)}}
		}
	}
	if err := c.finish(together); err != nil {
		return Config{}, &Error{Problems: []string{strings.TrimPrefix(err.Error(), "socketeer: ")}}
	}
	return c, nil
}

func fileFrom(environ []string) string {
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, EnvFile+"="); ok {
			return v
		}
	}
	return ""
}

// serviceLink reports whether an environment variable is one that Kubernetes
// and Docker set for a service whose name begins with "socketeer", which
// nobody meant as configuration.
func serviceLink(name, value string) bool {
	if strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://") {
		return true
	}
	ok, _ := regexp.MatchString(`_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`, name)
	return ok
}
