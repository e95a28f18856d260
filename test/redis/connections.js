"use strict";

// Clients for Redis, and adapters over them. An adapter's name is its kind,
// and "-ioredis" if that is the client:
//
//   redis           @socket.io/redis-adapter
//   redis-sharded   its sharded form
//   redis-streams   @socket.io/redis-streams-adapter
//
// Several URLs are nodes of a Redis Cluster, and redis-sentinel://host:port,.../name
// is a master that sentinels know. The option parser: "json" of adapters and
// emitters stands for one that speaks JSON.

const quiet = (client) => client.on("error", (err) => console.error(String(err)));

async function nodeRedis(urls) {
  const { createClient, createCluster } = require("redis");
  const client = quiet(
    urls.length > 1 ? createCluster({ rootNodes: urls.map((url) => ({ url })) }) : createClient({ url: urls[0] })
  );
  await client.connect();
  return client;
}

function ioRedis(urls) {
  const { Redis, Cluster } = require("ioredis");
  if (urls.length > 1) return quiet(new Cluster(urls, { shardedSubscribers: true }));
  return quiet(new Redis(sentinels(urls[0]) ?? urls[0]));
}

// sentinels returns the options for ioredis that a URL of sentinels stands for.
// The client "redis" has an object of its own for them, with which the adapters
// cannot do: they count servers by client.sendCommand([...]), and its takes other
// arguments.
function sentinels(url) {
  const [, hosts, name] = /^redis-sentinel:\/\/([^/@]+)\/(\w+)$/.exec(url) ?? [];
  if (!hosts) return undefined;
  const at = (address) => ({ host: address.split(":")[0], port: Number(address.split(":")[1]) });
  return { sentinels: hosts.split(",").map(at), name };
}

function withParser(options) {
  if (options?.parser !== "json") return options;
  return { ...options, parser: { encode: JSON.stringify, decode: JSON.parse } };
}

async function connectRedis({ adapter: name, urls, adapterOptions: given }) {
  const adapterOptions = withParser(given);
  const io = name.endsWith("-ioredis");
  const open = io ? ioRedis : nodeRedis;
  const pub = await open(urls);
  switch (name.replace("-ioredis", "")) {
    case "redis": {
      const { createAdapter } = require("@socket.io/redis-adapter");
      const sub = await open(urls);
      return { pub, adapter: createAdapter(pub, sub, adapterOptions), ready };
    }
    case "redis-sharded": {
      const { createShardedAdapter } = require("@socket.io/redis-adapter");
      const sub = await open(urls);
      return { pub, adapter: createShardedAdapter(pub, sub, adapterOptions), ready };
    }
    case "redis-streams": {
      const { createAdapter } = require("@socket.io/redis-streams-adapter");
      return { pub, adapter: createAdapter(pub, adapterOptions), ready };
    }
  }
  throw new Error(`there is no adapter ${name}`);
}

// ready waits until the server hears itself: adapters subscribe without
// waiting for it.
async function ready(io) {
  for (const [, nsp] of io._nsps) {
    await nsp.adapter.init?.();
    for (;;) {
      const count = await Promise.resolve(nsp.adapter.serverCount()).catch(() => 0);
      if (count >= 1) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

module.exports = { connectRedis, withParser };
