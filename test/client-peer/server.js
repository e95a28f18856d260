"use strict";

// The JavaScript server that the Go client's tests talk to. Its behaviour is
// written a second time, for the Go server, in client/peer_test.go: keep both
// the same.
//
//   node server.js '{"port": 0, "recovery": true, ...}'
//
// It prints one line, "listening PORT", and ends when its standard input does.

const { createServer } = require("node:http");
const { Server } = require("socket.io");

const options = { port: 0, ...JSON.parse(process.argv[2] || "{}") };

const http = createServer((req, res) => res.writeHead(404).end());
const io = new Server(http, {
  serveClient: false,
  path: options.path || "/socket.io/",
  transports: options.transports || ["polling", "websocket"],
  pingInterval: options.pingInterval || 25000,
  pingTimeout: options.pingTimeout || 20000,
  maxHttpBufferSize: options.maxPayload || 1e6,
  cookie: options.cookie || false,
  ...(options.recovery && { connectionStateRecovery: {} }),
});

const isFunction = (v) => typeof v === "function";
const answer = (args) => (isFunction(args.at(-1)) ? args.pop() : () => {});

io.on("connection", (socket) => {
  socket.emit("welcome", socket.handshake.auth);

  // echo(...args, ack) acks with its arguments
  socket.on("echo", (...args) => answer(args)(...args));

  // say back(...args) emits "said"(...args)
  socket.on("say back", (...args) => socket.emit("said", ...args));

  // ask(event, ...args) emits the event and then "answered"(...the ack's arguments)
  socket.on("ask", (event, ...args) => {
    socket.emit(event, ...args, (...reply) => socket.emit("answered", ...reply));
  });

  // never(ack) does not answer
  socket.on("never", () => {});

  // hear(ack) does not acknowledge, and emits "heard"
  socket.on("hear", () => socket.emit("heard", 1));

  socket.on("join", async (room, ack) => {
    await socket.join(room);
    ack();
  });
  socket.on("tell room", (room, data) => io.to(room).emit("told", data));

  // handshake(ack) acks with what the client presented
  socket.on("handshake", (ack) => {
    const { headers, query, auth } = socket.handshake;
    ack({ token: headers["x-token"] || "", cookie: headers.cookie || "", color: query.color || "", auth, transport: socket.conn.transport.name });
  });

  // leave(close) disconnects the socket from this side
  socket.on("leave", (close) => socket.disconnect(close));

  // hang up() ends the connection, but no namespace
  socket.on("hang up", () => socket.conn.close());

  // numbers: "count"(i) is noted, "stream"(n) emits "number"(0..n-1), a
  // few at each turn; "counted"(ack) acks with how many came, and whether in order
  let next = 0;
  let ordered = true;
  socket.on("count", (i) => {
    ordered = ordered && i === next;
    next++;
  });
  socket.on("counted", (ack) => ack({ count: next, ordered }));
  socket.on("stream", (n) => {
    let i = 0;
    const some = () => {
      for (let k = 0; k < 10 && i < n; k++) {
        socket.emit("number", i++);
      }
      if (i < n) {
        setImmediate(some);
      }
    };
    some();
  });

  // everyone hears of who left, and why
  socket.on("disconnect", (reason) => io.emit("left", socket.id, reason));

  // tell later(ms, event, data): to everyone in room "later", after a while
  socket.on("tell later", (ms, event, data) => {
    setTimeout(() => io.to("later").emit(event, data), ms);
  });
});

const admin = io.of("/admin");
admin.use((socket, next) => {
  if (socket.handshake.auth.token === "secret") {
    return next();
  }
  const err = new Error("not authorized");
  err.data = { hint: "ask nicely" };
  next(err);
});
admin.on("connection", (socket) => {
  socket.emit("welcome", socket.handshake.auth);
  socket.on("echo", (...args) => answer(args)(...args));
  socket.on("leave", (close) => socket.disconnect(close));
});

http.listen(options.port, "127.0.0.1", () => console.log("listening", http.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
