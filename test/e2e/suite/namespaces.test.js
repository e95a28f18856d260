// Namespaces: authentication, dynamic ones, several on one connection.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Manager } from "socket.io-client";
import { ask, client, connect, connected, inbox, next, refusal, reasonOf, servers, unique, uniqueNamespace, ways } from "./support.js";

for (const way of ways) {
  test(`${way.name}: /admin lets in who has the token`, async (t) => {
    for (const node of servers.keys()) {
      const socket = await connect(t, { node, nsp: "/admin", transports: way.transports, auth: { token: "secret" } });
      assert.equal(await ask(socket, "echo-ack", "in"), "in");
      assert.deepEqual((await ask(socket, "handshake")).auth, { token: "secret" });
    }
  });

  test(`${way.name}: /admin refuses others, with message and data`, async (t) => {
    for (const node of servers.keys()) {
      for (const auth of [undefined, {}, { token: "guess" }]) {
        const socket = client(t, { node, nsp: "/admin", transports: way.transports, auth });
        const err = await refusal(socket);
        assert.equal(err.message, "not authorized");
        assert.deepEqual(err.data, { code: 401, hints: ["send a token"] });
        assert.equal(socket.connected, false);
        assert.equal(socket.active, false, "a refused client does not try again by itself");
      }
    }
  });
}

test("a refused client may try again on the same connection", async (t) => {
  const root = await connect(t); // keeps the connection open meanwhile
  const socket = root.io.socket("/admin", { auth: { token: "wrong" } });
  await refusal(socket);
  const { id } = root.io.engine;
  socket.auth = { token: "secret" };
  await connected(socket.connect());
  assert.equal(socket.io.engine.id, id);
  assert.equal(await ask(socket, "echo-ack", 1), 1);
});

test("an unknown namespace", async (t) => {
  for (const nsp of ["/nowhere", "/dyn-", "/dyn-12x", "/prefix/dyn-1", "/admin/more"]) {
    const err = await refusal(client(t, { nsp }));
    assert.equal(err.message, "Invalid namespace", nsp);
    assert.equal(err.data, undefined);
  }
});

test("middleware errors refuse the root namespace, the earlier first", async (t) => {
  const one = await refusal(client(t, { auth: { refuse: "go away", refuseLater: "unseen" } }));
  assert.equal(one.message, "go away");
  assert.deepEqual(one.data, { by: "first" });
  const two = await refusal(client(t, { auth: { refuseLater: "not you" } }));
  assert.equal(two.message, "not you");
  assert.equal(two.data, undefined);
});

test("dynamic namespaces come into being, each apart from the others", async (t) => {
  const [x, y] = [uniqueNamespace(), uniqueNamespace()];
  const sockets = await Promise.all(
    servers.flatMap((_, node) => [x, y].map((nsp) => connect(t, { node, nsp }))),
  );
  const boxes = sockets.map((s) => inbox(s, "news"));
  const ends = sockets.map((s) => inbox(s, "end"));
  const inX = sockets.filter((s) => s.nsp === x);
  const inY = sockets.filter((s) => s.nsp === y);
  await ask(inX[0], "broadcast", { event: "news", args: ["for x"] });
  await ask(inX[0], "broadcast", { event: "end" });
  await ask(inY[0], "broadcast", { event: "end" });
  await Promise.all(ends.map((e) => e.count(1)));
  sockets.forEach((s, i) => {
    assert.deepEqual(boxes[i].messages, s.nsp === x ? [["for x"]] : [], `${s.nsp} ${i}`);
  });
});

test("a dynamic namespace has its own middleware", async (t) => {
  const nsp = uniqueNamespace();
  const err = await refusal(client(t, { nsp, auth: { refuse: true } }));
  assert.equal(err.message, "not here");
  assert.deepEqual(err.data, { nsp });
});

for (const way of ways) {
  test(`${way.name}: several namespaces share one connection`, async (t) => {
    const manager = new Manager(servers[0], { transports: way.transports, reconnection: false });
    t.after(() => manager._close());
    const dyn = uniqueNamespace();
    const root = manager.socket("/");
    const admin = manager.socket("/admin", { auth: { token: "secret" } });
    const other = manager.socket(dyn);
    const refused = manager.socket("/nowhere");
    await Promise.all([connected(root), connected(admin), connected(other), refusal(refused)]);
    assert.equal(new Set([root.id, admin.id, other.id]).size, 3, "each has an id of its own");

    const room = unique();
    for (const s of [root, admin, other]) {
      assert.deepEqual(await ask(s, "join", room), [room]);
    }
    const boxes = [root, admin, other].map((s) => inbox(s, "news"));
    await ask(admin, "broadcast", { rooms: [room], event: "news", args: [Buffer.from("bytes")] });
    await boxes[1].count(1);
    const answers = await Promise.all([root, admin, other].map((s, i) => ask(s, "echo-ack", i)));
    assert.deepEqual(answers, [0, 1, 2]);
    assert.deepEqual(
      boxes.map((b) => b.messages),
      [[], [[Buffer.from("bytes")]], []],
      "a room belongs to its namespace",
    );

    const { id } = admin;
    admin.disconnect();
    assert.equal((await reasonOf(root, id)).reason, "client namespace disconnect");
    assert.equal(await ask(other, "echo-ack", "still"), "still");
    assert.equal(manager.engine.readyState, "open");

    const gone = next(other, "disconnect");
    other.emit("disconnect-me", { close: false });
    assert.deepEqual((await gone)[0], "io server disconnect");
    assert.equal(await ask(root, "echo-ack", "still"), "still");

    admin.connect();
    await connected(admin);
    assert.notEqual(admin.id, id, "a new socket");
    assert.deepEqual(await ask(admin, "rooms"), []);
  });
}

test("disconnecting the connection disconnects every namespace on it", async (t) => {
  const witness = await connect(t);
  const manager = new Manager(servers[0], { transports: ["websocket"], reconnection: false });
  t.after(() => manager._close());
  const root = manager.socket("/");
  const admin = manager.socket("/admin", { auth: { token: "secret" } });
  await Promise.all([connected(root), connected(admin)]);
  const { id } = root;
  const reasons = Promise.all([next(root, "disconnect"), next(admin, "disconnect")]);
  root.emit("disconnect-me", { close: true });
  assert.deepEqual(
    (await reasons).map((r) => r[0]),
    ["io server disconnect", "io server disconnect"],
  );
  assert.equal((await reasonOf(witness, id)).reason, "server namespace disconnect");
});
