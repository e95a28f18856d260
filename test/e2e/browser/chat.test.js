// The chat page in headless Chromium, on the nodes of NODES (a JSON array of
// { name, url, pid }): two people on two nodes, one of which is killed.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const nodes = JSON.parse(process.env.NODES ?? "[]");
const { CHROMIUM = "/usr/bin/chromium", SCREENSHOTS } = process.env;
const patience = 20_000;

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});
after(() => browser?.close());

/** One person's page, which has joined `room`. */
async function enter(t, node, name, room, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (err) => errors.push(err));
  t.after(async () => {
    await shoot(page, `${name}-end`);
    await context.close();
    assert.deepEqual(errors, [], `${name}'s page threw`);
  });
  await page.goto(`${node.url}/#${room}`);
  await page.fill("#name-input", name);
  if (await page.locator("#room-input").count()) await page.fill("#room-input", room);
  await page.click("#join-button");
  await page.waitForSelector("#status[data-state=connected]", { state: "attached" });
  await until(page, (want) => document.querySelector("#room-name").textContent === want, room);
  await until(page, (want) => document.querySelector("#node-name").textContent === want, node.name);
  return page;
}

function until(page, condition, arg) {
  return page.waitForFunction(condition, arg, { timeout: patience });
}

async function say(page, text) {
  await page.fill("#message-input", text);
  await page.click("#send-button");
}

/** Waits until a message is shown. */
function shown(page, text) {
  return until(
    page,
    (want) => [...document.querySelectorAll("#messages .message")].some((m) => m.textContent.includes(want)),
    text,
  );
}

/** How often a message is shown. */
function times(page, text) {
  return page.evaluate(
    (want) => [...document.querySelectorAll("#messages .message")].filter((m) => m.textContent.includes(want)).length,
    text,
  );
}

async function shoot(page, name) {
  if (!SCREENSHOTS) return;
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

test("two people on two nodes talk, and go on when a node is killed", { timeout: 120_000 }, async (t) => {
  const room = "e2e";
  const [first, second] = nodes;
  const ada = await enter(t, first, "Ada", room);
  const bob = await enter(t, second, "Bob", room, { viewport: { width: 390, height: 780 }, hasTouch: true });

  for (const page of [ada, bob]) {
    await until(page, () => {
      const text = document.querySelector("#members").textContent;
      return text.includes("Ada") && text.includes("Bob");
    });
  }
  const markup = "<b>bold</b> & 😀 žluťoučký";
  await say(ada, markup);
  await say(bob, "hello from the other node");
  for (const page of [ada, bob]) {
    await shown(page, markup);
    await shown(page, "hello from the other node");
  }
  await shoot(ada, "before-ada");
  await shoot(bob, "before-bob");

  process.kill(first.pid, "SIGKILL");
  await say(ada, "said while the node was gone"); // kept until there is one again
  await until(
    ada,
    (dead) => {
      const name = document.querySelector("#node-name").textContent;
      const { state } = document.querySelector("#status").dataset;
      return state === "connected" && name !== "" && name !== dead;
    },
    first.name,
  );
  const moved = await ada.textContent("#node-name");
  assert.ok(nodes.slice(1).some((n) => n.name === moved), `Ada is on ${moved}`);
  await say(bob, "are you back?");
  await shown(ada, "are you back?");
  await say(ada, "I am");
  for (const page of [ada, bob]) {
    await shown(page, "said while the node was gone");
    await shown(page, "I am");
  }
  for (const page of [ada, bob]) {
    for (const text of [markup, "hello from the other node", "said while the node was gone", "are you back?", "I am"]) {
      assert.equal(await times(page, text), 1, `${text}: shown once`);
    }
  }
  assert.equal(await bob.textContent("#node-name"), second.name, "Bob stayed where he was");
  await until(bob, () => {
    const items = document.querySelectorAll("#members > *");
    return [...items].filter((i) => i.textContent.includes("Ada")).length === 1;
  });
  await shoot(ada, "after-ada");
  await shoot(bob, "after-bob");

  // The node is started again, and serves.
  let eve;
  const deadline = Date.now() + patience;
  while (!eve) {
    eve = await enter(t, first, "Eve", room).catch((err) => {
      if (Date.now() > deadline) throw err;
    });
  }
  await say(eve, "and I am new");
  for (const page of [ada, bob]) await shown(page, "and I am new");
});
