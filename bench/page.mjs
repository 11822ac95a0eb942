// How light the laboratory is on a reader and on its machine: a study of 200 runs × 200 epochs, made up, in a real browser.
//
//     node bench/page.mjs --binary target/release/stillroom [--quick]
//
// One JSON object on the standard output, {"rows": [{name, value, unit, goal}]}: each goal is an upper bound. What is being done is
// said on the standard error. It needs Playwright in end2end/node_modules and a Chromium; STILLROOM_CHROMIUM names another one.

import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const require = createRequire(new URL("../end2end/package.json", import.meta.url));
const { chromium } = require("@playwright/test");

const given = process.argv.slice(2);
const quick = given.includes("--quick");
const binaryAt = given.indexOf("--binary");
const binary = resolve(binaryAt < 0 ? "target/release/stillroom" : given[binaryAt + 1]);
const temperatures = quick ? 3 : 13;
const epochs = quick ? 60 : 200;
const arms = 1 + 3 * temperatures;
const times = 3;

const say = (what) => console.error(what);
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const folder = mkdtempSync(join(tmpdir(), "stillroom-bench-"));
const rows = [];
/** What ends each server that runs. */
const running = new Set();
const row = (name, value, unit, goal) => {
  rows.push({ name, value: Number(value.toPrecision(3)), unit, goal });
  say(`  ${name}: ${value.toPrecision(3)} ${unit} (at most ${goal})`);
};

/** Starts a server and waits until it answers its first page; `seconds`: from the spawn to there. */
async function serve(dataFolder, more = []) {
  const begin = performance.now();
  const child = spawn(binary, ["serve", "--port", "0", "--data-dir", dataFolder, ...more], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((done) => child.once("exit", done));
  const end = async () => {
    child.kill("SIGTERM");
    await ended;
    running.delete(end);
  };
  running.add(end);
  const url = await new Promise((found, failed) => {
    let said = "";
    child.stdout.on("data", (chunk) => {
      said += chunk;
      const address = /Stillroom is at (\S+)/.exec(said);
      if (address) found(address[1]);
    });
    child.once("error", failed);
    ended.then((code) => failed(new Error(`the server ended with ${code}`)));
  });
  const answer = await fetch(`${url}/shares`);
  if (answer.status !== 200) throw new Error(`the first page was answered ${answer.status}`);
  await answer.text();
  const seconds = (performance.now() - begin) / 1000;
  return { url, process: child.pid, seconds, end };
}

/** What the page itself notes while it loads and under the pointer. */
function watchPage(arms) {
  const seen = { blocked: 0, drawn: 0, hovers: [], changed: 0 };
  window.seen = seen;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) seen.blocked += Math.max(0, task.duration - 50);
  }).observe({ type: "longtask", buffered: true });
  // A frame is on the screen once the next task runs after it.
  const painted = (then) => requestAnimationFrame(() => setTimeout(() => then(performance.now())));
  seen.painted = painted;
  const look = () => {
    const lines = [...document.querySelectorAll(".evidence .curves-whole path.line")];
    if (lines.length === arms && lines.every((line) => line.getAttribute("d"))) {
      painted((now) => (seen.drawn = now));
    } else {
      requestAnimationFrame(look);
    }
  };
  requestAnimationFrame(look);
}

/** Opens the page in a browser that knows nothing of it, and reads what it cost. */
async function open(browser, address) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 1000 } });
  const page = await context.newPage();
  await page.addInitScript(watchPage, arms);
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  let bytes = 0;
  const asked = [];
  session.on("Network.loadingFinished", (event) => (bytes += event.encodedDataLength));
  session.on("Network.requestWillBeSent", (event) => asked.push(event.request.url));
  await page.goto(address, { waitUntil: "load" });
  await page.locator("html[data-hydrated]").waitFor({ state: "attached" });
  await page.waitForFunction(() => window.seen.drawn > 0);
  // What still comes after that counts too.
  await pause(1000);
  const { drawn, blocked } = await page.evaluate(() => window.seen);
  return { context, page, asked: [...asked], bytes, drawn: drawn / 1000, blocked: blocked / 1000 };
}

