// What the page shows. Text from people is only ever set as text.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const together = 3 * 60_000; // ms within which messages of one person form a group
const most = 500;            // messages kept on the page

export const $ = (id) => document.getElementById(id);

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// hue gives a name its colour, the same on every page.
function hue(name) {
  let h = 2166136261;
  for (const c of name) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  return (h >>> 0) % 360;
}

function tint(e, name) {
  e.style.setProperty("--hue", hue(name));
  return e;
}

function avatar(name) {
  const letters = [...name.trim()];
  const e = tint(element("span", "avatar", (letters[0] || "?").toUpperCase()), name);
  e.setAttribute("aria-hidden", "true");
  return e;
}

function chip(node) {
  const e = element("span", "chip", node);
  e.style.setProperty("--hue", nodeHue(node));
  return e;
}

// nodeHue keeps node-1, node-2, ... well apart.
function nodeHue(node) {
  const number = /\d+$/.exec(node);
  return number ? (Number(number[0]) * 137.5 + 80) % 360 : hue(node);
}

// linked splits text into words and links. Only http and https become links.
function linked(text) {
  const parts = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g)) {
    parts.append(text.slice(end, match.index));
    const a = element("a", "", match[0]);
    a.href = match[0];
    a.target = "_blank";
    a.rel = "noopener noreferrer nofollow";
    parts.append(a);
    end = match.index + match[0].length;
  }
  parts.append(text.slice(end));
  return parts;
}

// Messages is the conversation.
export class Messages {
  constructor() {
    this.list = $("messages");
    this.scroll = $("scroll");
    this.jump = $("jump-button");
    this.byID = new Map();
    this.jump.addEventListener("click", () => this.toEnd());
    this.scroll.addEventListener("scroll", () => {
      if (this.atEnd()) this.jump.hidden = true;
    });
    new ResizeObserver(() => this.stuck && this.toEnd()).observe(this.scroll);
    this.stuck = true;
  }

  clear() {
    this.list.replaceChildren();
    this.byID.clear();
    this.jump.hidden = true;
  }

  atEnd() {
    this.stuck = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 60;
    return this.stuck;
  }

  toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.jump.hidden = true;
  }

  // add shows a message, once, where its time puts it.
  add(m, { mine = false, pending = false } = {}) {
    const known = this.byID.get(m.id);
    if (known) {
      if (!pending) this.confirm(known, m);
      return known;
    }
    const follow = this.atEnd() || mine;
    const li = element("li", "message");
    li.dataset.id = m.id;
    li.dataset.from = m.from;
    li.dataset.time = m.time;
    if (m.node) li.dataset.node = m.node;
    li.classList.toggle("mine", mine);
    li.classList.toggle("pending", pending);

    const head = element("p", "head");
    const time = element("time", "", clock.format(m.time));
    time.dateTime = new Date(m.time).toISOString();
    time.title = exact.format(m.time);
    head.append(element("span", "from", m.from), time);
    if (m.node) head.append(chip(m.node));
    const bubble = element("div", "bubble");
    const text = element("p", "text");
    text.append(linked(m.text));
    bubble.append(text);
    const body = element("div", "body");
    body.append(head, bubble);
    li.append(avatar(m.from), body);
    tint(li, m.from);

    this.byID.set(m.id, li);
    this.insert(li, m.time);
    if (this.list.children.length > most) this.drop(this.list.firstElementChild);
    if (follow) this.toEnd();
    else this.jump.hidden = false;
    return li;
  }

  insert(li, time) {
    let before = null;
    for (let e = this.list.lastElementChild; e && Number(e.dataset.time) > time; e = e.previousElementSibling) before = e;
    this.list.insertBefore(li, before);
    this.group(li);
    if (li.nextElementSibling) this.group(li.nextElementSibling);
  }

  // group hides the head of a message that continues the one before: of the
  // same person, by the same node (unknown while it is on its way), soon after.
  group(li) {
    const before = li.previousElementSibling;
    li.classList.toggle("continued", Boolean(before) && li.classList.contains("message") && before.classList.contains("message") &&
      before.dataset.from === li.dataset.from && before.classList.contains("mine") === li.classList.contains("mine") &&
      (!li.dataset.node || li.dataset.node === before.dataset.node) &&
      Number(li.dataset.time) - Number(before.dataset.time) < together);
  }

  // confirm turns a message of this page's into one the cluster has. It keeps
  // its place: moving it under the reader's eyes would be worse.
  confirm(li, m) {
    li.classList.remove("pending");
    if (!m.node || li.dataset.node) return;
    li.dataset.node = m.node;
    li.querySelector(".head").append(chip(m.node));
    this.group(li);
    if (li.nextElementSibling) this.group(li.nextElementSibling);
  }

  fail(id, reason) {
    const li = this.byID.get(id);
    if (!li) return;
    li.classList.remove("pending");
    li.classList.add("failed");
    li.querySelector(".bubble").append(element("p", "reason", "Not sent: " + reason));
  }

  drop(li) {
    this.byID.delete(li.dataset.id);
    li.remove();
  }

  // note tells what happened, between the messages.
  note(text) {
    const follow = this.atEnd();
    const li = element("li", "note", text);
    li.dataset.time = Date.now();
    this.list.append(li);
    if (follow) this.toEnd();
  }
}

