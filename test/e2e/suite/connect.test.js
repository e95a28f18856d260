// Connecting: each transport, the upgrade, the handshake as the server sees it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, client, connect, connected, inbox, kind, next, refusal, servers, ways, within } from "./support.js";

for (const node of servers.keys()) {
  for (const way of ways) {
    test(`node ${node}: connect by ${way.name}`, async (t) => {
      const socket = client(t, { node, transports: way.transports });
      const engine = new Promise((resolve) => socket.io.once("open", () => resolve(socket.io.engine)));
      const welcome = next(socket, "welcome");
      const first = (await engine).transport.name;
      assert.equal(first, way.transports[0], "the transport it opens with");
      await connected(socket);
      const [{ id }] = await welcome;
      assert.equal(id, socket.id);
      assert.match(id, /^[A-Za-z0-9_-]{20}$/);
      assert.match(socket.io.engine.id, /^[A-Za-z0-9_-]{20}$/);
      assert.notEqual(socket.io.engine.id, socket.id, "the Engine.IO sid is secret");
      if (first !== way.final && socket.io.engine.transport.name === first) {
        await next(socket.io.engine, "upgrade");
      }
      assert.equal(socket.io.engine.transport.name, way.final);
      assert.equal(await ask(socket, "echo-ack", way.name), way.name);
      assert.equal(socket.io.engine.transport.name, way.final);
    });
  }
}

test("the handshake as the server sees it", async (t) => {
  const before = Date.now() - 2000;
  for (const way of ways) {
    const auth = { token: "abc", nested: { list: [1, null, "é"] } };
    const socket = await connect(t, {
      transports: way.transports,
      auth,
      query: { flavour: "vanilla & more", EMPTY: "" },
      extraHeaders: { "X-Suite": "e2e" },
    });
    const h = await ask(socket, "handshake");
    assert.deepEqual(h.auth, auth);
    assert.equal(h.query.flavour, "vanilla & more");
    assert.equal(h.query.EMPTY, "");
    assert.equal(h.query.EIO, "4");
    assert.equal(h.query.transport, way.transports[0]);
    assert.equal(h.headers["x-suite"], "e2e");
    assert.match(h.address, /127\.0\.0\.1/);
    assert.match(h.url, /^\/socket\.io\/\?/);
    assert.equal(h.secure, false);
    assert.equal(h.xdomain, false);
    assert.ok(h.time >= before && h.time <= Date.now() + 2000, `time ${h.time}`);
  }
});

test("no auth is an empty object", async (t) => {
  const socket = await connect(t);
  assert.deepEqual((await ask(socket, "handshake")).auth, {});
});

test("auth may be a function", async (t) => {
  const socket = await connect(t, { auth: (cb) => cb({ late: true }) });
  assert.deepEqual((await ask(socket, "handshake")).auth, { late: true });
});

test("events sent before the connection stands arrive once, in order", async (t) => {
  const socket = client(t, { transports: ["polling", "websocket"] });
  const echoes = inbox(socket, "echo");
  for (let i = 0; i < 20; i++) socket.emit("echo", i);
  await echoes.count(20);
  assert.deepEqual(
    echoes.firsts(),
    Array.from({ length: 20 }, (_, i) => i),
  );
});

test("sixty clients connect at once, each with its own id", async (t) => {
  const sockets = await Promise.all(
    Array.from({ length: 60 }, (_, i) =>
      connect(t, { node: i, transports: ways[i % ways.length].transports }),
    ),
  );
  assert.equal(new Set(sockets.map((s) => s.id)).size, 60);
  assert.equal(new Set(sockets.map((s) => s.io.engine.id)).size, 60);
  const echoed = await Promise.all(sockets.map((s, i) => ask(s, "echo-ack", i)));
  assert.deepEqual(
    echoed,
    sockets.map((_, i) => i),
  );
});

test("a foreign path is not served", async (t) => {
  const socket = client(t, { path: "/elsewhere/", transports: ["polling"] });
  const err = await refusal(socket);
  assert.equal(err.message, "xhr poll error");
  assert.equal(err.context.status, 404);
});

test("the client bundle is served, and cached by its ETag", async () => {
  for (const base of servers) {
    const url = `${base}/socket.io/socket.io.js`;
    const res = await fetch(url);
    assert.equal(res.status, 200);
    assert.match(res.headers.get("content-type"), /^(application|text)\/javascript/);
    assert.match(await res.text(), /Socket\.IO v4\./);
    const etag = res.headers.get("etag");
    assert.ok(etag, "an ETag");
    const again = await fetch(url, { headers: { "If-None-Match": etag } });
    assert.equal(again.status, 304);
    for (const name of ["socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js", "socket.io.js.map"]) {
      const file = await fetch(`${base}/socket.io/${name}`);
      assert.equal(file.status, 200, name);
      await file.arrayBuffer();
    }
    const secret = await fetch(`${base}/socket.io/package.json`);
    assert.equal(secret.status, 400, "nothing but the bundles");
    await secret.arrayBuffer();
  }
});

test("the refusals of the Engine.IO layer carry their codes", async () => {
  const cases = [
    ["transport=tube&EIO=4", 0, "Transport unknown"],
    ["transport=polling&EIO=4&sid=AAAAAAAAAAAAAAAAAAAA", 1, "Session ID unknown"],
    ["transport=websocket&EIO=4", 3, "Bad request"],
    ["transport=polling&EIO=3", 5, "Unsupported protocol version"],
  ];
  for (const [query, code, message] of cases) {
    const res = await fetch(`${servers[0]}/socket.io/?${query}`);
    assert.equal(res.status, 400, query);
    assert.match(res.headers.get("content-type"), /^application\/json/);
    assert.deepEqual(await res.json(), { code, message }, query);
  }
  const post = await fetch(`${servers[0]}/socket.io/?transport=polling&EIO=4`, { method: "POST", body: "40" });
  assert.equal(post.status, 400);
  assert.deepEqual(await post.json(), { code: 2, message: "Bad handshake method" });
});
