// Volatile messages: delivered to who can take them now, dropped otherwise.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, connect, eventually, inbox, kind, next, onEveryNode, reasonOf, servers, unique, ways } from "./support.js";

for (const way of ways) {
  test(`${way.name}: a volatile message reaches idle clients on every node`, async (t) => {
    const room = unique();
    const members = await onEveryNode(t, { transports: way.transports });
    for (const s of members) await ask(s, "join", room);
    const boxes = members.map((s) => inbox(s, "now"));
    for (const [i, s] of members.entries()) {
      // Between two polls a client cannot take it, so it may need another try.
      await eventually("everyone to have got it", async () => {
        await ask(s, "broadcast", { volatile: true, rooms: [room], event: "now", args: [i] });
        return boxes.every((b) => b.firsts().includes(i));
      });
    }
  });
}

test("volatile messages to a client that does not read are dropped, the rest arrives", async (t) => {
  for (const node of servers.keys()) {
    const room = unique();
    const sender = await connect(t);
    const lively = await connect(t, { node });
    const paused = await connect(t, { node });
    await ask(lively, "join", room);
    await ask(paused, "join", room);
    const boxes = [lively, paused].map((s) => inbox(s, "frame"));
    const markers = [lively, paused].map((s) => inbox(s, "marker"));
    const { ws } = paused.io.engine.transport;
    ws.pause();

    const frames = 300;
    const frame = "x".repeat(50_000); // 15 MB in all: more than the kernel buffers
    for (let i = 0; i < frames; i++) {
      await ask(sender, "broadcast", { volatile: true, rooms: [room], event: "frame", args: [i, frame] });
    }
    await ask(sender, "broadcast", { rooms: [room], event: "marker", args: [1] });
    await markers[0].count(1);
    assert.ok(boxes[0].messages.length > 0, "the lively one got some");
    assert.equal(await ask(lively, "echo-ack", 1), 1);

    ws.resume();
    await markers[1].count(1);
    const got = boxes[1].firsts();
    assert.ok(got.length < frames, `${got.length} of ${frames} arrived at the paused client`);
    assert.deepEqual(got, [...new Set(got)].sort((a, b) => a - b), "in order, none twice");
    assert.equal(await ask(paused, "echo-ack", 1), 1);
    sender.disconnect();
    lively.disconnect();
    paused.disconnect();
  }
});

for (const way of ways) {
  test(`${way.name}: a burst of volatile messages costs nobody the connection`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    const box = inbox(socket, "frame");
    const gone = inbox(socket, "disconnect");
    // 6 MB at once: more than may wait for one client.
    socket.emit("burst", { count: 20, bytes: 300_000, volatile: true });
    assert.equal(await ask(socket, "echo-ack", "there"), "there");
    const numbers = box.firsts();
    assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b), "in order, none twice");
    assert.deepEqual(gone.messages, []);
  });
}

const bounded = { skip: kind === "oracle" && "the oracle buffers without bound" };
test("a client that does not read is sent away when too much waits for it", bounded, async (t) => {
  for (const node of servers.keys()) {
    const [witness, paused] = [await connect(t, { node }), await connect(t, { node })];
    const { id } = paused;
    const { ws } = paused.io.engine.transport;
    const box = inbox(paused, "frame");
    const gone = next(paused, "disconnect");
    paused.emit("burst", { count: 100, bytes: 300_000 }); // 30 MB: the kernel buffers 10, the server 1
    ws.pause();
    assert.equal((await reasonOf(witness, id)).reason, "slow consumer");
    ws.resume();
    assert.match((await gone)[0], /^transport (close|error)$/);
    assert.ok(box.messages.length < 100);
    assert.equal(await ask(witness, "echo-ack", "alive"), "alive");
  }
});

test("the client's volatile events are sent when connected, else dropped", async (t) => {
  const socket = await connect(t);
  const echoes = inbox(socket, "echo");
  socket.volatile.emit("echo", 1);
  await echoes.count(1);
  socket.disconnect();
  socket.volatile.emit("echo", 2);
  socket.connect();
  assert.equal(await ask(socket, "echo-ack", "connected"), "connected");
  assert.deepEqual(echoes.firsts(), [1]);
});