export function showMembers(members, total, myID) {
  $("members").replaceChildren(...members.map((m) => {
    const li = element("li", "member");
    li.dataset.name = m.name;
    const who = element("span", "name", m.name);
    if (m.id === myID) who.append(element("span", "you", "you"));
    li.append(avatar(m.name), who, chip(m.node));
    return li;
  }));
  if (total > members.length) $("members").append(element("li", "more", `and ${total - members.length} more`));
  $("people-count").textContent = total;
  $("people-title").textContent = total === 1 ? "Here now: only you" : `Here now: ${total}`;
  $("people-button").setAttribute("aria-label", `Who is here: ${total}`);
}

export function showRooms(rooms, current, go) {
  if (current && !rooms.some((r) => r.name === current)) rooms = [...rooms, { name: current, people: 1 }];
  $("rooms").replaceChildren(...rooms.map((r) => {
    const li = element("li");
    const button = element("button", "room-link");
    button.type = "button";
    button.dataset.room = r.name;
    if (r.name === current) button.setAttribute("aria-current", "page");
    const hash = element("span", "hash", "#");
    hash.setAttribute("aria-hidden", "true");
    button.append(hash, element("span", "name", r.name));
    if (r.people > 0) {
      const count = element("span", "count", r.people);
      count.title = r.people === 1 ? "1 person" : `${r.people} people`;
      button.append(count);
    }
    button.addEventListener("click", () => go(r.name));
    li.append(button);
    return li;
  }));
}

export function showNodes(nodes, url) {
  $("nodes").replaceChildren(...nodes.map((n) => {
    const li = element("li", "node-line");
    li.dataset.node = n.name;
    const here = n.url === url;
    li.classList.toggle("here", here);
    const a = element("a", "", n.url.replace(/^https?:\/\//, ""));
    a.href = n.url + location.hash;
    a.target = "_blank";
    a.rel = "noopener";
    li.append(chip(n.name), a);
    return li;
  }));
}

export function showStatus(state, node) {
  $("status").dataset.state = state;
  $("status-text").textContent = { connected: "Connected", connecting: "Connecting", reconnecting: "Reconnecting" }[state];
  if (node !== undefined) {
    $("node-name").textContent = node;
  }
}

export function showBanner(text) {
  $("banner").textContent = text;
  $("banner").hidden = !text;
}

export function showTyping(names) {
  const e = $("typing");
  e.classList.toggle("on", names.length > 0);
  e.textContent = names.length === 0 ? "" :
    names.length === 1 ? `${names[0]} is typing` :
    names.length === 2 ? `${names[0]} and ${names[1]} are typing` :
    `${names.length} people are typing`;
}
