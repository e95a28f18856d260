"use strict";

// Socket.IO on its default WebSocket engine, ws.
const http = require("node:http");
const { Server } = require("socket.io");
const { bench, endOnSigterm, fail, portArgument, serverOptions } = require("./app");

async function main() {
  const port = portArgument();
  const server = http.createServer();
  const io = new Server(server, await serverOptions());
  bench(io);
  endOnSigterm(io);

  server.on("error", (err) => fail(err.message));
  server.listen(port, "127.0.0.1", () => {
    console.log(`listening ${server.address().port}`);
  });
}

main().catch((err) => fail(err.message));
