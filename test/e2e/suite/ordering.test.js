// One sender's messages arrive in order: under load, at every receiver on
// every node, on every transport, and across the upgrade.
import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test } from "node:test";
import { ask, client, connect, connected, inbox, next, servers, unique, ways } from "./support.js";

/** Checks that `from` to `to` minus 1 arrived, in order and once. */
function assertSequence(got, to, what) {
  for (let i = 0; i < Math.max(got.length, to); i++) {
    if (got[i] !== i) {
      assert.fail(`${what}: at ${i} came ${got.slice(Math.max(0, i - 2), i + 5)} (${got.length} of ${to} in all)`);
    }
  }
}

test("several senders, one room, receivers everywhere", { timeout: 60_000 }, async (t) => {
  const each = 1500;
  const room = unique();
  const mixed = servers.flatMap((_, node) => ways.map((way) => connect(t, { node, transports: way.transports })));
  const receivers = await Promise.all(mixed);
  const senders = await Promise.all(
    [0, 1, 2, 3].map((i) => connect(t, { node: i, transports: ways[(i + 1) % ways.length].transports })),
  );
  for (const s of receivers) await ask(s, "join", room);
  const boxes = receivers.map((s) => inbox(s, "numbered"));

  await Promise.all(
    senders.map(async (s, from) => {
      for (let seq = 0; seq < each; seq++) {
        const args = seq % 10 === 0 ? [from, seq, Buffer.from("bytes")] : [from, seq];
        s.emit("broadcast", { rooms: [room], event: "numbered", args });
        // Waiting now and then keeps all senders and receivers busy at once.
        if (seq % 100 === 99) await ask(s, "echo-ack", seq);
      }
    }),
  );
  for (const [i, box] of boxes.entries()) {
    await box.count(each * senders.length, 30_000);
    for (const from of senders.keys()) {
      const got = box.messages.filter((m) => m[0] === from).map((m) => m[1]);
      assertSequence(got, each, `receiver ${i} (${ways[i % ways.length].name}), sender ${from}`);
    }
  }
});

test("direct messages, room messages and broadcasts of one sender keep one order", async (t) => {
  for (const node of servers.keys()) {
    const room = unique();
    const sender = await connect(t);
    const receiver = await connect(t, { node });
    await ask(receiver, "join", room);
    const box = inbox(receiver, "mixed");
    const targets = [[room], [receiver.id], [room, receiver.id], [room, unique()]];
    for (let i = 0; i < 400; i++) {
      sender.emit("broadcast", {
        from: i % 2 ? "socket" : "server",
        rooms: targets[i % targets.length],
        event: "mixed",
        args: i % 7 ? [i] : [i, Buffer.from([i & 255])],
      });
    }
    await box.count(400);
    assertSequence(box.firsts(), 400, `node ${node}`);
  }
});

/** Holds back WebSocket connections until `open()`: the upgrade comes when the test wants it. */
class Gate extends Agent {
  #opened;
  constructor() {
    super();
    this.#opened = new Promise((resolve) => (this.open = resolve));
  }
  addRequest(...args) {
    this.#opened.then(() => super.addRequest(...args));
  }
}

/** A polling client, connected, and how to let it upgrade. */
async function upgrading(t, options) {
  const gate = new Gate();
  const socket = client(t, {
    transports: ["polling", "websocket"],
    transportOptions: { websocket: { agent: gate } },
    ...options,
  });
  await connected(socket);
  assert.equal(socket.io.engine.transport.name, "polling");
  const state = { socket, over: false };
  const done = next(socket.io.engine, "upgrade").then(() => (state.over = true));
  state.upgrade = () => {
    gate.open();
    return done;
  };
  return state;
}

test("both directions keep their order across the upgrade", { timeout: 60_000 }, async (t) => {
  for (let round = 0; round < 12; round++) {
    const node = round % servers.length;
    const client = await upgrading(t, { node });
    const { socket } = client;
    const echoes = inbox(socket, "echo");
    let sent = 0;
    let upgraded;
    // Before, during and after: the client never stops sending.
    for (let after = 0; after < 60; after += client.over ? 1 : 0) {
      for (let i = 0; i < 5; i++, sent++) {
        if (sent % 50 === 49) socket.emit("echo", sent, Buffer.from("bytes"));
        else socket.emit("echo", sent);
      }
      if (!upgraded && echoes.messages.length > 50) upgraded = client.upgrade();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await upgraded;
    assert.equal(socket.io.engine.transport.name, "websocket");
    await echoes.count(sent);
    assertSequence(echoes.firsts(), sent, `round ${round}, node ${node}`);
    socket.disconnect();
  }
});

test("a broadcast from another node keeps its order across the upgrade of a receiver", { timeout: 60_000 }, async (t) => {
  const room = unique();
  const sender = await connect(t, { node: 1 });
  for (let round = 0; round < 12; round++) {
    const receiver = await upgrading(t, { node: round });
    const box = inbox(receiver.socket, "numbered");
    await ask(receiver.socket, "join", room);
    let sent = 0;
    let upgraded;
    for (let after = 0; after < 20; after += receiver.over ? 1 : 0) {
      for (let i = 0; i < 10; i++) sender.emit("broadcast", { rooms: [room], event: "numbered", args: [sent++] });
      if (!upgraded && box.messages.length > 20) upgraded = receiver.upgrade();
      await ask(sender, "echo-ack", sent);
    }
    await upgraded;
    await box.count(sent);
    assertSequence(box.firsts(), sent, `round ${round}`);
    receiver.socket.disconnect();
  }
});

test("answers and events of one client are handled in the order they were sent", async (t) => {
  const socket = await connect(t, { transports: ["polling"] });
  const order = [];
  socket.on("echo", (n) => order.push(n));
  for (let i = 0; i < 100; i++) {
    if (i % 2) socket.emit("echo", i);
    else socket.emit("echo-ack", i, (n) => order.push(n));
  }
  const echo = next(socket, "echo");
  await echo;
  await ask(socket, "echo-ack", "barrier");
  assertSequence(order, 100, "answers");
});
