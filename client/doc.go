// Package client is a Socket.IO client: for services, tools and tests.
//
// It connects to any Socket.IO server of protocol version 5 (Socket.IO 3 and
// 4, in any language) by polling, by WebSocket, or by polling that moves to
// WebSocket, which is the default. It keeps the connection alive, reconnects
// with a growing and jittered delay, and continues the session where the server
// offers connection state recovery.
//
//	c, err := client.New("http://localhost:3000", client.WithAuth(map[string]string{"token": "t"}))
//	if err != nil { ... }
//	defer c.Close()
//	c.On("chat message", func(ctx context.Context, m *client.Message) error {
//		var text string
//		if err := m.Decode(&text); err != nil {
//			return err
//		}
//		fmt.Println(text)
//		return nil
//	})
//	if err := c.Connect(ctx); err != nil { ... }
//	err = c.Emit("chat message", "hello")
//	reply, err := c.EmitWithAck(ctx, "who is here", "lobby")
//
// A [Client] has the methods of the socket of its main namespace; others come
// from [Client.Of] and share its connection.
package client
