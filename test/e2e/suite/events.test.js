// Events: every kind of JSON, unicode, sizes, order, on every transport.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, client, connect, connected, inbox, next, reasonOf, servers, ways } from "./support.js";

const values = {
  null: null,
  true: true,
  false: false,
  zero: 0,
  integer: 42,
  negative: -17,
  "largest safe integer": Number.MAX_SAFE_INTEGER,
  "smallest safe integer": Number.MIN_SAFE_INTEGER,
  fraction: 0.1,
  tiny: 5e-324,
  huge: 1.7976931348623157e308,
  "empty string": "",
  string: "hello",
  quotes: "\"quoted\" \\ back/slash",
  controls: "\u0000\u0001\b\t\n\u000b\f\r\u001e\u001f\u007f",
  separators: "\u2028 \u2029",
  markup: "<script>alert('&')</script>",
  latin: "žluťoučký kůň, Straße, ñandú",
  scripts: "Ωμέγα кириллица 日本語 עברית العربية हिन्दी ไทย",
  emoji: "😀 👩‍👩‍👧‍👦 🏳️‍🌈 🇨🇿",
  combining: "e\u0301 vs \u00e9",
  "byte order mark": "\ufeffx",
  "packet look-alikes": '42["echo"]\u001eb4AQID',
  "empty array": [],
  array: [1, "two", [3, [null]]],
  "empty object": {},
  object: { a: 1, b: { c: [true, { d: null }] } },
  "odd keys": { "": 1, "a b": 2, "ключ": 3, constructor: 4, "😀": 5, "1": 6 },
  placeholder: { _placeholder: false, num: 0 },
};

for (const way of ways) {
  test(`${way.name}: all kinds of JSON go there and back`, async (t) => {
    for (const node of servers.keys()) {
      const socket = await connect(t, { node, transports: way.transports });
      const echoes = inbox(socket, "echo");
      for (const value of Object.values(values)) socket.emit("echo", value);
      socket.emit("echo", ...Object.values(values));
      socket.emit("echo");
      await echoes.count(Object.keys(values).length + 2);
      Object.entries(values).forEach(([name, value], i) => {
        assert.deepStrictEqual(echoes.messages[i], [value], name);
      });
      assert.deepStrictEqual(echoes.messages.at(-2), Object.values(values), "all at once");
      assert.deepStrictEqual(echoes.messages.at(-1), [], "no arguments");
    }
  });

  test(`${way.name}: what JSON cannot say arrives as JavaScript says`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    const date = new Date(1_700_000_000_123);
    const echo = next(socket, "echo");
    socket.emit("echo", undefined, { a: undefined, b: 1 }, date, NaN, Infinity, -0, [undefined]);
    assert.deepEqual(await echo, [null, { b: 1 }, date.toISOString(), null, null, 0, [null]]);
  });

  test(`${way.name}: large payloads`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    for (const length of [125, 126, 65_535, 65_536, 300_000]) {
      const text = "abcdefghij€".repeat(length / 10).slice(0, length);
      assert.equal(await ask(socket, "echo-ack", text), text, `${length} characters`);
    }
    const list = Array.from({ length: 20_000 }, (_, i) => ({ i, s: `row ${i}` }));
    assert.deepEqual(await ask(socket, "echo-ack", list), list);
  });

  test(`${way.name}: deep nesting`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    let deep = "bottom";
    for (let i = 0; i < 200; i++) deep = i % 2 ? [deep] : { d: deep };
    assert.deepEqual(await ask(socket, "echo-ack", deep), deep);
  });

  test(`${way.name}: a thousand events arrive in order`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    const echoes = inbox(socket, "echo");
    for (let i = 0; i < 1000; i++) socket.emit("echo", i, "x".repeat(i % 300));
    await echoes.count(1000);
    assert.deepEqual(
      echoes.firsts(),
      Array.from({ length: 1000 }, (_, i) => i),
    );
  });
}

test("event names of any spelling", async (t) => {
  const socket = await connect(t);
  for (const name of ["message", "with space", "ünïcödé 😀", '"', "a,b", "error", "__proto__", "constructor", "x".repeat(500)]) {
    const got = inbox(socket, name);
    await ask(socket, "broadcast", { rooms: [socket.id], event: name, args: [name.length] });
    await got.count(1);
    assert.deepEqual(got.messages, [[name.length]]);
    socket.emit(name, 1);
  }
  assert.equal(await ask(socket, "echo-ack", "still here"), "still here");
});

test("the server's catch-all sees every event, known or not", async (t) => {
  const socket = await connect(t);
  socket.emit("echo", 1);
  socket.emit("nobody handles this", { a: 1 });
  socket.emit("error");
  assert.deepEqual(await ask(socket, "seen"), ["echo", "nobody handles this", "error", "seen"]);
});

test("the client's catch-all sees what the server sends", async (t) => {
  const socket = await connect(t);
  const seen = [];
  socket.onAny((event, ...args) => event !== "welcome" && seen.push([event, ...args]));
  socket.emit("echo", 1, "two");
  await next(socket, "echo");
  assert.deepEqual(seen, [["echo", 1, "two"]]);
});

test("a packet middleware refuses an event, and only that event", async (t) => {
  const socket = await connect(t);
  const refused = next(socket, "refused");
  socket.emit("forbidden", 1);
  assert.deepEqual(await refused, ["not allowed"]);
  assert.equal(await ask(socket, "echo-ack", "next"), "next");
});

for (const way of ways) {
  test(`${way.name}: a message over maxPayload costs the connection, and nobody else's`, async (t) => {
    const witness = await connect(t);
    const socket = await connect(t, { transports: way.transports });
    const { id } = socket;
    const gone = next(socket, "disconnect");
    socket.emit("echo", "x".repeat(1_100_000));
    const [reason] = await gone;
    assert.match(reason, way.final === "polling" ? /^transport error$/ : /^transport (close|error)$/);
    const seen = await reasonOf(witness, id);
    assert.match(seen.reason, /^transport (close|error)$/);
    assert.equal(await ask(witness, "echo-ack", 1), 1);
  });
}

test("a client that sends nothing but garbage is disconnected", async (t) => {
  const witness = await connect(t);
  const socket = client(t);
  await connected(socket);
  const { id } = socket;
  const gone = next(socket, "disconnect");
  socket.io.engine.write("9 is no packet type");
  const [reason] = await gone;
  assert.equal(reason, "transport close");
  assert.equal((await reasonOf(witness, id)).reason, "forced close");
});
