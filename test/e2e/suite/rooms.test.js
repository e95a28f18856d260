// Rooms and broadcasts, from every node to every node.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, connect, inbox, onEveryNode, pairs, servers, unique, uniqueNamespace, ways } from "./support.js";

/**
 * Sends an end marker to all `sockets` from the one that broadcast before and
 * waits for it at each: what was sent before the marker has arrived by then,
 * or never will.
 */
async function settled(sender, sockets) {
  const marker = unique("settled");
  const boxes = sockets.map((s) => inbox(s, marker));
  await ask(sender, "broadcast", { rooms: sockets.map((s) => s.id), event: marker });
  await Promise.all(boxes.map((b) => b.count(1)));
}

test("joining and leaving", async (t) => {
  const socket = await connect(t);
  assert.deepEqual(await ask(socket, "rooms"), []);
  assert.deepEqual(await ask(socket, "join", "b"), ["b"]);
  assert.deepEqual(await ask(socket, "join", ["a", "c", "b"]), ["a", "b", "c"]);
  assert.deepEqual(await ask(socket, "leave", "b"), ["a", "c"]);
  assert.deepEqual(await ask(socket, "leave", "never joined"), ["a", "c"]);
});

test("a broadcast reaches a room on every node from every node", async (t) => {
  for (const way of ways) {
    const room = unique();
    const members = await onEveryNode(t, { transports: way.transports });
    const strangers = await onEveryNode(t);
    for (const s of members) await ask(s, "join", room);
    const boxes = members.map((s) => inbox(s, "news"));
    const wrong = strangers.map((s) => inbox(s, "news"));
    for (const [from, s] of strangers.entries()) {
      await ask(s, "broadcast", { rooms: [room], event: "news", args: [from, { list: [1, null, "é"] }] });
    }
    for (const box of boxes) {
      await box.count(servers.length);
      assert.deepEqual(
        box.firsts().sort(),
        strangers.map((_, i) => i),
      );
      assert.deepEqual(box.messages[0][1], { list: [1, null, "é"] });
    }
    for (const s of strangers) await settled(s, strangers);
    assert.deepEqual(
      wrong.map((b) => b.messages.length),
      strangers.map(() => 0),
    );
  }
});

