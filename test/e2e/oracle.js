// The app under test (PROTOCOL.md) on the socket.io package from npm: the
// oracle that shows the suite describes Socket.IO, and not only Socketeer.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const env = process.env;
const [host, port] = env.LISTEN.split(/:(?=\d+$)/);
const name = env.NODE_NAME ?? "oracle";

const options = {
  pingInterval: Number(env.PING_INTERVAL ?? 25_000),
  pingTimeout: Number(env.PING_TIMEOUT ?? 20_000),
  connectTimeout: Number(env.CONNECT_TIMEOUT ?? 45_000),
};
if (env.RECOVERY) {
  options.connectionStateRecovery = {
    maxDisconnectionDuration: Number(env.RECOVERY),
    skipMiddlewares: !env.RECOVERY_MIDDLEWARES,
  };
}
if (env.REDIS_URL) {
  const pub = createClient({ url: env.REDIS_URL });
  const sub = pub.duplicate();
  for (const c of [pub, sub]) c.on("error", (err) => console.error("redis:", err.message));
  await Promise.all([pub.connect(), sub.connect()]);
  pub.setMaxListeners(0); // the adapter adds one for each namespace
  sub.setMaxListeners(0);
  const key = `socket.io-${env.CLUSTER_NAME ?? "e2e"}`;
  options.adapter = createAdapter(pub, sub, { key, requestsTimeout: 3000 });
}

const http = createServer((_, res) => res.writeHead(404).end());
const io = new Server(http, options);

const gone = new Map(); // socket id -> { reason, rooms }
const goneWaiters = new Map(); // socket id -> [ack]
const serverLog = []; // argument lists of server-side "note" events

function clientError(message, data) {
  return Object.assign(new Error(message), { data });
}

function describe(value) {
  if (Buffer.isBuffer(value)) return "hex:" + value.toString("hex");
  if (Array.isArray(value)) return value.map(describe);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, describe(v)]));
  }
  return value;
}

function target(nsp, socket, q) {
  let op = q.from === "socket" ? socket.broadcast : nsp;
  if (q.rooms?.length) op = op.to(q.rooms);
  if (q.except?.length) op = op.except(q.except);
  if (q.local) op = op.local;
  if (q.volatile) op = op.volatile;
  return op;
}

function roomsOf(socket) {
  return [...socket.rooms].filter((r) => r !== socket.id).sort();
}

