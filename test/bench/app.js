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

function fail(message) {
  console.error(message);
  process.exit(1);
}

function portArgument() {
  const port = Number(process.argv[2]);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    console.error(`usage: [ADAPTER=redis|redis-streams REDIS_URL=URL] [RECOVERY=1] node ${process.argv[1]} PORT`);
    process.exit(2);
  }
  return port;
}

const redisClients = [];

async function redisClient() {
  const { createClient } = require("redis");
  const client = createClient({ url: process.env.REDIS_URL });
  client.on("error", (err) => fail(`redis: ${err.message}`));
  await client.connect();
  redisClients.push(client);
  return client;
}

// The adapters that ADAPTER may name; each joins the servers that share the
// Redis at REDIS_URL.
const adapters = {
  async redis() {
    const [pub, sub] = [await redisClient(), await redisClient()];
    return require("@socket.io/redis-adapter").createAdapter(pub, sub);
  },
  async "redis-streams"() {
    return require("@socket.io/redis-streams-adapter").createAdapter(await redisClient());
  },
};

// serverOptions are those of the socket.io server. With RECOVERY, it keeps
// sessions for clients that come back (connection state recovery).
async function serverOptions() {
  const options = { serveClient: false };
  if (process.env.RECOVERY) options.connectionStateRecovery = {};
  const name = process.env.ADAPTER;
  if (!name) return options;
  if (!Object.hasOwn(adapters, name)) fail(`ADAPTER=${name} is none of ${Object.keys(adapters).join(", ")}`);
  if (!process.env.REDIS_URL) fail(`ADAPTER=${name} needs REDIS_URL`);
  return { ...options, adapter: await adapters[name]() };
}

// closePatience is how long clients may take to answer that the server closes.
const closePatience = 1000;

// endOnSigterm ends the process on SIGTERM, as a deployment asks it to:
// connections are closed first, then what is on its way to Redis gets there:
// the sessions of those clients.
function endOnSigterm(io) {
  process.on("SIGTERM", async () => {
    setTimeout(() => process.exit(0), closePatience);
    await io.close();
    await Promise.allSettled(redisClients.map((client) => client.quit()));
    process.exit(0);
  });
}

module.exports = { bench, endOnSigterm, fail, portArgument, serverOptions };
