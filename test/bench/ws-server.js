"use strict";

// Socket.IO on its default WebSocket engine, ws.
const http = require("node:http");
const { Server } = require("socket.io");
const { bench, portArgument } = require("./app");

const server = http.createServer();
bench(new Server(server, { serveClient: false }));

server.on("error", (err) => {
  console.error(err.message);
  process.exit(1);
});
server.listen(portArgument(), "127.0.0.1", () => {
  console.log(`listening ${server.address().port}`);
});

process.on("SIGTERM", () => process.exit(0));
