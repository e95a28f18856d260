// A node dies: its clients move to another, the rest of the cluster goes on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { knowsPeers, needsCluster, needsNodes, startNodes } from "./nodes.js";
import { ask, client, connect, connected, eventually, inbox, next, unique, ways } from "./support.js";

/** A client that knows all nodes and tries the next one when its own fails. */
function roaming(t, nodes, first, options) {
  const socket = client(t, {
    url: nodes[first].url,
    reconnection: true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 100,
    ...options,
  });
  let at = first;
  socket.io.on("reconnect_attempt", () => {
    at = (at + 1) % nodes.length;
    socket.io.uri = nodes[at].url;
  });
  return socket;
}

test("clients of a killed node move to another and go on", { ...needsCluster, timeout: 60_000 }, async (t) => {
  const nodes = await startNodes(t, 3);
  const room = unique();
  const names = await Promise.all(
    nodes.map(async (node) => (await next(client(t, { url: node.url }), "welcome"))[0].node),
  );
  assert.equal(new Set(names).size, 3);

  const travellers = await Promise.all(ways.map((way) => connected(roaming(t, nodes, 0, { transports: way.transports }))));
  const settled = await Promise.all([1, 2].map((i) => connect(t, { url: nodes[i].url })));
  const everyone = [...travellers, ...settled];
  for (const s of everyone) await ask(s, "join", room);
  for (const s of travellers) s.on("connect", () => s.emit("join", room, () => s.emit("echo", "in again")));
  const boxes = everyone.map((s) => inbox(s, "news"));
  await ask(settled[0], "broadcast", { rooms: [room], event: "news", args: ["before"] });
  await Promise.all(boxes.map((b) => b.count(1)));

  const gone = travellers.map((s) => next(s, "disconnect"));
  const back = travellers.map((s) => next(s, "echo"));
  const moved = travellers.map((s) => next(s, "welcome"));
  const bystanders = settled.map((s) => inbox(s, "disconnect"));
  await nodes[0].kill();
  for (const [i, g] of gone.entries()) {
    assert.match((await g)[0], ways[i].final === "polling" ? /^transport error$/ : /^transport close$/);
  }
  for (const m of moved) assert.ok(names.slice(1).includes((await m)[0].node), "another node");
  await Promise.all(back);

  // The dead node's sockets are forgotten, and nobody waits for it any more.
  await eventually("the list to be right", async () => {
    const listed = await ask(settled[0], "fetch", { rooms: [room] });
    // Until the node is known to be dead, the answer is incomplete: an error.
    return Array.isArray(listed) && listed.map((l) => l.id).sort().join() === everyone.map((s) => s.id).sort().join();
  });
  await Promise.all([nodes[1], nodes[2]].map((node) => knowsPeers(t, node, 1)));
  for (const s of everyone) s.on("question", (ack) => ack(1));
  const answers = await ask(settled[1], "ask-all", { rooms: [room], event: "question", timeout: 5000 });
  assert.deepEqual(answers, { timedOut: false, responses: everyone.map(() => 1) });

  for (const s of everyone) await ask(s, "broadcast", { rooms: [room], event: "news", args: ["after"] });
  for (const box of boxes) {
    await box.until((m) => m.filter(([x]) => x === "after").length === everyone.length, "the news of everyone");
  }
  assert.deepEqual(bystanders.flatMap((b) => b.messages), [], "nobody else was disconnected");
});

test("a killed node that comes back is a member again", { ...needsCluster, timeout: 60_000 }, async (t) => {
  const nodes = await startNodes(t, 3);
  const stayer = await connect(t, { url: nodes[0].url });
  const room = unique();
  await ask(stayer, "join", room);
  const box = inbox(stayer, "news");
  await nodes[2].kill();
  await knowsPeers(t, nodes[0], 1);

  const again = await nodes[2].restart();
  await Promise.all([nodes[0], nodes[1], again].map((node) => knowsPeers(t, node, 2)));
  const newcomer = await connect(t, { url: again.url });
  await ask(newcomer, "broadcast", { rooms: [room], event: "news", args: ["hello"] });
  await box.count(1);
  await ask(newcomer, "join", room);
  const other = inbox(newcomer, "news");
  await ask(stayer, "broadcast", { rooms: [room], event: "news", args: ["welcome back"] });
  await other.count(1);
  assert.equal((await ask(stayer, "fetch", { rooms: [room] })).length, 2);
});

test("a node that stops in good order is waited for by nobody", { ...needsCluster, timeout: 60_000 }, async (t) => {
  const nodes = await startNodes(t, 3);
  const room = unique();
  const traveller = await connected(roaming(t, nodes, 0, { transports: ["websocket"] }));
  const stayer = await connect(t, { url: nodes[1].url });
  await ask(stayer, "join", room);
  const back = next(traveller, "connect", 15_000);
  nodes[0].signal("SIGTERM");
  await back;
  assert.equal((await nodes[0].exited).code, 0);
  await knowsPeers(t, nodes[1], 1);
  const started = Date.now();
  assert.equal((await ask(stayer, "fetch", { rooms: [room] })).length, 1);
  assert.ok(Date.now() - started < 2000, "no wait for the one that left");
});

test("a client of a single node comes back when the node does", { ...needsNodes, timeout: 60_000 }, async (t) => {
  const nodes = await startNodes(t, 1);
  const sockets = await Promise.all(
    ways.map((way) => connected(roaming(t, nodes, 0, { transports: way.transports, reconnectionDelayMax: 50 }))),
  );
  const gone = sockets.map((s) => next(s, "disconnect"));
  await nodes[0].kill();
  await Promise.all(gone);
  const back = sockets.map((s) => next(s, "connect", 15_000));
  for (const s of sockets) s.emit("echo", "kept");
  const echoes = sockets.map((s) => next(s, "echo", 15_000));
  await nodes[0].restart();
  await Promise.all(back);
  for (const e of echoes) assert.deepEqual(await e, ["kept"]);
});
