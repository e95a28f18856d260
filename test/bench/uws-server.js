"use strict";

// Socket.IO on uWebSockets.js, which replaces both node:http and ws.
const uws = require("@trufflesuite/uws-js-unofficial");
const { Server } = require("socket.io");
const { bench, endOnSigterm, fail, portArgument, serverOptions } = require("./app");

async function main() {
  const port = portArgument();
  const app = uws.App();
  const io = new Server(await serverOptions());
  io.attachApp(app);
  bench(io);
  endOnSigterm(io);

  app.listen("127.0.0.1", port, (token) => {
    if (!token) fail(`cannot listen on port ${port}: it is in use, or not allowed`);
    console.log(`listening ${uws.us_socket_local_port(token)}`);
  });
}

main().catch((err) => fail(err.message));
