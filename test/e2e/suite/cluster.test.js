// What a server asks of all nodes: answers, sockets, membership, events.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, connect, eventually, inbox, kind, next, onEveryNode, reasonOf, servers, unique, uniqueNamespace, ways } from "./support.js";

const ids = (sockets) => sockets.map((s) => s.id).sort();

test("a broadcast with acks collects every client's answer", async (t) => {
  for (const way of ways) {
    const room = unique();
    const members = await onEveryNode(t, { transports: way.transports });
    for (const [i, s] of members.entries()) {
      s.on("question", (q, ack) => ack({ q, i, bytes: Buffer.from([i]) }));
      await ask(s, "join", room);
    }
    for (const s of members) {
      const result = await ask(s, "ask-all", { rooms: [room], event: "question", args: ["why"], timeout: 5000 });
      assert.equal(result.timedOut, false);
      result.responses.sort((a, b) => a.i - b.i);
      assert.deepEqual(
        result.responses,
        members.map((_, i) => ({ q: "why", i, bytes: Buffer.from([i]) })),
      );
    }
  }
});

test("a broadcast with acks to nobody has no answers", async (t) => {
  const socket = await connect(t);
  const result = await ask(socket, "ask-all", { rooms: [unique()], event: "question", timeout: 3000 });
  assert.deepEqual(result, { timedOut: false, responses: [] });
});

test("clients that stay silent are reported, the others' answers kept", async (t) => {
  const room = unique();
  const members = [...(await onEveryNode(t)), await connect(t)];
  for (const [i, s] of members.entries()) {
    if (i < servers.length) s.on("question", (ack) => ack(i));
    await ask(s, "join", room);
  }
  const result = await ask(members[0], "ask-all", { rooms: [room], event: "question", timeout: 400 });
  assert.equal(result.timedOut, true);
  assert.deepEqual(
    result.responses.sort(),
    servers.map((_, i) => i),
  );
});

test("a broadcast with acks honours except, and local", async (t) => {
  const room = unique();
  const members = await onEveryNode(t);
  const left = await connect(t);
  for (const [i, s] of [...members, left].entries()) {
    s.on("question", (ack) => ack(i));
    await ask(s, "join", room);
  }
  const q = { rooms: [room], event: "question", timeout: 5000 };
  const others = await ask(members[0], "ask-all", { ...q, except: [left.id] });
  assert.deepEqual(
    others.responses.sort(),
    members.map((_, i) => i),
  );
  assert.equal(others.timedOut, false);
  // The JavaScript server waits for all nodes in vain, having asked only itself.
  const here = await ask(members[0], "ask-all", { ...q, timeout: kind === "oracle" ? 200 : 5000, local: true });
  assert.deepEqual(here.responses.sort(), [0, members.length]);
  assert.equal(here.timedOut, kind === "oracle" && servers.length > 1);
});

test("sockets are listed across nodes", async (t) => {
  const nsp = uniqueNamespace();
  const room = unique();
  const members = await onEveryNode(t, { nsp, auth: { name: "é" } });
  const others = await onEveryNode(t, { nsp });
  for (const [i, s] of members.entries()) {
    await ask(s, "join", room);
    await ask(s, "set-data", { number: i, list: [1, { a: null }] });
  }
  for (const s of [...members, ...others]) {
    const listed = await ask(s, "fetch", { rooms: [room] });
    assert.deepEqual(ids(listed), ids(members));
    for (const [i, m] of members.entries()) {
      assert.deepEqual(
        listed.find((l) => l.id === m.id),
        { id: m.id, rooms: [room], data: { number: i, list: [1, { a: null }] }, auth: { name: "é" } },
      );
    }
  }
  const everyone = await ask(others[0], "fetch", {});
  assert.deepEqual(ids(everyone), ids([...members, ...others]));
  const here = await ask(others[0], "fetch", { local: true });
  assert.deepEqual(ids(here), ids([members[0], others[0]]));
  const except = await ask(others[0], "fetch", { except: [room] });
  assert.deepEqual(ids(except), ids(others));
  assert.deepEqual(await ask(others[0], "fetch", { rooms: [unique()] }), []);
  const one = await ask(others[0], "fetch", { rooms: [members.at(-1).id] });
  assert.deepEqual(ids(one), [members.at(-1).id]);
});

