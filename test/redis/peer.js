"use strict";

// A Socket.IO server in a cluster over Redis, driven by Go tests: see
// internal/redistest/peer.go.
//
//   node peer.js '{"adapter": "redis", "urls": ["redis://..."], ...}'
//
// It reads commands from standard input, one JSON object a line:
//
//   {"id": 1, "op": "emit", "args": {"nsp": "/", "rooms": ["r"], "event": "hi", "args": [1]}}
//
// and answers each with one line, {"id": 1, "result": ...} or {"id": 1,
// "error": "...", "data": ...}. Lines without an id tell what happened:
//
//   {"happened": "listening", "port": 1234}
//   {"happened": "serverSide", "nsp": "/", "event": "...", "args": [...]}
//   {"happened": "received", "client": "...", "event": "...", "args": [...]}
//   {"happened": "unsent", "event": "...", "args": [...]}: see outcome.js
//
// In arguments and results, {"$binary": base64}, {"$date": milliseconds} and
// {"$undefined": true} stand for what JSON has not. It ends when its standard
// input does.

const { createServer } = require("node:http");
const { createInterface } = require("node:readline");
const { Server } = require("socket.io");
const { io: connect } = require("socket.io-client");
const { connectRedis, withParser } = require("./connections");
const { watch } = require("./outcome");
const { pack, unpack } = require("./values");

const options = {
  port: 0, adapter: "redis", adapterOptions: {}, urls: [], namespaces: ["/"], ...JSON.parse(process.argv[2] || "{}"),
};
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const clients = new Map();

// target returns what {nsp, rooms, except, local, volatile, timeout} selects.
function target(io, { nsp = "/", rooms = [], except = [], local, volatile, timeout }) {
  let t = io.of(nsp);
  if (rooms.length) t = t.to(rooms);
  if (except.length) t = t.except(except);
  if (local) t = t.local;
  if (volatile) t = t.volatile;
  if (timeout) t = t.timeout(timeout);
  return t;
}

const describe = (s) => ({ id: s.id, rooms: [...s.rooms], data: pack(s.data), handshake: pack(s.handshake) });

const settled = (run) =>
  new Promise((resolve, reject) => {
    run((err, responses) => {
      if (!err) return resolve(pack(responses));
      err.data = pack(responses ?? err.responses ?? []);
      reject(err);
    });
  });

