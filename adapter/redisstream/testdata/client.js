// A client that reconnects for ever and prints what happens to it, one JSON
// object a line. Lines on its standard input are events to emit: JSON arrays;
// each is acknowledged by a line {"acked": [...]}.
const { io } = require("socket.io-client");
const { pack } = require("../../../test/redis/values");
const say = (o) => process.stdout.write(JSON.stringify(o) + "\n");

const socket = io(process.argv[2], {
  transports: ["websocket"], reconnectionDelay: 20, reconnectionDelayMax: 50, timeout: 2000,
});
socket.on("connect", () => say({ happened: "connect", id: socket.id, recovered: socket.recovered }));
socket.on("disconnect", (reason) => say({ happened: "disconnect", reason }));
socket.onAny((event, ...args) => say({ happened: "event", event, args: pack(args) }));

require("node:readline").createInterface({ input: process.stdin })
  .on("line", async (line) => {
    await socket.emitWithAck(...JSON.parse(line));
    say({ happened: "acked" });
  })
  .on("close", () => process.exit(0));
