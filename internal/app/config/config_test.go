package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/socketeer-io/socketeer/internal/app/config"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socketeer.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(set, nil)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestDefaults(t *testing.T) {
	c, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Name: host, Addr: ":3000", AdminAddr: "127.0.0.1:3900", App: "chat", Drain: 10 * time.Second, DrainRate: 2000,
		Engine: config.Engine{
			Path: "/socket.io/", Transports: []string{"polling", "websocket"},
			PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second,
			MaxPayload: 1_000_000, SendBuffer: 1 << 20,
		},
		Cluster: config.Cluster{Adapter: "memory", Prefix: "socket.io", Name: "socketeer", Wait: 15 * time.Second, JetStream: config.JetStream{Storage: "file"}},
		Log:     config.Log{Format: "text", Level: "info"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestPrecedence(t *testing.T) {
	path := file(t, "ping-interval: 11s\nping-timeout: 11s\nmax-payload: 2MB\nsend-buffer: 4096\ncors-origin: [http://a.example, http://b.example]\n")
	env := []string{"SOCKETEER_PING_TIMEOUT=22s", "SOCKETEER_MAX_PAYLOAD=22", "SOCKETEER_CONFIG=" + path, "HOME=/root"}
	c, err := config.Load(config.Sources{
		Defaults: map[string]string{"drain": "2s", "send-buffer": "1"},
		Environ:  env,
		Flags:    flags(t, "--max-payload", "33", "--pprof"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Drain, c.Engine.SendBuffer, c.Engine.PingInterval, c.Engine.PingTimeout, c.Engine.MaxPayload, c.Pprof, strings.Join(c.Engine.CORSOrigins, " ")}
	want := []any{2 * time.Second, int64(4096), 11 * time.Second, 22 * time.Second, int64(33), true, "http://a.example http://b.example"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		env  []string
		want []string
	}{
		"unknown key":          {file: "ping-intervall: 3s\n", want: []string{`unknown key "ping-intervall"`, "did you mean ping-interval?"}},
		"underscores":          {file: "ping_interval: 3s\n", want: []string{"did you mean ping-interval?"}},
		"far from any key":     {file: "colour: red\n", want: []string{`unknown key "colour"`}},
		"nested":               {file: "ping:\n  interval: 3s\n", want: []string{`unknown key "ping.interval"`, "did you mean ping-interval?"}},
		"number as duration":   {file: "ping-interval: 25\n", want: []string{"ping-interval", "25s"}},
		"bad duration":         {env: []string{"SOCKETEER_DRAIN=soon"}, want: []string{"SOCKETEER_DRAIN", `"soon" is no duration`}},
		"negative duration":    {env: []string{"SOCKETEER_DRAIN=-3s"}, want: []string{"below zero"}},
		"zero ping":            {file: "ping-interval: 0s\n", want: []string{"ping-interval"}},
		"bad size":             {file: "max-payload: lots\n", want: []string{"max-payload", "no size"}},
		"huge size":            {file: "max-payload: 9999999999GiB\n", want: []string{"out of range"}},
		"bad bool":             {file: "pprof: maybe\n", want: []string{`"maybe" is neither true nor false`}},
		"bad list":             {file: "app: {a: b}\n", want: []string{`"app.a"`}},
		"unknown variable":     {env: []string{"SOCKETEER_PING_INTERVALL=3s"}, want: []string{"SOCKETEER_PING_INTERVALL", "did you mean SOCKETEER_PING_INTERVAL?"}},
		"app":                  {file: "app: chatt\n", want: []string{`did you mean "chat"?`}},
		"no port":              {file: "addr: localhost\n", want: []string{"HOST:PORT"}},
		"port too high":        {file: "addr: ':70000'\n", want: []string{"65535"}},
		"empty addr":           {file: "addr: ''\n", want: []string{"addr: needs a value"}},
		"path":                 {file: "path: socket.io\n", want: []string{"no path"}},
		"name in the middle":   {file: "name: a/b\n", want: []string{"no name"}},
		"name":                 {file: "name: a b\n", want: []string{"no name"}},
		"origin":               {file: "cors-origin: example.com\n", want: []string{"no origin"}},
		"memory with nats":     {file: "adapter: memory\nnats: nats://127.0.0.1:4222\n", want: []string{"nats is of no use"}},
		"mesh with nats":       {file: "adapter: mesh\nnats: nats://127.0.0.1:4222\n", want: []string{"nats is of no use"}},
		"mesh without address": {file: "adapter: mesh\n", want: []string{"cluster-addr"}},
		"nats without address": {file: "adapter: nats\n", want: []string{"cluster-addr"}},
		"nats and peers":       {file: "nats: nats://127.0.0.1:4222\ncluster-peers: 127.0.0.1:1\n", want: []string{"nats and cluster-peers exclude"}},
		"peers alone":          {file: "cluster-peers: [127.0.0.1:1]\n", want: []string{"needs cluster-addr"}},
		"redis without URL":    {file: "adapter: redis-streams\n", want: []string{`"redis-streams" needs redis`}},
		"redis with nats":      {file: "redis: redis://h\ncluster-addr: 127.0.0.1:1\n", want: []string{`cluster-addr is of no use to adapter "redis"`}},
		"bad redis URL":        {file: "redis: 127.0.0.1:6379\n", want: []string{"redis://host:6379"}},
		"Redis parameter":      {file: "redis: redis://u:p@h?timeout=1s\n", want: []string{"redis", `unknown parameter "timeout" (known: db)`}},
		"two kinds of Redis":   {file: "redis: redis://h,rediss://i\n", want: []string{"differ in more than the host"}},
		"bad redis scheme":     {file: "redis: reddis://h\n", want: []string{"reddis://h: unknown scheme"}},
		"no sentinel master":   {file: "redis: redis-sentinel://h:1,i:2\n", want: []string{"names no master"}},
		"bad NATS URL":         {file: "nats: 127.0.0.1\n", want: []string{"no NATS URL"}},
		"JetStream of Redis":   {file: "redis: redis://h\nnats-jetstream: true\nrecovery: 1m\n", want: []string{`nats-jetstream is of no use to adapter "redis"`}},
		"JetStream for what":   {file: "nats: nats://h\nnats-jetstream: true\n", want: []string{"set recovery"}},
		"JetStream where":      {file: "cluster-addr: 127.0.0.1:1\nnats-jetstream: true\nrecovery: 1m\n", want: []string{"nats-jetstream-dir"}},
		"JetStream twice":      {file: "nats: nats://h\nnats-jetstream: true\nnats-jetstream-dir: x\nrecovery: 1m\n", want: []string{"have their own"}},
		"directory for what":   {file: "nats: nats://h\nnats-jetstream-dir: x\n", want: []string{"nats-jetstream, which is off"}},
		"JetStream storage":    {file: "nats-jetstream-storage: tape\n", want: []string{"file", "memory"}},
		"recovery, classic":    {file: "redis: redis://h\nrecovery: 2m\n", want: []string{`recovery is of no use to adapter "redis"`, "redis-streams, nats or mesh"}},
		"recovery, sharded":    {file: "adapter: redis-sharded\nredis: redis://h\nrecovery: 2m\n", want: []string{`recovery is of no use to adapter "redis-sharded"`}},
		"two problems":         {file: "app: chatt\npprof: maybe\n", want: []string{"chatt", "maybe"}},
		"bad YAML":             {file: "app: [\n", want: []string{"socketeer.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			src := config.Sources{Environ: tc.env}
			if tc.file != "" {
				src.File = file(t, tc.file)
			}
			_, err := config.Load(src)
			if err == nil {
				t.Fatal("no error")
			}
			var ours *config.Error // that a new start would not help
			if !errors.As(err, &ours) {
				t.Errorf("%v is of type %T", err, err)
			}
			for _, w := range append(tc.want, "socketeer: ") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q has more than one line", err)
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	_, err := config.Load(config.Sources{File: filepath.Join(t.TempDir(), "gone.yaml")})
	if err == nil || !strings.Contains(err.Error(), "no configuration file") {
		t.Errorf("got %v", err)
	}
}

func TestFlagProblems(t *testing.T) {
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(set, nil, "name")
	if err := set.Parse([]string{"--ping-interval", "25"}); err == nil || !strings.Contains(err.Error(), "25s") {
		t.Errorf("got %v", err)
	}
	if set.Lookup("name") != nil {
		t.Error("name was to be left out")
	}
}

// Kubernetes tells every pod about services by variables that begin with the
// service's name.
func TestServiceLinksAreIgnored(t *testing.T) {
	_, err := config.Load(config.Sources{Environ: []string{
		"SOCKETEER_SERVICE_HOST=10.0.0.1", "SOCKETEER_SERVICE_PORT=80", "SOCKETEER_SERVICE_PORT_HTTP=80",
		"SOCKETEER_PORT=tcp://10.0.0.1:80", "SOCKETEER_PORT_80_TCP=tcp://10.0.0.1:80", "SOCKETEER_PORT_80_TCP_ADDR=10.0.0.1",
		"SOCKETEER_NATS_PORT=tcp://10.0.0.1:4222", "SOCKETEER_APP=",
	}})
	if err != nil {
		t.Error(err)
	}
}

func TestAdapterFollowsItsKeys(t *testing.T) {
	for args, want := range map[string]string{
		"":                                "memory",
		"--nats=nats://127.0.0.1:4222":    "nats",
		"--cluster-addr=127.0.0.1:6000":   "nats",
		"--nats=tls://u:p@h:1,nats://i:2": "nats",
		"--redis=redis://h":               "redis",
	} {
		var list []string
		if args != "" {
			list = []string{args}
		}
		c, err := config.Load(config.Sources{Flags: flags(t, list...)})
		if err != nil || c.Cluster.Adapter != want {
			t.Errorf("%q: got %q, %v", args, c.Cluster.Adapter, err)
		}
	}
}

func TestRedisURLs(t *testing.T) {
	for _, c := range []struct {
		flags, want []string
		printed     string
	}{
		{
			[]string{"--redis=rediss://u:p@a:1,rediss://u:p@b:2", "--redis=rediss://u:p@c:3"},
			[]string{"rediss://u:p@a:1", "rediss://u:p@b:2", "rediss://u:p@c:3"},
			"rediss://********@a:1,rediss://********@b:2,rediss://********@c:3",
		},
		{
			[]string{"--redis=redis-sentinel://u:p@c:3,d:4/main?db=2"},
			[]string{"redis-sentinel://u:p@c:3,d:4/main?db=2"},
			"redis-sentinel://********@c:3,d:4/main?db=2",
		},
	} {
		got, err := config.Load(config.Sources{Flags: flags(t, append(c.flags, "--adapter=redis-sharded")...)})
		if err != nil {
			t.Fatal(err)
		}
		if urls := got.Cluster.RedisURLs(); !slices.Equal(urls, c.want) || !got.Cluster.UsesRedis() {
			t.Errorf("got %q", urls)
		}
		text, err := got.YAML()
		if err != nil || strings.Contains(string(text), "u:p") || !strings.Contains(string(text), c.printed) {
			t.Errorf("printed\n%s%v", text, err)
		}
	}
}

func TestYAMLRoundTrip(t *testing.T) {
	src := config.Sources{Flags: flags(t, "--name=n", "--cluster-addr=:6000", "--cluster-peers=a:1,b:2", "--admin-addr=off", "--max-payload=1MiB")}
	c, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.Load(config.Sources{File: file(t, string(text))})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(c, again) {
		t.Errorf("got  %+v\nwant %+v", again, c)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	for _, args := range [][]string{
		{"--cluster-token=hunter2", "--cluster-addr=:1"},
		{"--nats=nats://user:hunter2@127.0.0.1:4222,nats://hunter2@127.0.0.1:4223"},
	} {
		c, err := config.Load(config.Sources{Flags: flags(t, args...)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), "********") {
			t.Errorf("%v:\n%s", args, text)
		}
		// What is masked is no secret, which everybody could guess.
		file := filepath.Join(t.TempDir(), "node.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		err = config.CheckFile(file)
		if err == nil || !strings.Contains(err.Error(), "stands for a secret that was not printed") {
			t.Errorf("%v: what was printed is taken: %v", args, err)
		}
	}
	if _, err := config.Load(config.Sources{Environ: []string{"SOCKETEER_CLUSTER_TOKEN=********"}}); err == nil {
		t.Error("the mask is taken as a secret")
	}
}

func TestCommandLine(t *testing.T) {
	c, err := config.Load(config.Sources{Flags: flags(t, "--name=n", "--cluster-addr=:6000", "--cluster-peers=a:1,b:2",
		"--admin-addr=off", "--cluster-token=hunter2", "--drain=3s", "--pprof", "--max-payload=1MiB", "--path=/rt")})
	if err != nil {
		t.Fatal(err)
	}
	args, env := c.CommandLine()
	if strings.Contains(strings.Join(args, " "), "hunter2") {
		t.Errorf("a secret is in the arguments: %q", args)
	}
	again, err := config.Load(config.Sources{Flags: flags(t, args...), Environ: env})
	if err != nil || !reflect.DeepEqual(c, again) {
		t.Errorf("got  %+v, %v\nwant %+v", again, err, c)
	}
	if rest := config.CleanEnviron(append(env, "HOME=/")); len(rest) != 1 {
		t.Errorf("left of the environment: %q", rest)
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range config.Keys() {
		row := "| `" + k.Name + "` | "
		if k.Default != "" {
			row += "`" + k.Default + "` |"
		}
		if !strings.Contains(string(b), row) {
			t.Errorf("docs/configuration.md has no row %q", row)
		}
	}
}
