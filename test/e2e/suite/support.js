// What all files of the suite share: connecting to the nodes under test,
// waiting for conditions with a deadline, and starting nodes of one's own.
import assert from "node:assert/strict";
import { io } from "socket.io-client";

/** The servers under test, as base URLs. */
export const servers = (process.env.SERVERS ?? "").split(",").filter(Boolean);
assert.ok(servers.length > 0, "SERVERS=url[,url...] names the nodes under test");

/** "socketeer" or "oracle": the few deliberate differences look at it. */
export const kind = process.env.KIND ?? "socketeer";

/** How long a condition may take before its test fails. */
export const patience = 8_000;

/** The ways to connect; `final` is the transport a connection ends up with. */
export const ways = [
  { name: "polling", transports: ["polling"], final: "polling" },
  { name: "websocket", transports: ["websocket"], final: "websocket" },
  { name: "upgrade", transports: ["polling", "websocket"], final: "websocket" },
];

const run = `${process.pid.toString(36)}${Date.now().toString(36)}`;
let serial = 0;

/** A name that no other test uses. */
export function unique(prefix = "room") {
  return `${prefix}-${run}-${++serial}`;
}

/** A dynamic namespace that no other test uses. */
export function uniqueNamespace() {
  return `/dyn-${process.pid}${String(++serial).padStart(4, "0")}`;
}

/**
 * A promise with a deadline. `start(resolve, reject)` may return a function
 * that cleans up; `what` says what was waited for, when it did not come.
 */
export function within(what, start, ms = patience) {
  let cleanup;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const detail = typeof what === "function" ? what() : what;
      reject(new Error(`not within ${ms} ms: ${detail}`));
    }, ms);
    const settle = (f) => (value) => {
      clearTimeout(timer);
      f(value);
    };
    cleanup = start(settle(resolve), settle(reject));
  }).finally(() => cleanup?.());
}

/** The arguments of the emitter's next `event`. */
export function next(emitter, event, ms = patience) {
  return within(
    `event ${event}`,
    (resolve) => {
      const listener = (...args) => resolve(args);
      emitter.on(event, listener);
      return () => emitter.off(event, listener);
    },
    ms,
  );
}

/** Everything a socket receives as `event` from now on. */
export function inbox(socket, event) {
  const messages = [];
  const waiters = new Set();
  socket.on(event, (...args) => {
    messages.push(args);
    for (const check of waiters) check();
  });
  return {
    messages,
    /** First arguments of all messages so far. */
    firsts: () => messages.map((m) => m[0]),
    /** Waits until `done(messages)` is true. */
    until(done, what = "a condition", ms = patience) {
      return within(
        () => `${what}, after ${messages.length} of ${event}`,
        (resolve) => {
          const check = () => done(messages) && resolve(messages);
          waiters.add(check);
          check();
          return () => waiters.delete(check);
        },
        ms,
      );
    },
    /** Waits for n messages. */
    count(n, ms = patience) {
      return this.until((m) => m.length >= n, `${n} messages`, ms);
    },
  };
}

/** Calls `probe` until it returns something true, for as long as `ms`. */
export async function eventually(what, probe, ms = patience) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A client socket, connecting; disconnected when the test ends. */
export function client(t, { node = 0, url, nsp = "/", ...options } = {}) {
  const socket = io((url ?? servers[node % servers.length]) + nsp, {
    forceNew: true,
    reconnection: false,
    transports: ["websocket"],
    ...options,
  });
  t.after(() => socket.disconnect());
  return socket;
}

/** Waits until a socket is connected, or throws its connect_error. */
export async function connected(socket, ms = patience) {
  if (socket.connected) return socket;
  await within(
    "connect",
    (resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
      return () => {
        socket.off("connect", resolve);
        socket.off("connect_error", reject);
      };
    },
    ms,
  );
  return socket;
}

/** A connected client socket, its transport upgraded if it was to upgrade. */
export async function connect(t, options = {}) {
  const socket = client(t, options);
  await connected(socket);
  const { transports = ["websocket"], upgrade = true } = options;
  const wanted = upgrade ? transports.at(-1) : transports[0];
  if (socket.io.engine.transport.name !== wanted) await next(socket.io.engine, "upgrade");
  return socket;
}

/** The error that a connection is refused with. */
export async function refusal(socket) {
  const [err] = await within("connect_error", (resolve, reject) => {
    socket.once("connect_error", (...args) => resolve(args));
    socket.once("connect", () => reject(new Error("connected, but should be refused")));
  });
  return err;
}

/** Sends an event and returns the server's (first) answer. */
export function ask(socket, event, ...args) {
  return socket.timeout(patience).emitWithAck(event, ...args);
}

/** Why a socket of the given id went away, as its node says. */
export function reasonOf(witness, id) {
  return ask(witness, "reason-of", id);
}

/** All pairs of node numbers. */
export function pairs() {
  return servers.flatMap((_, from) => servers.map((_, to) => [from, to]));
}

/** One client for each node, in the same (unique) namespace or in "/". */
export function onEveryNode(t, options = {}) {
  return Promise.all(servers.map((_, node) => connect(t, { node, ...options })));
}