test("a socket that has joined receives the very next broadcast of any node", async (t) => {
  for (const [from, to] of pairs()) {
    const [sender, member] = [await connect(t, { node: from }), await connect(t, { node: to })];
    const box = inbox(member, "news");
    for (let i = 0; i < 10; i++) {
      const room = unique();
      await ask(member, "join", room);
      await ask(sender, "broadcast", { rooms: [room], event: "news", args: [i] });
    }
    await box.count(10);
    assert.deepEqual(box.firsts(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
});

test("a socket that has left receives nothing more", async (t) => {
  for (const [from, to] of pairs()) {
    const room = unique();
    const [sender, member] = [await connect(t, { node: from }), await connect(t, { node: to })];
    const box = inbox(member, "news");
    await ask(member, "join", room);
    await ask(sender, "broadcast", { rooms: [room], event: "news", args: ["in"] });
    await box.count(1);
    await ask(member, "leave", room);
    await ask(sender, "broadcast", { rooms: [room], event: "news", args: ["out"] });
    await settled(sender, [member]);
    assert.deepEqual(box.firsts(), ["in"]);
  }
});

test("a room's membership does not depend on the other sockets of its node", async (t) => {
  const room = unique();
  const sender = await connect(t, { node: 1 });
  const [a, b] = [await connect(t), await connect(t)];
  const [boxA, boxB] = [inbox(a, "news"), inbox(b, "news")];
  await ask(a, "join", room);
  await ask(b, "join", room);
  await ask(a, "leave", room);
  await ask(sender, "broadcast", { rooms: [room], event: "news", args: [1] });
  await boxB.count(1);
  await ask(a, "join", room);
  await ask(sender, "broadcast", { rooms: [room], event: "news", args: [2] });
  await Promise.all([boxA.count(1), boxB.count(2)]);
  assert.deepEqual([boxA.firsts(), boxB.firsts()], [[2], [1, 2]]);
});

test("bytes in broadcasts, on every transport", async (t) => {
  const room = unique();
  const members = await Promise.all(
    servers.flatMap((_, node) => ways.map((way) => connect(t, { node, transports: way.transports }))),
  );
  for (const s of members) await ask(s, "join", room);
  const boxes = members.map((s) => inbox(s, "news"));
  const args = [Buffer.from([1, 2, 3]), { deep: [Buffer.from("x"), "text"] }, "end"];
  for (const s of members) await ask(s, "broadcast", { rooms: [room], event: "news", args });
  for (const box of boxes) {
    await box.count(members.length);
    for (const m of box.messages) assert.deepEqual(m, args);
  }
});

test("a socket in two of the rooms gets the message once", async (t) => {
  const [one, two] = [unique(), unique()];
  const both = await onEveryNode(t);
  for (const s of both) await ask(s, "join", [one, two]);
  const boxes = both.map((s) => inbox(s, "news"));
  for (const s of both) {
    await ask(s, "broadcast", { rooms: [one, two, s.id], event: "news", args: [1] });
    await settled(s, both);
  }
  for (const box of boxes) assert.equal(box.messages.length, both.length);
});

test("except leaves out rooms and single sockets", async (t) => {
  const [all, quiet] = [unique(), unique()];
  const loud = await onEveryNode(t);
  const silent = await onEveryNode(t);
  const single = await onEveryNode(t);
  const sockets = [...loud, ...silent, ...single];
  for (const s of sockets) await ask(s, "join", all);
  for (const s of silent) await ask(s, "join", quiet);
  const boxes = new Map(sockets.map((s) => [s, inbox(s, "news")]));
  for (const s of loud) {
    await ask(s, "broadcast", {
      rooms: [all],
      except: [quiet, ...single.map((x) => x.id)],
      event: "news",
      args: [1],
    });
    await settled(s, sockets);
  }
  for (const [s, box] of boxes) {
    assert.equal(box.messages.length, loud.includes(s) ? servers.length : 0);
  }
});

test("a socket's own broadcast leaves out the socket itself", async (t) => {
  const room = unique();
  const members = await onEveryNode(t);
  for (const s of members) await ask(s, "join", room);
  const boxes = members.map((s) => inbox(s, "news"));
  for (const [i, s] of members.entries()) {
    await ask(s, "broadcast", { from: "socket", rooms: [room, s.id], event: "news", args: [i] });
    await settled(s, members);
  }
  for (const [i, box] of boxes.entries()) {
    assert.deepEqual(
      box.firsts().sort(),
      members.map((_, n) => n).filter((n) => n !== i),
    );
  }
});

test("without rooms everyone in the namespace is meant, and nobody outside", async (t) => {
  const nsp = uniqueNamespace();
  const inside = await onEveryNode(t, { nsp });
  const outside = await onEveryNode(t);
  const boxes = inside.map((s) => inbox(s, "news"));
  const wrong = outside.map((s) => inbox(s, "news"));
  for (const [i, s] of inside.entries()) await ask(s, "broadcast", { event: "news", args: [i] });
  await ask(inside[0], "broadcast", { from: "socket", event: "news", args: ["others"] });
  for (const s of inside) await settled(s, inside);
  for (const s of outside) await settled(s, outside);
  for (const [i, box] of boxes.entries()) {
    assert.equal(box.messages.length, inside.length + (i === 0 ? 0 : 1));
  }
  assert.deepEqual(wrong.flatMap((b) => b.messages), []);
});

test("local reaches this node's sockets only", async (t) => {
  const room = unique();
  const members = [...(await onEveryNode(t)), ...(await onEveryNode(t))];
  for (const s of members) await ask(s, "join", room);
  const boxes = members.map((s) => inbox(s, "news"));
  await ask(members[0], "broadcast", { local: true, rooms: [room], event: "news", args: [1] });
  await settled(members[0], members);
  assert.deepEqual(
    boxes.map((b) => b.messages.length),
    members.map((_, i) => (i % servers.length === 0 ? 1 : 0)),
  );
});

test("a room that nobody is in", async (t) => {
  const socket = await connect(t);
  await ask(socket, "broadcast", { rooms: [unique()], event: "news" });
  assert.equal(await ask(socket, "echo-ack", 1), 1);
});

test("room names of any spelling", async (t) => {
  const [a, b] = [await connect(t), await connect(t, { node: 1 })];
  const box = inbox(b, "news");
  const names = ["with space", "dot.ted.*", "star*", "question?", ">", "[set]", "ünïcödé 😀", "#hash#", "a/b", "\\", "x".repeat(200)];
  for (const name of names) {
    const room = unique(name);
    await ask(b, "join", room);
    await ask(a, "broadcast", { rooms: [room], event: "news", args: [name] });
  }
  await box.count(names.length);
  assert.deepEqual(box.firsts(), names);
  // No name is taken for a pattern.
  await ask(b, "join", "plain");
  for (const room of ["*", ">", "p*", "plai?", "[a-z]*"]) {
    await ask(a, "broadcast", { rooms: [room], event: "news", args: ["wrong"] });
  }
  await settled(a, [b]);
  assert.equal(box.messages.length, names.length);
});

test("a direct message to a socket's id reaches it from every node, with an answer", async (t) => {
  for (const [from, to] of pairs()) {
    const [sender, receiver] = [await connect(t, { node: from }), await connect(t, { node: to })];
    receiver.on("question", (n, ack) => ack({ n, from: receiver.id }));
    const result = await ask(sender, "ask-all", { rooms: [receiver.id], event: "question", args: [from], timeout: 5000 });
    assert.deepEqual(result, { timedOut: false, responses: [{ n: from, from: receiver.id }] });
  }
});
