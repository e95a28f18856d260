package socketeer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/socketeer-io/socketeer"
	clusteradapter "github.com/socketeer-io/socketeer/adapter/cluster"
	socketclient "github.com/socketeer-io/socketeer/client"
	"github.com/socketeer-io/socketeer/cluster"
)

// A chat: what one client says, everyone gets.
func Example() {
	io, err := socketeer.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	defer io.Close()
	io.On("say", func(ctx context.Context, m *socketeer.Message) error {
		return io.Emit("msg", m.Arg(0))
	})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	web := httptest.NewServer(mux) // or http.ListenAndServe(":3000", mux)
	defer web.Close()

	c, err := socketclient.New(web.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	heard := make(chan string)
	socketclient.Handle(c.Socket, "msg", func(_ context.Context, text string) error {
		heard <- text
		return nil
	})
	if err := c.Connect(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := c.Emit("say", "hello"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard)
	// Output: hello
}

// serve starts a server for an example.
func serve(opts ...socketeer.Option) (io *socketeer.Server, url string, stop func()) {
	io, err := socketeer.NewServer(opts...)
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(io)
	return io, web.URL, func() {
		_ = io.Close()
		web.Close()
	}
}

// connect connects a client for an example.
func connect(url string, opts ...socketclient.Option) (*socketclient.Client, error) {
	return socketclient.Dial(context.Background(), url, opts...)
}

// Events and calls with types are values, which all code that speaks of them
// can share.
func ExampleCall() {
	type Point struct{ X, Y int }
	var double = socketeer.NewCall[Point, Point]("double")

	io, url, stop := serve()
	defer stop()
	double.Handle(io, func(ctx context.Context, s *socketeer.Socket, p Point) (Point, error) {
		if p.X < 0 || p.Y < 0 {
			return Point{}, &socketeer.Error{Code: "negative", Message: "only what is positive"}
		}
		return Point{2 * p.X, 2 * p.Y}, nil
	})

	c, err := connect(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	fmt.Println(socketclient.Call[Point](ctx, c.Socket, double.Name(), Point{1, 2}))
	_, err = socketclient.Call[Point](ctx, c.Socket, double.Name(), Point{-1, 2})
	fmt.Println(err)
	// Output:
	// {2 4} <nil>
	// negative: only what is positive
}

// A typed event is sent with anything that sends: a server, a namespace, a room,
// a socket.
func ExampleEvent() {
	type Say struct{ Room, Text string }
	var say = socketeer.NewEvent[Say]("say")

	io, url, stop := serve()
	defer stop()
	chat := io.Of("/chat")
	chat.OnConnect(func(ctx context.Context, s *socketeer.Socket) error {
		return s.Join(ctx, "room:lobby")
	})
	say.Handle(chat, func(ctx context.Context, s *socketeer.Socket, v Say) error {
		room := "room:" + v.Room // the client chose the name: not a room of another kind
		if !slices.Contains(s.Rooms(), room) {
			return &socketeer.Error{Code: "not_in_room", Message: "enter the room first"}
		}
		return say.Emit(chat.To(room), v)
	})

	c, err := socketclient.New(url + "/chat")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	heard := make(chan Say)
	socketclient.Handle(c.Socket, say.Name(), func(_ context.Context, v Say) error { heard <- v; return nil })
	if err := c.Connect(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := c.Emit(say.Name(), Say{"lobby", "hello"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println((<-heard).Text)
	// Output: hello
}

// A connect middleware says who comes in, and who that is.
func ExampleNamespace_UseConnect() {
	io, url, stop := serve()
	defer stop()
	users := map[string]string{"s3cret": "eve"}
	io.UseConnect(func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(ctx context.Context, s *socketeer.Socket) error {
			var auth struct{ Token string }
			if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil {
				return err
			}
			user, ok := users[auth.Token]
			if !ok {
				return &socketeer.Error{Code: "unauthorized", Message: "who are you?"}
			}
			if err := s.SetUser(ctx, user); err != nil {
				return err
			}
			return next(ctx, s)
		}
	})
	io.On("whoami", func(_ context.Context, m *socketeer.Message) error {
		return m.Ack(m.Socket().User())
	})

	_, err := connect(url, socketclient.WithAuth(map[string]string{"token": "guess"}))
	fmt.Println(err)
	c, err := connect(url, socketclient.WithAuth(map[string]string{"token": "s3cret"}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(socketclient.Call[string](context.Background(), c.Socket, "whoami"))
	// Output:
	// unauthorized: who are you?
	// eve <nil>
}

// A broadcast can ask everyone. Whoever does not answer in time does not take
// the answers of the others along.
func ExampleBroadcast_EmitWithAck() {
	io, url, stop := serve()
	defer stop()
	for _, answer := range []string{"yes", "no", ""} {
		c, err := connect(url)
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		c.On("vote", func(_ context.Context, m *socketclient.Message) error {
			if answer == "" {
				return nil // asleep
			}
			return m.Ack(answer)
		})
	}

	replies, err := io.Timeout(200*time.Millisecond).EmitWithAck(context.Background(), "vote", "tea?")
	var votes []string
	for _, r := range replies {
		var vote string
		if err := r.Decode(&vote); err != nil {
			log.Fatal(err)
		}
		votes = append(votes, vote)
	}
	slices.Sort(votes)
	fmt.Println(votes)
	var some *socketeer.AckError
	if errors.As(err, &some) {
		fmt.Println(some.Received, "of", some.Expected, "timeout:", some.Timeout())
	}
	// Output:
	// [no yes]
	// 2 of 3 timeout: true
}

// Three nodes in one process, as for a test. Real ones differ in their bus.
func ExampleWithAdapter() {
	ctx := context.Background()
	hub := clusteradapter.NewHub()
	var nodes []*socketeer.Server
	var urls []string
	for i := range 3 {
		identity, err := cluster.NewIdentity(fmt.Sprintf("node-%d", i))
		if err != nil {
			log.Fatal(err)
		}
		bus := hub.Bus()
		defer bus.Close()
		node, err := clusteradapter.New(bus, clusteradapter.Config{Identity: identity})
		if err != nil {
			log.Fatal(err)
		}
		defer node.Close(ctx)
		if err := node.Start(); err != nil {
			log.Fatal(err)
		}
		if err := node.WaitPeers(ctx, i); err != nil {
			log.Fatal(err)
		}
		io, url, stop := serve(socketeer.WithAdapter(node))
		defer stop()
		io.OnConnect(func(ctx context.Context, s *socketeer.Socket) error {
			s.Set("node", i)
			return s.Join(ctx, "room")
		})
		nodes, urls = append(nodes, io), append(urls, url)
	}

	got := make(chan string)
	for _, url := range urls {
		c, err := connect(url)
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		socketclient.Handle(c.Socket, "news", func(_ context.Context, text string) error { got <- text; return nil })
		socketclient.HandleCall(c.Socket, "ready?", func(context.Context, any) (bool, error) { return true, nil })
	}
	if _, err := nodes[0].All().EmitWithAck(ctx, "ready?", nil); err != nil {
		log.Fatal(err)
	}

	if err := nodes[1].To("room").Emit("news", "from node 1"); err != nil {
		log.Fatal(err)
	}
	for range urls {
		fmt.Println(<-got)
	}
	var where []string
	for s, err := range nodes[2].To("room").Sockets(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		where = append(where, string(s.Data))
	}
	slices.Sort(where)
	fmt.Println(where)
	// Output:
	// from node 1
	// from node 1
	// from node 1
	// [{"node":0} {"node":1} {"node":2}]
}
