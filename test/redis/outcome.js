"use strict";

// What becomes of what a server publishes, as its Redis client tells: adapters
// do not say.

const publishing = ["publish", "sPublish", "xAdd", "spublish", "xadd"];

// watch has a client tell of what it publishes during a call of what it returns:
//
//   const during = watch(client, (outcome, message) => ...);
//   during(message, () => io.emit(...));
//
// The outcomes are those that are not as they should be:
//
//   unsent      The client says that it has failed.
//   overtaken   A later one to the same rooms was answered before it was. The
//               client has several connections, tries some again, or lets some
//               pass: ioredis writes what a server takes while it loads, as
//               publish is, before what waits for the connection to be ready.
//   resent      It was written to a connection that broke, and is going to be
//               written again, whether it has been done or not, as ioredis does.
function watch(client, tell) {
  let current; // the message that is emitted now
  const open = new Set(); // what there is no answer to, in order

  for (const name of publishing) {
    const publish = client[name];
    if (typeof publish !== "function") continue;
    client[name] = function (...args) {
      const early = client.status === "connect" && name.endsWith("publish"); // see overtaken
      const result = publish.apply(client, args);
      if (current) follow({ message: current, to: String(current.rooms), written: early || client.status === "ready" }, result);
      return result;
    };
  }

  function follow(one, result) {
    open.add(one);
    const answered = () => {
      for (const older of open) {
        if (older === one) break;
        if (older.overtaken || older.to !== one.to) continue;
        older.overtaken = true;
        tell("overtaken", older.message);
      }
      open.delete(one);
    };
    result.then(answered, () => {
      answered();
      tell("unsent", one.message);
    });
  }

  // Events of ioredis.
  client.on("close", () =>
    open.forEach((one) => {
      if (one.written) tell("resent", one.message);
      one.written = false;
    })
  );
  client.on("ready", () => open.forEach((one) => { one.written = true; }));

  return (message, emit) => {
    current = message;
    try {
      emit();
    } finally {
      current = undefined;
    }
  };
}

module.exports = { watch };