const operations = (io, redis, during) => ({
  ping: () => "pong",
  emit: (a) => during(a, () => { target(io, a).emit(a.event, ...unpack(a.args ?? [])); }),
  // emitWithAck answers with the acks; when it times out, the error's data is
  // those that came.
  emitWithAck: (a) => settled((cb) => target(io, { timeout: 5000, ...a }).emit(a.event, ...unpack(a.args ?? []), cb)),
  fetchSockets: async (a) => (await target(io, a).fetchSockets()).map(describe),
  socketsJoin: (a) => { target(io, a).socketsJoin(a.join); },
  socketsLeave: (a) => { target(io, a).socketsLeave(a.leave); },
  disconnectSockets: (a) => { target(io, a).disconnectSockets(a.close ?? false); },
  serverSideEmit: (a) => { io.of(a.nsp ?? "/").serverSideEmit(a.event, ...unpack(a.args ?? [])); },
  serverSideEmitWithAck: (a) => settled((cb) => io.of(a.nsp ?? "/").serverSideEmit(a.event, ...unpack(a.args ?? []), cb)),
  allRooms: async (a) => [...(await io.of(a.nsp ?? "/").adapter.allRooms())],
  serverCount: (a) => io.of(a.nsp ?? "/").adapter.serverCount(),
  localSockets: (a) => [...io.of(a.nsp ?? "/").sockets.values()].map(describe),
  setData: (a) => { io.of(a.nsp ?? "/").sockets.get(a.socket).data = unpack(a.data); },
  uid: (a) => io.of(a.nsp ?? "/").adapter.uid,

  // publish emits as a process that is no server.
  publish: async (a) => {
    const { Emitter } = require("@socket.io/redis-emitter");
    let t = new Emitter(redis.pub, withParser(a.emitterOptions)).of(a.nsp ?? "/");
    if (a.rooms?.length) t = t.to(a.rooms);
    if (a.except?.length) t = t.except(a.except);
    if (a.volatile) t = t.volatile;
    if (a.compress !== undefined) t = t.compress(a.compress);
    const call = a.call ?? "emit";
    if (call === "emit") t.emit(a.event, ...unpack(a.args ?? []));
    else t[call](...unpack(a.args ?? []));
  },

  // connect opens a client to this server, or to a.url. It acknowledges every
  // event that wants it with a.ack, unless a.silent.
  connect: (a) =>
    new Promise((resolve, reject) => {
      const s = connect((a.url ?? `http://127.0.0.1:${io.httpServer.address().port}`) + (a.nsp ?? "/"), {
        forceNew: true, auth: unpack(a.auth ?? {}), transports: a.transports ?? ["websocket"], reconnection: false,
      });
      let id; // as it was: a client that is disconnected has none
      s.onAny((event, ...args) => {
        if (typeof args.at(-1) === "function") {
          const ack = args.pop();
          if (!a.silent) ack(...unpack(a.ack ?? []));
        }
        say({ happened: "received", client: id, event, args: pack(args) });
      });
      s.on("connect", () => { id = s.id; clients.set(id, s); resolve({ id }); });
      s.on("connect_error", reject);
      s.on("disconnect", (reason) => say({ happened: "disconnected", client: id, reason }));
    }),
  clientEmit: (a) => { clients.get(a.client).emit(a.event, ...unpack(a.args ?? [])); },
  clientAsk: async (a) => pack(await clients.get(a.client).timeout(a.timeout ?? 5000).emitWithAck(a.event, ...unpack(a.args ?? []))),
  clientClose: (a) => { clients.get(a.client).disconnect(); },
});

// serve has every namespace print what other servers tell it, lets clients ask
// for a few things, and puts them into rooms, if there are some.
function serve(nsp) {
  for (const event of options.serverSideEvents ?? ["hello", "ask"]) {
    nsp.on(event, (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : () => {};
      if (!options.serverSideSilent) ack(...unpack(options.serverSideAnswer ?? [process.pid]));
      say({ happened: "serverSide", nsp: nsp.name, event, args: pack(args) });
    });
  }
  nsp.on("connection", async (socket) => {
    socket.on("join", async (rooms, ack) => { await socket.join(rooms); ack?.(); });
    socket.on("leave", async (room, ack) => { await socket.leave(room); ack?.(); });
    socket.on("tell", (room, event, ...args) => socket.to(room).emit(event, ...args));
    socket.on("echo", (...args) => args.pop()(...args));
    if (!options.rooms || socket.recovered) return;
    await socket.join(options.rooms);
    socket.emit("entered");
  });
}

async function main() {
  const redis = await connectRedis(options);
  const http = createServer((req, res) => res.writeHead(404).end());
  const io = new Server(http, {
    serveClient: false, adapter: redis.adapter,
    ...(options.recovery && { connectionStateRecovery: {} }), ...options.server,
  });
  options.namespaces.forEach((name) => serve(io.of(name)));
  const during = watch(redis.pub, (happened, { event, args }) => say({ happened, event, args }));
  const ops = operations(io, redis, during);
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { id, op, args = {} } = JSON.parse(line);
    try {
      if (!ops[op]) throw new Error(`there is no operation ${op}`);
      say({ id, result: (await ops[op](args)) ?? null });
    } catch (err) {
      say({ id, error: err?.message || String(err), data: err?.data });
    }
  });
  lines.on("close", () => process.exit(0));
  await redis.ready(io);
  http.listen(options.port, "127.0.0.1", () => say({ happened: "listening", port: http.address().port }));
}

process.on("unhandledRejection", (err) => say({ happened: "failed", error: String(err?.stack || err) }));
main().catch((err) => {
  console.error(err);
  process.exit(1);
});
