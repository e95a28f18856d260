// Connection state recovery: clients that lost their connection go on where
// they were. The tests start nodes of their own, on which it is on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needsNodes, startNodes } from "./nodes.js";
import { ask, client, connect, connected, eventually, inbox, kind, refusal, unique, ways } from "./support.js";

const RECOVERY = "60000";

/** Cuts the connection under a socket, and waits until the server knows. */
async function cut(socket, witness) {
  const { id } = socket;
  socket.io.engine.close();
  await eventually("the server to know", async () => {
    const sockets = await ask(witness, "fetch", {});
    return !sockets.some((s) => s.id === id);
  });
}

/** Connects again, and waits until it has. */
async function comeBack(socket) {
  socket.connect();
  await connected(socket);
}

/** Everything the socket gets as "news", without offsets, and a second client. */
async function newsroom(t, env = {}, options = {}) {
  const [node] = await startNodes(t, 1, { RECOVERY, ...env });
  const { url } = node;
  const witness = await connect(t, { url });
  const socket = await connect(t, { url, ...options });
  const room = unique();
  await ask(socket, "join", room);
  const news = inbox(socket, "news");
  const tell = (i, target = { rooms: [room] }) => ask(witness, "broadcast", { ...target, event: "news", args: [i] });
  return { node, url, witness, socket, room, news, tell };
}

for (const way of ways) {
  test(`${way.name}: what was missed comes, once and in order, again and again`, needsNodes, async (t) => {
    const { witness, socket, room, news, tell } = await newsroom(t, {}, { transports: way.transports });
    await ask(socket, "set-data", { color: "red" });
    const { id } = socket;
    assert.equal(socket.recovered, false);
    await tell(0);
    await news.count(1);
    let sent = 1;
    for (let round = 0; round < 3; round++) {
      await cut(socket, witness);
      for (let i = 0; i < 20; i++) await tell(sent++, i % 2 ? {} : undefined);
      await tell("not for it", { rooms: [unique()] });
      await tell("not for it", { except: [room] });
      await tell("volatile", { rooms: [room], volatile: true });
      await comeBack(socket);
      assert.equal(socket.recovered, true);
      assert.equal(socket.id, id);
      await tell(sent++);
      await news.count(sent);
    }
    assert.deepEqual(
      news.firsts(),
      Array.from({ length: sent }, (_, i) => i),
    );
    assert.deepEqual(await ask(socket, "rooms"), [room]);
    const [mine] = (await ask(witness, "fetch", {})).filter((s) => s.id === id);
    assert.deepEqual(mine.data, { color: "red" });
  });
}

test("binary that was missed comes whole", needsNodes, async (t) => {
  const { witness, socket, room, tell, news } = await newsroom(t);
  await tell(0);
  await news.count(1);
  await cut(socket, witness);
  const bytes = Buffer.from([0, 1, 254, 255]);
  await ask(witness, "broadcast", { rooms: [room], event: "news", args: [{ deep: [bytes] }, "text"] });
  await comeBack(socket);
  await news.count(2);
  const [value, text] = news.messages[1];
  assert.deepEqual(Buffer.from(value.deep[0]), bytes);
  assert.equal(text, "text");
});

test("who was away for too long gets a new session", needsNodes, async (t) => {
  const env = kind === "oracle" ? { RECOVERY: "50" } : { RECOVERY: "1000" };
  const { witness, socket, news, tell } = await newsroom(t, env);
  const { id } = socket;
  await tell(0);
  await news.count(1);
  await cut(socket, witness);
  await new Promise((resolve) => setTimeout(resolve, Number(env.RECOVERY) + 300));
  await tell("missed");
  await comeBack(socket);
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
  assert.deepEqual(await ask(socket, "rooms"), []);
  assert.deepEqual(news.firsts(), [0]);
});

test("who left on purpose gets a new session", needsNodes, async (t) => {
  const { socket, news, tell } = await newsroom(t);
  await tell(0);
  await news.count(1);
  for (const leave of [() => socket.disconnect(), () => socket.emit("disconnect-me", { close: false })]) {
    const { id } = socket;
    leave();
    await eventually("the socket to be disconnected", () => !socket.connected);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await comeBack(socket);
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
  }
});

test("the middleware is passed by", needsNodes, async (t) => {
  const { witness, socket, news, tell } = await newsroom(t);
  await tell(0);
  await news.count(1);
  await cut(socket, witness);
  socket.auth = { refuse: "banned" };
  await comeBack(socket);
  assert.equal(socket.recovered, true);
});

test("the middleware decides again, if it is to", needsNodes, async (t) => {
  const { witness, socket, news, tell } = await newsroom(t, { RECOVERY_MIDDLEWARES: "1" });
  await tell(0);
  await news.count(1);
  await cut(socket, witness);
  await comeBack(socket);
  assert.equal(socket.recovered, true);
  await tell(1);
  await news.count(2);
  await cut(socket, witness);
  socket.auth = { refuse: "banned" };
  const refused = refusal(socket);
  socket.connect();
  assert.equal((await refused).message, "banned");
});

const takesOver = { skip: needsNodes.skip || (kind === "oracle" && "the oracle keeps the old socket, and no session of it") };
test("a client that the server has not missed yet recovers", takesOver, async (t) => {
  const { url, witness, socket, news, tell } = await newsroom(t);
  await tell(0);
  await news.count(1);
  // A second client with what the first knows, as if that had another network.
  const again = client(t, { url, autoConnect: false });
  again._pid = socket._pid;
  again._lastOffset = socket._lastOffset;
  const { id } = socket;
  await comeBack(again);
  assert.equal(again.recovered, true);
  assert.equal(again.id, id);
  await eventually("the old one to be gone", () => !socket.connected);
  assert.equal((await ask(witness, "fetch", {})).filter((s) => s.id === id).length, 1);
});
