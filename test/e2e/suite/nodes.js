// Nodes of a test's own: for tests that stop, freeze or kill them.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { ask, connect, eventually, servers, unique, within } from "./support.js";

const command = JSON.parse(process.env.NODE_COMMAND ?? "null");

/** For tests that start a node of their own, with or without a cluster. */
const startable = command ? false : "NODE_COMMAND says how to start a node";

/** For tests that start single nodes: they run with the single-node suite. */
export const needsNodes = {
  skip: startable || (servers.length > 1 ? "runs with one node" : false),
};

/** The same, for tests that start a cluster: they run with the cluster suite. */
export const needsCluster = {
  skip: startable || (servers.length < 2 ? "runs with several nodes" : false),
};

const host = process.env.NODE_HOST ?? "127.0.0.1";

/**
 * Starts n nodes, which form a cluster when n > 1, and waits until they serve
 * and know each other. They are killed when the test ends.
 */
export async function startNodes(t, n, env = {}) {
  const ports = await freePorts(2 * n);
  const cluster = unique("cluster");
  const peers = ports.slice(n).map((port) => `${host}:${port}`);
  const nodes = await Promise.all(
    peers.map((address, i) =>
      startNode(t, {
        LISTEN: `${host}:${ports[i]}`,
        NODE_NAME: `${cluster}-${i}`,
        ...(n > 1 && {
          CLUSTER_NAME: cluster,
          CLUSTER_ADDR: address,
          CLUSTER_PEERS: peers.filter((p) => p !== address).join(","),
        }),
        ...env,
      }),
    ),
  );
  if (n > 1) await Promise.all(nodes.map((node) => knowsPeers(t, node, n - 1)));
  return nodes;
}

async function startNode(t, env) {
  const { REDIS_URL, ...inherited } = process.env;
  const child = spawn(command[0], command.slice(1), {
    env: { ...inherited, ...(env.CLUSTER_NAME && REDIS_URL && { REDIS_URL }), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  const node = {
    env,
    url: `http://${env.LISTEN}`,
    name: env.NODE_NAME,
    errors: "",
    exited,
    signal: (name) => child.kill(name),
    /** Sends SIGKILL and waits until the process is gone. */
    kill() {
      child.kill("SIGKILL");
      return exited;
    },
    /** Starts the node again, at the same addresses. */
    restart: () => startNode(t, env),
  };
  t.after(() => node.kill());
  child.stderr.setEncoding("utf8").on("data", (text) => (node.errors += text));
  await within(
    () => `${node.name} ready; its errors: ${node.errors}`,
    (resolve, reject) => {
      child.stdout.setEncoding("utf8").on("data", (text) => text.includes("ready ") && resolve());
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`${node.name} exited with ${code}: ${node.errors}`)));
    },
    20_000,
  );
  return node;
}

/** Waits until a node knows exactly `count` other nodes. */
export async function knowsPeers(t, node, count) {
  const probe = await connect(t, { url: node.url });
  await eventually(
    `${node.name} to know ${count} peers`,
    async () => {
      const { responses, timedOut } = await ask(probe, "server-ask", "who is there");
      return !timedOut && responses.length === count;
    },
    20_000,
  );
  probe.disconnect();
}

/** n TCP ports that are free now. */
export async function freePorts(n) {
  const servers = Array.from({ length: n }, () => createServer());
  await Promise.all(servers.map((s) => new Promise((resolve) => s.listen(0, host, resolve))));
  const ports = servers.map((s) => s.address().port);
  await Promise.all(servers.map((s) => new Promise((resolve) => s.close(resolve))));
  return ports;
}
