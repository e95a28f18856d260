// Binary arguments: nested, several at once, with acks, both ways.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { ask, connect, inbox, next, reasonOf, servers, ways } from "./support.js";

const bytes = (...list) => Buffer.from(list);
const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

for (const way of ways) {
  test(`${way.name}: the server receives bytes where the client put them`, async (t) => {
    for (const node of servers.keys()) {
      const socket = await connect(t, { node, transports: way.transports });
      assert.equal(await ask(socket, "inspect", bytes(1, 2, 3)), "hex:010203");
      assert.equal(await ask(socket, "inspect", every), "hex:" + every.toString("hex"));
      assert.equal(await ask(socket, "inspect", Buffer.alloc(0)), "hex:");
      assert.equal(await ask(socket, "inspect", new Uint8Array([4, 5])), "hex:0405");
      assert.equal(await ask(socket, "inspect", new Uint8Array([6, 7]).buffer), "hex:0607");
      assert.deepEqual(
        await ask(socket, "inspect", {
          first: bytes(1),
          list: [bytes(2), "text", [bytes(3), null]],
          deep: { er: { still: bytes(4, 4) }, n: 1 },
        }),
        {
          first: "hex:01",
          list: ["hex:02", "text", ["hex:03", null]],
          deep: { er: { still: "hex:0404" }, n: 1 },
        },
      );
    }
  });

  test(`${way.name}: events with bytes go there and back`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    const echoes = inbox(socket, "echo");
    const sent = [
      [bytes(9)],
      [bytes(1), bytes(2), bytes(3)],
      [{ a: [bytes(1, 2), { b: every }] }, "between", [[[bytes(7)]]], 5, null],
      ["no bytes at all"],
      [Buffer.alloc(0), { empty: Buffer.alloc(0) }],
    ];
    for (const args of sent) socket.emit("echo", ...args);
    await echoes.count(sent.length);
    assert.deepEqual(echoes.messages, sent);
  });

  test(`${way.name}: acks with bytes, both ways`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    const args = [{ a: bytes(1), b: [bytes(2), bytes(3)] }];
    assert.deepEqual(await ask(socket, "echo-ack", ...args), args[0]);
    socket.on("mirror", (a, b, ack) => ack({ b }, [a, a]));
    const result = await ask(socket, "call-me", {
      event: "mirror",
      args: [bytes(1, 1), { deep: bytes(2, 2) }],
      timeout: 5000,
    });
    assert.deepEqual(result, {
      timedOut: false,
      reply: [{ b: { deep: bytes(2, 2) } }, [bytes(1, 1), bytes(1, 1)]],
    });
  });

  test(`${way.name}: text and bytes keep their order`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    const echoes = inbox(socket, "echo");
    for (let i = 0; i < 200; i++) {
      if (i % 3 === 0) socket.emit("echo", i, bytes(i & 255), [bytes(1)]);
      else socket.emit("echo", i);
    }
    await echoes.count(200);
    echoes.messages.forEach((m, i) => {
      assert.deepEqual(m, i % 3 === 0 ? [i, bytes(i & 255), [bytes(1)]] : [i]);
    });
  });

  test(`${way.name}: large blobs`, async (t) => {
    const socket = await connect(t, { transports: way.transports });
    const blob = randomBytes(700_000);
    const back = await ask(socket, "echo-ack", blob);
    assert.equal(digest(back), digest(blob));
  });
}

test("ten attachments are allowed, the eleventh costs the connection", async (t) => {
  const witness = await connect(t);
  const socket = await connect(t);
  const { id } = socket;
  const ten = Array.from({ length: 10 }, (_, i) => bytes(i));
  assert.deepEqual(await ask(socket, "echo-ack", ten), ten);
  const gone = next(socket, "disconnect");
  socket.emit("echo", [...ten, bytes(10)]);
  assert.deepEqual((await gone)[0], "transport close");
  assert.equal((await reasonOf(witness, id)).reason, "forced close");
});

test("the server may send more attachments than it accepts", async (t) => {
  const [a, b] = [await connect(t), await connect(t)];
  const got = next(b, "many");
  const list = Array.from({ length: 10 }, (_, i) => bytes(i));
  await ask(a, "broadcast", { rooms: [b.id], event: "many", args: [list] });
  assert.deepEqual(await got, [list]);
});

function digest(data) {
  return createHash("sha256").update(data).digest("hex");
}
