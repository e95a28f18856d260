// The chat page in headless Chromium, on a cluster that `socketeer up` runs.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const binary = process.env.SOCKETEER;
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const host = "127.0.0.1";
const patience = 20_000;

let browser;
let cluster;

before(async () => {
  cluster = await up(3);
  browser = await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

/** Starts a cluster, and waits until every node is ready. */
async function up(n) {
  const port = await freeRange(n);
  const child = spawn(binary, ["up", "--nodes", String(n), "--addr", `${host}:${port}`], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const nodes = new Map(); // name -> { pid, url }, as of the newest table
  const read = (text) => {
    output += text;
    for (const [, name, pid, url] of output.matchAll(/^ +(node-\d+) +(\d+) +ready +(\S+)/gm)) nodes.set(name, { pid: Number(pid), url });
  };
  child.stdout.setEncoding("utf8").on("data", read);
  child.stderr.setEncoding("utf8").on("data", read);
  const exited = new Promise((resolve) => child.once("exit", resolve));
  await until(() => nodes.size === n, () => `the nodes to be ready: ${output}`);
  return {
    nodes,
    async stop() {
      child.kill("SIGINT");
      const timer = setTimeout(() => child.kill("SIGKILL"), patience);
      assert.equal(await exited, 0, output);
      clearTimeout(timer);
    },
  };
}

/** The first of n consecutive ports that are free now. */
async function freeRange(n) {
  for (let attempt = 0; attempt < 100; attempt++) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const taken = await Promise.all(Array.from({ length: n }, (_, i) => isTaken(first + i)));
    if (!taken.includes(true)) return first;
  }
  throw new Error("no free ports");
}

function isTaken(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(true));
    server.listen(port, host, () => server.close(() => resolve(false)));
  });
}

async function until(condition, what) {
  const deadline = Date.now() + patience;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${patience} ms: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Opens the chat at a node, under a name. */
async function visit(t, url, name, viewport = { width: 1200, height: 800 }) {
  const context = await browser.newContext({ viewport });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const errors = [];
  page.on("pageerror", (err) => errors.push(err.message));
  await page.goto(url);
  await page.fill("#name-input", name);
  await page.click("#join-button");
  await connected(page);
  return { page, errors };
}

function connected(page, besides = "") {
  return page.waitForFunction((besides) => {
    const node = document.querySelector("#node-name").textContent;
    return document.querySelector("#status").dataset.state === "connected" && node !== "" && node !== besides;
  }, besides);
}

async function say(page, text) {
  await page.fill("#message-input", text);
  await page.click("#send-button");
}

function sees(page, from, text) {
  return page.waitForFunction(
    ([from, text]) =>
      [...document.querySelectorAll("#messages .message")].some((m) => m.dataset.from === from && m.textContent.includes(text)),
    [from, text],
  );
}

test("pages on different nodes see each other, and survive the end of one", async (t) => {
  const [first, second] = ["node-1", "node-2"].map((name) => cluster.nodes.get(name));
  const ada = await visit(t, first.url, "Ada");
  const grace = await visit(t, second.url, "Grace", { width: 390, height: 800 });
  assert.equal(await ada.page.textContent("#node-name"), "node-1");
  assert.equal(await grace.page.textContent("#node-name"), "node-2");

  await say(ada.page, "hello from one");
  await sees(grace.page, "Ada", "hello from one");
  await say(grace.page, "hello from two <b>not bold</b>");
  await sees(ada.page, "Grace", "hello from two <b>not bold</b>");
  await ada.page.waitForFunction(() => document.querySelector("#members").textContent.includes("Grace"));

  process.kill(second.pid, "SIGKILL");
  await connected(grace.page, "node-2");
  assert.notEqual(await grace.page.textContent("#node-name"), "node-2");
  await say(grace.page, "still here");
  await sees(ada.page, "Grace", "still here");
  await say(ada.page, "welcome back");
  await sees(grace.page, "Ada", "welcome back");

  await until(() => cluster.nodes.get("node-2").pid !== second.pid, () => "node-2 to be started again");
  const alan = await visit(t, cluster.nodes.get("node-2").url, "Alan");
  await say(alan.page, "hello from two again");
  await sees(ada.page, "Alan", "hello from two again");
  await sees(grace.page, "Alan", "hello from two again");
  assert.deepEqual([...ada.errors, ...grace.errors, ...alan.errors], []);
});