/** From the pointer's move to the frame that shows the numbers at its epoch, in seconds: the median of some moves. */
async function hover(page) {
  await page.locator(".evidence .curves-whole svg.chart").scrollIntoViewIfNeeded();
  await page.evaluate(() => {
    addEventListener(
      "pointermove",
      (event) => {
        const before = document.querySelector(".evidence .legend-head").textContent;
        window.seen.painted((now) => {
          if (document.querySelector(".evidence .legend-head").textContent !== before) window.seen.hovers.push(now - event.timeStamp);
        });
      },
      { capture: true },
    );
  });
  const box = await page.locator(".evidence .curves-whole rect.plot").boundingBox();
  for (let step = 1; step <= 24; step += 1) {
    await page.mouse.move(box.x + (box.width * step) / 25, box.y + box.height * (0.3 + 0.02 * (step % 10)));
    await pause(60);
  }
  const hovers = await page.evaluate(() => window.seen.hovers);
  if (hovers.length < 12) throw new Error(`only ${hovers.length} of 24 moves changed what is read`);
  return median(hovers) / 1000;
}

/** From a click on another metric to the frame that shows its curves, in seconds. The page stands still before, as under a person who
 * has scrolled there and looks for the name: neither scrolling nor what the pointer faded on its way is counted. The pointer arrives
 * and clicks at once, quicker than any person's: what the page asks for as the pointer arrives is not there before the click. */
async function change(page) {
  const link = page.getByRole("link", { name: "Training accuracy" });
  await page.mouse.move(0, 0);
  await link.scrollIntoViewIfNeeded();
  await pause(500);
  await page.evaluate(() => {
    const caption = () => document.querySelector(".metric-explained")?.textContent;
    const before = caption();
    addEventListener(
      "click",
      (event) => {
        const look = () => (caption() === before ? requestAnimationFrame(look) : window.seen.painted((now) => (window.seen.changed = now - event.timeStamp)));
        requestAnimationFrame(look);
      },
      { capture: true, once: true },
    );
  });
  await link.click();
  await page.waitForFunction(() => window.seen.changed > 0);
  return (await page.evaluate(() => window.seen.changed)) / 1000;
}

/** Kilobytes that the process holds in memory. */
function resident(id) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${id}/status`, "utf8"))[1]);
}

/** Seconds of processor time that the process has used, those of its children left out. */
function processorSeconds(id) {
  const fields = readFileSync(`/proc/${id}/stat`, "utf8").split(") ")[1].split(" ");
  const ticks = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  return (Number(fields[11]) + Number(fields[12])) / ticks;
}

/** A study of 16 runs whose workers only write: an epoch each second. The share of one core that the server needs to follow. */
async function ingest() {
  const worker = join(folder, "worker.sh");
  const epoch =
    '{"event":"epoch","epoch":%d,"learning_rate":0.1,"train":{"cross_entropy":0.512345678901,"accuracy":0.812345678901},' +
    '"validation":{"cross_entropy":0.498765432101,"accuracy":0.823456789012},"fidelity":[],"seconds":1.0123456789,"images_per_second":11987.654321}\\n';
  const started =
    '{"event":"started","version":1,"epoch":0,"provenance":{"version":"0","training_version":1,"host":"","instruction_set":"none",' +
    '"threads":1,"device":"synthetic","data_checksum":"synthetic"},"process":1}';
  // It leaves when it is asked to, as a worker does, and when its server is gone for good.
  writeFileSync(
    worker,
    `#!/bin/sh\ncd "$2"\necho '${started}' >> events.jsonl\nepoch=0\n` +
      `while [ ! -e stop ] && [ $epoch -lt 300 ]; do epoch=$((epoch + 1)); printf '${epoch}' $epoch >> events.jsonl; sleep 1; done\n` +
      `printf '{"event":"left","epoch":%d}\\n' $epoch >> events.jsonl\n`,
  );
  chmodSync(worker, 0o755);
  const server = await serve(join(folder, "ingest"), ["--threads", "16", "--worker-program", worker]);
  const study =
    'title = "Synthetic: 16 workers that only write"\ndataset = "fashion-mnist-12k"\nseeds = 16\n' +
    'student = { architecture = "wrn-10-1", epochs = 1000 }\n[treatment]\nkd_stop_epoch = 0\n';
  const made = await fetch(`${server.url}/api/v1/studies`, { method: "POST", body: study });
  if (made.status !== 201) throw new Error(`the study was answered ${made.status}: ${await made.text()}`);
  await pause(3000);
  const read = async () => {
    const { epochs_done: done } = (await (await fetch(`${server.url}/api/v1/studies`)).json())[0];
    return done;
  };
  const seconds = quick ? 5 : 20;
  const before = await read();
  const [begin, used] = [performance.now(), processorSeconds(server.process)];
  await pause(1000 * seconds);
  const share = (processorSeconds(server.process) - used) / ((performance.now() - begin) / 1000);
  const told = (await read()) - before;
  await server.end();
  if (told < 16 * seconds * 0.8) throw new Error(`only ${told} epochs were read in ${seconds} seconds`);
  return 100 * share;
}

