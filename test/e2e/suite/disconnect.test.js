// Disconnecting, by either side and by accident: the reasons at both sides.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needsNodes, startNodes } from "./nodes.js";
import { ask, client, connect, connected, inbox, kind, next, reasonOf, servers, unique, ways } from "./support.js";

/** Lets `act` end a fresh connection; what both sides say about it. */
async function ended(t, options, act) {
  const witness = await connect(t, { url: options.url, node: options.node });
  const socket = await connect(t, options);
  const room = unique();
  assert.deepEqual(await ask(socket, "join", room), [room]);
  const { id } = socket;
  const gone = next(socket, "disconnect");
  await act(socket);
  const [here] = await gone;
  const { reason: there, rooms } = await reasonOf(witness, id);
  assert.deepEqual(rooms, [room], "rooms are still there while disconnecting");
  assert.deepEqual(await ask(witness, "fetch", { rooms: [room] }), [], "and left afterwards");
  assert.equal(socket.connected, false);
  assert.equal(socket.id, undefined);
  return { here, there };
}

for (const way of ways) {
  const { transports } = way;

  test(`${way.name}: the client disconnects`, async (t) => {
    for (const node of servers.keys()) {
      assert.deepEqual(await ended(t, { node, transports }, (s) => s.disconnect()), {
        here: "io client disconnect",
        there: "client namespace disconnect",
      });
    }
  });

  test(`${way.name}: the server disconnects the socket`, async (t) => {
    for (const node of servers.keys()) {
      assert.deepEqual(await ended(t, { node, transports }, (s) => s.emit("disconnect-me", { close: false })), {
        here: "io server disconnect",
        there: "server namespace disconnect",
      });
    }
  });

  test(`${way.name}: the server disconnects the connection`, async (t) => {
    assert.deepEqual(await ended(t, { transports }, (s) => s.emit("disconnect-me", { close: true })), {
      here: "io server disconnect",
      there: "server namespace disconnect",
    });
  });

  test(`${way.name}: the client closes its connection without a word`, async (t) => {
    assert.deepEqual(await ended(t, { transports }, (s) => s.io.engine.close()), {
      here: "forced close",
      there: "transport close",
    });
  });
}

test("websocket: the connection breaks off", async (t) => {
  assert.deepEqual(await ended(t, {}, (s) => s.io.engine.transport.ws.terminate()), {
    here: "transport close",
    there: "transport close",
  });
});

test("a client disconnected by the server does not come back by itself", async (t) => {
  const socket = await connect(t, { reconnection: true, reconnectionDelay: 1 });
  const gone = next(socket, "disconnect");
  socket.emit("disconnect-me", { close: false });
  assert.equal((await gone)[0], "io server disconnect");
  assert.equal(socket.active, false);
  await connected(socket.connect());
  assert.equal(await ask(socket, "echo-ack", "back"), "back");
});

test("a client whose connection breaks off comes back by itself, and sends what it kept", async (t) => {
  for (const way of ways) {
    const socket = await connect(t, { transports: way.transports, reconnection: true, reconnectionDelay: 10 });
    const { id } = socket;
    await ask(socket, "join", "here");
    const gone = next(socket, "disconnect");
    const back = next(socket, "connect");
    const echoes = inbox(socket, "echo");
    socket.io.engine.transport.ws?.terminate();
    if (way.final === "polling") socket.io.engine.close();
    if (way.final === "polling") socket.connect();
    await gone;
    for (let i = 0; i < 5; i++) socket.emit("echo", i);
    await back;
    assert.notEqual(socket.id, id);
    assert.deepEqual(await ask(socket, "rooms"), [], "a new socket, in no room");
    await echoes.count(5);
    assert.deepEqual(echoes.firsts(), [0, 1, 2, 3, 4]);
  }
});

test("what is emitted just before the server disconnects still arrives", async (t) => {
  for (const way of ways) {
    const socket = await connect(t, { transports: way.transports });
    const echoes = inbox(socket, "echo");
    const gone = next(socket, "disconnect");
    for (let i = 0; i < 50; i++) socket.emit("echo", i);
    socket.emit("disconnect-me", { close: true });
    await gone;
    assert.equal(echoes.messages.length, 50);
  }
});

// The JavaScript server drops what it has read but not yet dispatched when the
// client's goodbye comes in the same batch. Ours handles packets in order.
const goodbye = { skip: kind === "oracle" && "the oracle drops it" };
test("what is emitted just before the client disconnects still arrives", goodbye, async (t) => {
  for (const way of ways) {
    const [socket, other] = [await connect(t, { transports: way.transports }), await connect(t, { node: 1 })];
    const box = inbox(other, "last");
    for (let i = 0; i < 20; i++) {
      socket.emit("broadcast", { rooms: [other.id], event: "last", args: [i] });
    }
    socket.disconnect();
    await box.count(20);
    assert.deepEqual(
      box.firsts(),
      Array.from({ length: 20 }, (_, i) => i),
    );
  }
});

const hasty = { PING_INTERVAL: "300", PING_TIMEOUT: "700" };

test("heartbeats keep an idle connection alive", needsNodes, async (t) => {
  const [node] = await startNodes(t, 1, hasty);
  const sockets = await Promise.all(ways.map((way) => connect(t, { url: node.url, transports: way.transports })));
  // Six pings answered, at each transport: longer than a silent peer would live.
  await Promise.all(sockets.map((s) => inbox(s.io.engine, "ping").count(6)));
  for (const s of sockets) assert.equal(await ask(s, "echo-ack", 1), 1);
});

test("the server gives up a client that answers no ping", needsNodes, async (t) => {
  const [node] = await startNodes(t, 1, hasty);
  const witness = await connect(t, { url: node.url });
  const socket = await connect(t, { url: node.url });
  const { id } = socket;
  const { engine } = socket.io;
  engine.transport.ws.pause();
  clearTimeout(engine._pingTimeoutTimer); // else it might give up first
  assert.equal((await reasonOf(witness, id)).reason, "ping timeout");
});

test("the client gives up a server that sends no ping", needsNodes, async (t) => {
  const [node] = await startNodes(t, 1, hasty);
  const sockets = await Promise.all(ways.map((way) => connect(t, { url: node.url, transports: way.transports })));
  const gone = sockets.map((s) => next(s, "disconnect"));
  node.signal("SIGSTOP");
  for (const g of gone) assert.equal((await g)[0], "ping timeout");
});

test("a client that never joins a namespace is sent away", needsNodes, async (t) => {
  const [node] = await startNodes(t, 1, { CONNECT_TIMEOUT: "200" });
  const member = await connect(t, { url: node.url });
  const lurker = client(t, { url: node.url, nsp: "/nowhere" });
  const engine = new Promise((resolve) => lurker.io.once("open", () => resolve(lurker.io.engine)));
  // The manager of a refused socket would hang up by itself: stop it.
  lurker.io._destroy = () => {};
  assert.equal((await next(await engine, "close"))[0], "transport close");
  assert.equal(await ask(member, "echo-ack", 1), 1);
});

test("a node that shuts down lets its clients go, who may come back", needsNodes, async (t) => {
  const [node] = await startNodes(t, 1);
  const sockets = await Promise.all(ways.map((way) => connect(t, { url: node.url, transports: way.transports, reconnection: true })));
  const gone = sockets.map((s) => next(s, "disconnect"));
  node.signal("SIGTERM");
  for (const g of gone) assert.equal((await g)[0], "transport close");
  for (const s of sockets) assert.equal(s.active, true, "reconnecting");
  for (const s of sockets) s.disconnect();
  assert.deepEqual(await node.exited, { code: 0, signal: null });
});
