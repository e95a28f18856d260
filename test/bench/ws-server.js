"use strict";

// Socket.IO on its default WebSocket engine, ws.
const http = require("node:http");
const { Server } = require("socket.io");
const { bench, fail, portArgument, serverOptions } = require("./app");

async function main() {
  const port = portArgument();
  const server = http.createServer();
  bench(new Server(server, await serverOptions()));

  server.on("error", (err) => fail(err.message));
  server.listen(port, "127.0.0.1", () => {
    console.log(`listening ${server.address().port}`);
  });
}

process.on("SIGTERM", () => process.exit(0));
main().catch((err) => fail(err.message));
