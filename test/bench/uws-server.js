"use strict";

// Socket.IO on uWebSockets.js, which replaces both node:http and ws.
const uws = require("@trufflesuite/uws-js-unofficial");
const { Server } = require("socket.io");
const { bench, portArgument } = require("./app");

const app = uws.App();
const io = new Server({ serveClient: false });
io.attachApp(app);
bench(io);

const port = portArgument();
app.listen("127.0.0.1", port, (token) => {
  if (!token) {
    console.error(`cannot listen on port ${port}`);
    process.exit(1);
  }
  console.log(`listening ${uws.us_socket_local_port(token)}`);
});

process.on("SIGTERM", () => process.exit(0));