async function measure() {
  say(`Filling a data folder: ${arms * 5} runs of ${epochs} epochs`);
  const data = join(folder, "data");
  const size = ["--temperatures", String(temperatures), "--epochs", String(epochs)];
  execFileSync(binary, ["fill-synthetic", "--data-dir", data, ...size], { stdio: ["ignore", "ignore", "inherit"] });
  const store = readdirSync(data).filter((name) => name.startsWith("stillroom.db"));
  const storeBytes = store.reduce((sum, name) => sum + statSync(join(data, name)).size, 0);

  say("Starting the server");
  // The first start on a machine measures how fast it is, for half a second, and keeps that.
  await (await serve(data)).end();
  const starts = [];
  for (let time = 1; time < times; time += 1) {
    const started = await serve(data);
    starts.push(started.seconds);
    await started.end();
  }
  const server = await serve(data);
  starts.push(server.seconds);

  say("Opening the study's page");
  const browser = await chromium.launch({
    executablePath: process.env.STILLROOM_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const pages = [];
  try {
    for (let time = 0; time < times; time += 1) {
      const opened = await open(browser, `${server.url}/studies/1`);
      const hovered = await hover(opened.page);
      const changed = await change(opened.page);
      await opened.context.close();
      pages.push({ ...opened, hovered, changed });
      if (time === 0) opened.asked.forEach((address) => say(`  asked for ${address}`));
    }
  } finally {
    await browser.close();
  }
  const memory = resident(server.process);
  const bundle = [];
  for (const name of ["stillroom.js", "stillroom_bg.wasm"]) {
    const answer = await fetch(`${server.url}/pkg/${name}`, { method: "HEAD", headers: { "accept-encoding": "br" } });
    bundle.push(Number(answer.headers.get("content-length")));
  }
  await server.end();
  say("Following 16 workers");
  const ingested = await ingest();

  const of = (read) => median(pages.map(read));
  row("page: navigation to all curves drawn", of((page) => page.drawn), "s", 1.0);
  row("page: requests", of((page) => page.asked.length), "requests", 5);
  row("page: transferred", of((page) => page.bytes) / 2 ** 20, "MiB", 1.0);
  row("page: main thread blocked", of((page) => page.blocked), "s", 0.2);
  row("page: another metric picked to its curves drawn", of((page) => page.changed), "s", 0.1);
  row("page: pointer moved to readout painted", of((page) => page.hovered), "s", 0.05);
  row("store: size", storeBytes / 1e6, "MB", 8);
  row("server: start to first answer", median(starts), "s", 0.3);
  row("server: resident after use", (memory * 1024) / 1e6, "MB", 80);
  row("server: binary", statSync(binary).size / 1e6, "MB", 60);
  row("browser bundle: script and program, Brotli", bundle.reduce((sum, size) => sum + size, 0) / 1e3, "kB", 350);
  row("server: following 16 workers, an epoch a second each", ingested, "% of a core", 3);
}

try {
  await measure();
  console.log(JSON.stringify({ rows }));
} finally {
  for (const end of running) await end();
  rmSync(folder, { recursive: true, force: true });
}