test("a disconnected socket is listed no more, on any node", async (t) => {
  const room = unique();
  const members = await onEveryNode(t);
  const leaver = await connect(t, { node: 1 });
  for (const s of [...members, leaver]) await ask(s, "join", room);
  const { id } = leaver;
  leaver.disconnect();
  await reasonOf(members[1 % servers.length], id);
  for (const s of members) {
    await eventually("the list without the leaver", async () => {
      const listed = await ask(s, "fetch", { rooms: [room] });
      return listed.length === members.length;
    });
  }
});

test("sockets join and leave rooms at another node's word", async (t) => {
  const [from, to] = [unique("from"), unique("to")];
  const members = await onEveryNode(t);
  const apart = await onEveryNode(t);
  for (const s of members) await ask(s, "join", from);
  for (const s of members) {
    const target = unique("target");
    await ask(s, "sockets-join", { rooms: [from], join: [to, target] });
    const box = members.map((m) => inbox(m, target));
    await eventually("all to be in", async () => {
      const listed = await ask(s, "fetch", { rooms: [target] });
      assert.ok(listed.every((l) => members.some((m) => m.id === l.id)));
      return listed.length === members.length;
    });
    await ask(s, "broadcast", { rooms: [target], event: target, args: [1] });
    await Promise.all(box.map((b) => b.count(1)));

    await ask(s, "sockets-leave", { rooms: [from], leave: [target], except: [members[0].id] });
    await eventually("all but one to be out", async () => {
      const listed = await ask(s, "fetch", { rooms: [target] });
      return listed.length === 1 && listed[0].id === members[0].id;
    });
  }
  for (const s of members) assert.ok((await ask(s, "rooms")).includes(to));
  for (const s of apart) assert.deepEqual(await ask(s, "rooms"), []);
});

test("a room joined at another node's word receives from every node", async (t) => {
  const room = unique();
  const senders = await onEveryNode(t);
  const member = await connect(t, { node: 2 });
  const box = inbox(member, "news");
  await ask(senders[0], "sockets-join", { rooms: [member.id], join: [room] });
  await eventually("it to be in", async () => (await ask(member, "rooms")).includes(room));
  for (const [i, s] of senders.entries()) {
    // The join is known at its node; the others hear of it in a moment.
    await eventually("the news", async () => {
      await ask(s, "broadcast", { rooms: [room], event: "news", args: [i] });
      return box.firsts().includes(i);
    });
  }
});

test("sockets are disconnected at another node's word", async (t) => {
  for (const close of [false, true]) {
    const room = unique();
    const bystanders = await onEveryNode(t);
    const members = await onEveryNode(t);
    for (const s of members) await ask(s, "join", room);
    const gone = Promise.all(members.map((s) => next(s, "disconnect")));
    const named = ids(members);
    await ask(bystanders.at(-1), "disconnect-sockets", { rooms: [room], close });
    for (const [reason] of await gone) assert.equal(reason, "io server disconnect");
    for (const id of named) {
      const told = await Promise.race(bystanders.map((b) => reasonOf(b, id)));
      assert.deepEqual(told, { reason: "server namespace disconnect", rooms: [room] });
    }
    for (const s of bystanders) assert.equal(await ask(s, "echo-ack", 1), 1);
  }
});

test("a server-side event reaches all other nodes, in order", async (t) => {
  const sockets = await onEveryNode(t);
  const tag = unique("tag");
  for (const [i, s] of sockets.entries()) {
    for (let n = 0; n < 20; n++) await ask(s, "server-emit", tag, i, n, { deep: [null, "é"] });
  }
  for (const [i, s] of sockets.entries()) {
    const log = await eventually("all notes", async () => {
      const all = (await ask(s, "server-log")).filter((args) => args[0] === tag);
      return all.length >= 20 * (servers.length - 1) && all;
    });
    assert.equal(log.length, 20 * (servers.length - 1));
    for (const from of servers.keys()) {
      assert.deepEqual(
        log.filter((args) => args[1] === from).map((args) => args.slice(2)),
        from === i ? [] : Array.from({ length: 20 }, (_, n) => [n, { deep: [null, "é"] }]),
      );
    }
  }
});

test("a server-side question is answered by every other node", { skip: servers.length < 2 }, async (t) => {
  const sockets = await onEveryNode(t);
  const names = [];
  for (const s of sockets) {
    const result = await ask(s, "server-ask", { why: ["x", 1] });
    assert.equal(result.timedOut, false);
    assert.equal(result.responses.length, servers.length - 1);
    for (const r of result.responses) assert.deepEqual(r.question, { why: ["x", 1] });
    names.push(result.responses.map((r) => r.node).sort());
  }
  assert.equal(new Set(names.flat()).size, servers.length);
  assert.equal(new Set(names.map(String)).size, servers.length, "nobody asks itself");
});
