// Waits until the nodes under test serve and, when there are several, know
// each other.
import { knowsPeers } from "./nodes.js";
import { connect, servers } from "./support.js";

const cleanup = [];
const t = { after: (f) => cleanup.push(f) };
await Promise.all(
  servers.map((url) => (servers.length > 1 ? knowsPeers(t, { url, name: url }, servers.length - 1) : connect(t, { url }))),
);
for (const f of cleanup) f();
