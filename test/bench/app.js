"use strict";

// The bench application: what `socketeer serve --app bench` does, on Node.js.
function bench(io) {
  io.on("connection", (socket) => {
    socket.on("join", (room, ack) => {
      socket.join(room);
      ack();
    });
    socket.on("echo", (data, ack) => ack(data));
    socket.on("say", (room, data) => io.to(room).emit("msg", data));
  });
}

function portArgument() {
  const port = Number(process.argv[2]);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    console.error(`usage: node ${process.argv[1]} PORT`);
    process.exit(2);
  }
  return port;
}

module.exports = { bench, portArgument };
