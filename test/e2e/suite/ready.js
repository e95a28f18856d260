// Waits until the nodes under test serve and know each other.
import { knowsPeers } from "./nodes.js";
import { servers } from "./support.js";

const cleanup = [];
await Promise.all(
  servers.map((url) => knowsPeers({ after: (f) => cleanup.push(f) }, { url, name: url }, servers.length - 1)),
);
for (const f of cleanup) f();
