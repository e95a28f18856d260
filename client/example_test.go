package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/client"
)

// serve starts a server for the examples.
func serve() (url string, stop func()) {
	io, err := socketeer.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	io.OnConnect(func(ctx context.Context, s *socketeer.Socket) error {
		s.On("greet", func(_ context.Context, m *socketeer.Message) error {
			var name string
			if err := m.Decode(&name); err != nil {
				return err
			}
			return m.Ack("hello " + name)
		})
		s.On("shout", func(_ context.Context, m *socketeer.Message) error {
			var text string
			if err := m.Decode(&text); err != nil {
				return err
			}
			return s.Emit("shouted", text+"!")
		})
		return nil
	})
	srv := httptest.NewServer(io)
	return srv.URL, func() {
		srv.CloseClientConnections()
		io.Close()
		srv.Close()
	}
}

func Example() {
	url, stop := serve()
	defer stop()

	c, err := client.New(url, client.WithAuth(map[string]string{"token": "t"}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	done := make(chan struct{})
	c.On("shouted", func(ctx context.Context, m *client.Message) error {
		defer close(done)
		var text string
		if err := m.Decode(&text); err != nil {
			return err
		}
		fmt.Println(text)
		return nil
	})
	if err := c.Connect(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := c.Emit("shout", "look"); err != nil {
		log.Fatal(err)
	}
	<-done
	// Output: look!
}

func ExampleSocket_EmitWithAck() {
	url, stop := serve()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c, err := client.Dial(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	reply, err := c.EmitWithAck(ctx, "greet", "you")
	if err != nil {
		log.Fatal(err)
	}
	var text string
	if err := reply.Decode(&text); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)
	// Output: hello you
}

func ExampleCall() {
	url, stop := serve()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c, err := client.Dial(ctx, url, client.WithTransports(client.WebSocket))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	text, err := client.Call[string](ctx, c.Socket, "greet", "gopher")
	fmt.Println(text, err)
	// Output: hello gopher <nil>
}

func ExampleClient_Of() {
	url, stop := serve()
	defer stop()

	c, err := client.Dial(context.Background(), url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	admin := c.Of("/admin", client.WithAuth(map[string]string{"token": "wrong"}))
	if err := admin.Connect(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: Invalid namespace
}