function onConnect(socket) {
  const nsp = socket.nsp;
  const seen = [];
  let leaving = [];

  socket.emit("welcome", { id: socket.id, node: name });
  socket.use(([event], next) => {
    if (event === "forbidden") return next(new Error("not allowed"));
    next();
  });
  // Broken packets raise "error" too, and so may the client itself.
  socket.on("error", (err) => err?.message === "not allowed" && socket.emit("refused", err.message));
  socket.onAny((event) => seen.push(event));

  socket.on("seen", (ack) => ack(seen));
  socket.on("echo", (...args) => socket.emit("echo", ...args));
  socket.on("echo-ack", (...args) => args.pop()(...args));
  socket.on("inspect", (...args) => args.pop()(...args.map(describe)));
  socket.on("never-ack", () => {});
  socket.on("ack-twice", (ack) => {
    ack("first");
    ack("second");
  });
  socket.on("handshake", (ack) => {
    const h = socket.handshake;
    ack({
      auth: h.auth,
      query: h.query,
      headers: h.headers,
      address: h.address,
      url: h.url,
      secure: h.secure,
      xdomain: h.xdomain,
      time: new Date(h.time).getTime(),
    });
  });

  socket.on("join", async (rooms, ack) => {
    await socket.join(rooms);
    ack(roomsOf(socket));
  });
  socket.on("leave", async (room, ack) => {
    await socket.leave(room);
    ack(roomsOf(socket));
  });
  socket.on("rooms", (ack) => ack(roomsOf(socket)));
  socket.on("set-data", (data, ack) => {
    Object.assign(socket.data, data);
    ack();
  });

  socket.on("broadcast", (q, ack) => {
    target(nsp, socket, q).emit(q.event, ...(q.args ?? []));
    ack?.();
  });
  socket.on("ask-all", (q, ack) => {
    target(nsp, socket, q)
      .timeout(q.timeout)
      .emit(q.event, ...(q.args ?? []), (err, responses) => {
        ack({ responses, timedOut: Boolean(err) });
      });
  });
  socket.on("fetch", async (q, ack) => {
    const sockets = await target(nsp, socket, q).fetchSockets();
    ack(
      sockets.map((s) => ({
        id: s.id,
        rooms: roomsOf(s),
        data: s.data,
        auth: s.handshake.auth,
      })),
    );
  });
  socket.on("sockets-join", (q, ack) => {
    target(nsp, socket, q).socketsJoin(q.join);
    ack();
  });
  socket.on("sockets-leave", (q, ack) => {
    target(nsp, socket, q).socketsLeave(q.leave);
    ack();
  });
  socket.on("disconnect-sockets", (q, ack) => {
    target(nsp, socket, q).disconnectSockets(q.close);
    ack();
  });

  socket.on("server-emit", (...args) => {
    const ack = args.pop();
    nsp.serverSideEmit("note", ...args);
    ack();
  });
  socket.on("server-log", (ack) => ack(serverLog));
  socket.on("server-ask", async (question, ack) => {
    try {
      ack({ responses: await nsp.serverSideEmitWithAck("question", question), timedOut: false });
    } catch (err) {
      ack({ responses: err.responses ?? [], timedOut: true });
    }
  });

  socket.on("call-me", (q, ack) => {
    socket.timeout(q.timeout).emit(q.event, ...(q.args ?? []), (err, ...reply) => {
      ack(err ? { timedOut: true, reply: [] } : { timedOut: false, reply });
    });
  });
  socket.on("burst", ({ count, bytes, volatile }) => {
    const filler = "x".repeat(bytes);
    for (let i = 0; i < count; i++) (volatile ? socket.volatile : socket).emit("frame", i, filler);
  });
  socket.on("disconnect-me", (q) => socket.disconnect(q.close));
  socket.on("reason-of", (id, ack) => {
    if (gone.has(id)) return ack(gone.get(id));
    goneWaiters.set(id, [...(goneWaiters.get(id) ?? []), ack]);
  });

  socket.on("disconnecting", () => {
    leaving = roomsOf(socket);
  });
  socket.on("disconnect", (reason) => {
    const info = { reason, rooms: leaving };
    gone.set(socket.id, info);
    for (const ack of goneWaiters.get(socket.id) ?? []) ack(info);
    goneWaiters.delete(socket.id);
  });
}

const root = io.of("/");
root.use((socket, next) => {
  const refuse = socket.handshake.auth.refuse;
  next(refuse ? clientError(refuse, { by: "first" }) : undefined);
});
root.use((socket, next) => {
  const refuse = socket.handshake.auth.refuseLater;
  next(refuse ? clientError(refuse) : undefined);
});
root.on("connection", onConnect);
root.on("note", (...args) => serverLog.push(args));
root.on("question", (question, ack) => ack({ node: name, question }));

const admin = io.of("/admin");
admin.use((socket, next) => {
  if (socket.handshake.auth.token === "secret") return next();
  next(clientError("not authorized", { code: 401, hints: ["send a token"] }));
});
admin.on("connection", onConnect);

const dynamic = io.of(/^\/dyn-\d+$/);
dynamic.use((socket, next) => {
  next(socket.handshake.auth.refuse ? clientError("not here", { nsp: socket.nsp.name }) : undefined);
});
dynamic.on("connection", onConnect);

http.listen(Number(port), host, () => console.log(`ready http://${env.LISTEN}`));
process.once("SIGTERM", () => io.close(() => process.exit(0)));
