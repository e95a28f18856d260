// Acknowledgements, in both directions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, connect, inbox, servers, ways, within } from "./support.js";

/** All arguments of the server's answer. */
function answer(socket, event, ...args) {
  return within(`answer to ${event}`, (resolve) => {
    socket.emit(event, ...args, (...reply) => resolve(reply));
  });
}

for (const way of ways) {
  test(`${way.name}: the server acknowledges`, async (t) => {
    for (const node of servers.keys()) {
      const socket = await connect(t, { node, transports: way.transports });
      assert.deepEqual(await answer(socket, "echo-ack"), []);
      assert.deepEqual(await answer(socket, "echo-ack", null), [null]);
      assert.deepEqual(await answer(socket, "echo-ack", 1, "two", { three: [3] }), [1, "two", { three: [3] }]);
    }
  });

  test(`${way.name}: the client acknowledges`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    socket.on("question", (a, b, ack) => ack(a + b, { list: [a, b] }));
    socket.on("bare", (ack) => ack());
    socket.on("later", (ack) => setImmediate(ack, "late"));
    assert.deepEqual(await ask(socket, "call-me", { event: "question", args: [2, 3], timeout: 5000 }), {
      timedOut: false,
      reply: [5, { list: [2, 3] }],
    });
    assert.deepEqual(await ask(socket, "call-me", { event: "bare", timeout: 5000 }), { timedOut: false, reply: [] });
    assert.deepEqual(await ask(socket, "call-me", { event: "later", timeout: 5000 }), {
      timedOut: false,
      reply: ["late"],
    });
  });

  test(`${way.name}: a hundred questions at once, each with its own answer`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    socket.on("double", (n, ack) => (n % 2 ? setImmediate(ack, n * 2) : ack(n * 2)));
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    const there = numbers.map((n) => ask(socket, "echo-ack", n));
    const back = numbers.map((n) => ask(socket, "call-me", { event: "double", args: [n], timeout: 8000 }));
    assert.deepEqual(await Promise.all(there), numbers);
    assert.deepEqual(
      (await Promise.all(back)).map((b) => b.reply[0]),
      numbers.map((n) => n * 2),
    );
  });
}

test("the client's timeout: no answer is an error", async (t) => {
  const socket = await connect(t);
  await assert.rejects(socket.timeout(50).emitWithAck("never-ack"), /operation has timed out/);
  assert.equal(await ask(socket, "echo-ack", "after"), "after");
});

test("the server's timeout: a silent client is reported, a late answer ignored", async (t) => {
  const socket = await connect(t);
  let late;
  socket.on("silence", (ack) => (late = ack));
  const result = await ask(socket, "call-me", { event: "silence", timeout: 60 });
  assert.deepEqual(result, { timedOut: true, reply: [] });
  late("too late");
  late("and once more");
  assert.equal(await ask(socket, "echo-ack", "after"), "after");
});

test("a client without a handler leaves the server waiting until its timeout", async (t) => {
  const socket = await connect(t);
  assert.deepEqual(await ask(socket, "call-me", { event: "unknown", timeout: 60 }), { timedOut: true, reply: [] });
});

test("only the first answer counts", async (t) => {
  const socket = await connect(t);
  const answers = [];
  socket.emit("ack-twice", (a) => answers.push(a));
  assert.equal(await ask(socket, "echo-ack", "barrier"), "barrier");
  assert.deepEqual(answers, ["first"]);
});

test("an answer nobody asked for is ignored", async (t) => {
  const socket = await connect(t);
  socket.io.engine.write('399999["unasked"]');
  assert.equal(await ask(socket, "echo-ack", "fine"), "fine");
});

test("retries of the client arrive once when acknowledged", async (t) => {
  const socket = await connect(t, { retries: 3, ackTimeout: 5000 });
  const echoes = inbox(socket, "echo");
  assert.equal(await socket.emitWithAck("echo-ack", "once"), "once");
  await socket.emitWithAck("echo-ack", "twice");
  assert.deepEqual(echoes.messages, []);
  assert.deepEqual(await socket.emitWithAck("seen"), ["echo-ack", "echo-ack", "seen"]);
});
