// A connection that outlives its node: when the node it is on goes away, it
// tries the others until one takes it, and enters the room again by itself.

const refreshNodes = 15_000; // ms between two looks at the list of nodes
const patience = 5_000;      // ms to wait for an answer

// connect returns the connection of this page. It calls handlers:
//   state(state, url)      "connected", "reconnecting" (url is where it is tried)
//   entered(answer)        in a room, at first and after each reconnection
//   refused(error, first)  the server does not accept name or room
//   message, members, rooms, typing (data)   as they come from the server
//   nodes(list)            names and addresses of the cluster's nodes, if told
export function connect(io, path, handlers) {
  let urls = [location.origin];
  let wish = null;          // { name, room } to be in
  let inside = false;       // the server has confirmed wish
  const outbox = new Map(); // id -> { text, done, busy }: said, and not confirmed

  const manager = new io.Manager(location.origin, {
    path,
    reconnectionDelay: 150,
    reconnectionDelayMax: 2_000,
    timeout: patience,
  });
  const socket = manager.socket("/chat");

  manager.on("reconnect_attempt", () => {
    urls.push(urls.shift());
    manager.uri = urls[0];
    handlers.state("reconnecting", urls[0]);
  });
  socket.on("connect", () => {
    handlers.state("connected", manager.uri);
    lookAround();
    enter();
  });
  socket.on("connect_error", () => handlers.state("reconnecting", urls[0]));
  socket.on("disconnect", () => {
    inside = false;
    handlers.state("reconnecting", urls[0]);
    // Asked to go by the server, the client would stay away.
    if (!socket.active) setTimeout(() => socket.connect(), 500);
  });
  for (const event of ["message", "members", "rooms", "typing"]) {
    socket.on(event, (data) => handlers[event](data));
  }
  setInterval(() => socket.connected && lookAround(), refreshNodes);

  // lookAround learns where else this page could connect. The list is empty
  // when the address in use is not one node's own, behind a gateway for one.
  async function lookAround() {
    const url = manager.uri;
    try {
      const answer = await fetch(new URL("/nodes.json", url), { cache: "no-store", signal: AbortSignal.timeout(patience) });
      const { nodes } = await answer.json();
      if (url !== manager.uri) return;
      const known = nodes.map((n) => n.url);
      urls = known.includes(url) ? rotate(known, known.indexOf(url)) : [url, ...known];
      handlers.nodes(nodes);
    } catch {
      // The list of before is good enough.
    }
  }

  async function ask(event, data) {
    const answer = await socket.timeout(patience).emitWithAck(event, data);
    if (answer && answer.error) throw Object.assign(new Error(answer.error.message), { refused: true });
    return answer;
  }

  async function enter() {
    if (!wish || !socket.connected) return;
    const asked = wish;
    try {
      const answer = await ask("enter", asked);
      if (asked !== wish) return;
      inside = true;
      handlers.entered(answer);
      for (const id of outbox.keys()) send(id);
    } catch (error) {
      if (asked !== wish) return;
      if (error.refused) {
        wish = null;
        handlers.refused(error);
      } else if (socket.connected) {
        setTimeout(() => asked === wish && enter(), 1_000);
      }
    }
  }

  // send sends a message of the outbox. What gets no answer stays there and is
  // sent again from the next node; receivers know it by its id.
  async function send(id) {
    const entry = outbox.get(id);
    if (!entry || entry.busy || !inside || !socket.connected) return;
    entry.busy = true;
    try {
      await ask("say", { id, text: entry.text });
      outbox.delete(id);
      entry.done(null);
    } catch (error) {
      if (error.refused) {
        outbox.delete(id);
        entry.done(error);
      } else {
        setTimeout(() => send(id), 1_000);
      }
    } finally {
      entry.busy = false;
    }
  }

  return {
    get id() { return socket.id; },
    enter(name, room) {
      wish = { name, room };
      inside = false;
      outbox.clear();
      enter();
    },
    leave() {
      wish = null;
      inside = false;
      outbox.clear();
      if (socket.connected) socket.emit("leave");
    },
    // say calls done(error) once it is settled; meanwhile the message survives
    // the end of the node.
    say(id, text, done) {
      outbox.set(id, { text, done, busy: false });
      send(id);
    },
    typing() {
      if (inside && socket.connected) socket.volatile.emit("typing");
    },
  };
}

function rotate(list, n) {
  return [...list.slice(n), ...list.slice(0, n)];
}
