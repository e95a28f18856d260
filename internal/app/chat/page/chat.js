// The chat page: forms on one side, the connection on the other.

import { connect } from "./connection.js";
import { $, Messages, showBanner, showMembers, showNodes, showRooms, showStatus, showTyping } from "./view.js";

const typingEvery = 2_000; // ms between two signs of typing
const typingLasts = 3_500; // ms for which a sign counts

const storage = {
  get(key) { try { return localStorage.getItem("socketeer." + key) || ""; } catch { return ""; } },
  set(key, value) { try { localStorage.setItem("socketeer." + key, value); } catch { /* not remembered */ } },
};

const messages = new Messages();
const typists = new Map(); // socket id -> { name, timer }
let me = { name: "", room: "" };
let rooms = [];
let nodes = [];
let at = { node: "", url: location.origin, state: "connecting" };
let lastTyped = 0;
let fresh = true; // nothing of the room is shown yet

if (typeof io === "undefined") {
  $("join-button").disabled = true;
  $("join-error").textContent = "The Socket.IO client is missing: this server was built without it (\"make build\" includes it).";
  throw new Error("no Socket.IO client");
}

const connection = connect(io, document.body.dataset.path, {
  state(state, url) {
    const moved = state === "connected" && url !== at.url;
    at = { ...at, state, url, moved: moved || at.moved };
    showStatus(state);
    showBanner(state === "reconnecting" && me.room ? `The connection to ${at.node || "the server"} is lost. Looking for a node…` : "");
    if (state === "reconnecting") clearTypists();
  },
  entered(answer) {
    const { node: before } = at;
    at.node = answer.node;
    me.room = answer.room;
    me.name = answer.name;
    showStatus("connected", answer.node);
    showRoom();
    showNodes(nodes, at.url);
    if (fresh) messages.clear();
    for (const m of answer.history) messages.add(m, { mine: m.from === me.name });
    if (!fresh && before && before !== answer.node) messages.note(`Moved from ${before} to ${answer.node}`);
    else if (!fresh && before) messages.note(`Back on ${answer.node}`);
    if (fresh) messages.toEnd();
    fresh = false;
    at.moved = false;
  },
  refused(error) {
    showJoin(error.message);
  },
  message(m) {
    if (m.room !== me.room) return;
    messages.add(m, { mine: m.by === connection.id });
    stopTyping(m.by);
  },
  members({ room, members, total }) {
    if (room === me.room) showMembers(members, total, connection.id);
  },
  rooms(list) {
    rooms = list;
    showRooms(rooms, me.room, go);
  },
  typing({ id, name }) {
    const known = typists.get(id);
    if (known) clearTimeout(known.timer);
    typists.set(id, { name, timer: setTimeout(() => stopTyping(id), typingLasts) });
    showTyping([...typists.values()].map((t) => t.name));
  },
  nodes(list) {
    nodes = list;
    showNodes(nodes, at.url);
  },
});

function stopTyping(id) {
  const known = typists.get(id);
  if (!known) return;
  clearTimeout(known.timer);
  typists.delete(id);
  showTyping([...typists.values()].map((t) => t.name));
}

function clearTypists() {
  for (const id of [...typists.keys()]) stopTyping(id);
}

// go enters a room, leaving the one before.
function go(room) {
  closePanels();
  if (room === me.room && !fresh) return;
  fresh = true;
  me.room = room;
  clearTypists();
  showMembers([], 0);
  showRoom();
  connection.enter(me.name, room);
  // On a touch screen this would bring up the keyboard over the conversation.
  if (matchMedia("(pointer: fine)").matches) $("message-input").focus({ preventScroll: true });
}

function showRoom() {
  document.body.dataset.view = "chat";
  $("app").inert = false;
  $("join").inert = true;
  $("room-name").textContent = me.room;
  $("me").textContent = me.name;
  document.title = `#${me.room} · Socketeer Chat`;
  const hash = "#" + encodeURIComponent(me.room);
  if (location.hash !== hash) history.replaceState(null, "", hash);
  storage.set("name", me.name);
  showRooms(rooms, me.room, go);
}

function showJoin(error = "") {
  fresh = true;
  me.room = "";
  document.body.dataset.view = "join";
  $("app").inert = true;
  $("join").inert = false;
  showBanner("");
  document.title = "Socketeer Chat";
  $("join-error").textContent = error;
  $("name-input").focus();
}

$("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name-input").value.trim();
  const room = clean($("room-input").value) || "lobby";
  if (!name) {
    $("join-error").textContent = "Please tell the others what to call you.";
    $("name-input").focus();
    return;
  }
  $("join-error").textContent = "";
  me.name = name;
  go(room);
});

$("create-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const room = clean($("create-input").value);
  if (!room) return;
  $("create-input").value = "";
  go(room);
});

$("leave-button").addEventListener("click", () => {
  connection.leave();
  closePanels();
  showJoin();
});

// clean makes a room's name one word, as it stands in the address.
function clean(room) {
  return room.trim().replace(/^#+/, "").replace(/\s+/g, "-").toLowerCase();
}

const input = $("message-input");

$("message-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (!text || !me.room) return;
  const id = identifier();
  messages.add({ id, from: me.name, text, time: Date.now() }, { mine: true, pending: true });
  connection.say(id, text, (error) => error && messages.fail(id, error.message));
  input.value = "";
  grow();
  lastTyped = 0;
  input.focus();
});

input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("message-form").requestSubmit();
});

input.addEventListener("input", () => {
  grow();
  if (!input.value || Date.now() - lastTyped < typingEvery) return;
  lastTyped = Date.now();
  connection.typing();
});

function grow() {
  input.style.height = "auto";
  input.style.height = Math.min(input.scrollHeight, 160) + "px";
}

// identifier is random enough to tell messages apart; crypto.randomUUID would
// need a secure origin.
function identifier() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
}

// On narrow screens the panels slide over the conversation.
const panels = { "rooms-button": "rooms-panel", "people-button": "people-panel" };

// closePanels also brings the focus back to the button, when it was inside.
function closePanels() {
  for (const [button, panel] of Object.entries(panels)) {
    const inside = $(panel).classList.contains("open") && $(panel).contains(document.activeElement);
    $(panel).classList.remove("open");
    $(button).setAttribute("aria-expanded", "false");
    if (inside) $(button).focus();
  }
  $("shade").classList.remove("open");
}

for (const [button, panel] of Object.entries(panels)) {
  $(button).addEventListener("click", () => {
    closePanels();
    $(panel).classList.add("open");
    $(button).setAttribute("aria-expanded", "true");
    $("shade").classList.add("open");
    $(panel).querySelector("button, input").focus();
  });
  $(panel).querySelector("[data-close]").addEventListener("click", closePanels);
}
$("shade").addEventListener("click", closePanels);
document.addEventListener("keydown", (event) => event.key === "Escape" && closePanels());

$("theme-button").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  storage.set("theme", root.dataset.theme);
});

window.addEventListener("hashchange", () => {
  const room = clean(decode(location.hash.slice(1)));
  if (me.room && room && room !== me.room) go(room);
});

function decode(text) {
  try { return decodeURIComponent(text); } catch { return ""; }
}

$("name-input").value = storage.get("name");
$("room-input").value = clean(decode(location.hash.slice(1)));
$("name-input").focus();
