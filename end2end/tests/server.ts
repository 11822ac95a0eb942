// The real server, one a test, with a data folder of its own; and a page that forgives nothing.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, type Page, test as base, expect } from "@playwright/test";

export { expect };

export const binary = process.env.STILLROOM_BINARY ?? join(import.meta.dirname, "../../target/release/stillroom");

export interface Server {
  /** Where it listens, without a slash at the end: `http://127.0.0.1:PORT`. */
  baseUrl: string;
  /** The folder of its database and trainings. */
  dataFolder: string;
  /** What it has written so far, stdout and stderr together. */
  output: () => string;
}

interface Running extends Server {
  /** Asks it to end (SIGTERM), waits until it has, and removes its folder, unless another server is to go on with it. */
  end: (how?: { keepData: boolean }) => Promise<void>;
}

interface How {
  more?: string[];
  /** "0", the default, is any free one. */
  port?: string;
  /** One that a server left; without it, a new one. */
  dataFolder?: string;
  environment?: Record<string, string>;
}

/** Starts `stillroom serve`, and returns once it has said where it is. */
export async function startServer({ more = [], port = "0", dataFolder: given, environment = {} }: How = {}): Promise<Running> {
  const dataFolder = given ?? (await mkdtemp(join(tmpdir(), "stillroom-")));
  const child = spawn(binary, ["serve", "--port", port, "--data-dir", dataFolder, ...more], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(`it ended with ${code ?? signal}`));
  });
  let output = "";
  const address = new Promise<string>((resolve) => {
    const hear = (chunk: Buffer) => {
      output += chunk.toString();
      const said = /Stillroom is at (http:\/\/[^\s/]+)/.exec(output);
      if (said) resolve(said[1]);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
  });
  const failed = ended.then((reason) => {
    throw new Error(`${binary} did not say where it is: ${reason}\n${output}`);
  });
  // Once the address is known, ending is no failure any more.
  failed.catch(() => {});
  const end = async ({ keepData } = { keepData: false }) => {
    await terminate(child, ended);
    if (!keepData) await rm(dataFolder, { recursive: true, force: true });
  };
  let slow: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    slow = setTimeout(() => reject(new Error(`${binary} said nothing for a minute\n${output}`)), 60_000);
  });
  try {
    const baseUrl = await Promise.race([address, failed, late]);
    return { baseUrl, dataFolder, output: () => output, end };
  } catch (error) {
    await end();
    throw error;
  } finally {
    clearTimeout(slow);
  }
}

/** By its own process id. A server that does not leave within 20 seconds is killed, and that is a failure. */
async function terminate(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  let patience: NodeJS.Timeout | undefined;
  const tooLong = new Promise<"too long">((resolve) => {
    patience = setTimeout(() => resolve("too long"), 20_000);
  });
  const outcome = await Promise.race([ended, tooLong]);
  clearTimeout(patience);
  if (outcome === "too long") {
    child.kill("SIGKILL");
    await ended;
    throw new Error("the server did not end within 20 seconds of SIGTERM");
  }
}

/**
 * Notes whatever a healthy page never does: an exception, a console error, a request to another host.
 * `forgiven` may be added to by a test that provokes one of them on purpose.
 */
export function watch(context: BrowserContext, baseUrl: string, forgiven: RegExp[] = []): string[] {
  const complaints: string[] = [];
  const complain = (complaint: string) => {
    if (!forgiven.some((pattern) => pattern.test(complaint))) complaints.push(complaint);
  };
  context.on("weberror", (event) => complain(`exception: ${event.error().stack ?? event.error().message}`));
  context.on("console", (message) => {
    if (message.type() === "error") complain(`console error: ${message.text()} (${message.location().url})`);
  });
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:", "about:"].includes(url.protocol) && url.origin !== baseUrl) {
      complain(`request to another host: ${request.url()}`);
    }
  });
  return complaints;
}

/** Waits until the page's code runs: buttons that are clicked before do nothing. */
export async function hydrated(page: Page): Promise<void> {
  await page.locator("html[data-hydrated]").waitFor({ state: "attached" });
}

interface Fixtures {
  server: Server;
  /** What the pages of this test may complain about; see `watch`. */
  forgiven: RegExp[];
}

export const test = base.extend<Fixtures>({
  server: async ({}, use, info) => {
    const server = await startServer();
    await use(server);
    if (info.status !== info.expectedStatus) {
      await info.attach("server output", { body: server.output(), contentType: "text/plain" });
    }
    await server.end();
  },
  forgiven: async ({}, use) => {
    await use([]);
  },
  baseURL: async ({ server }, use) => {
    await use(server.baseUrl);
  },
  page: async ({ context, server, forgiven }, use) => {
    const complaints = watch(context, server.baseUrl, forgiven);
    const page = await context.newPage();
    await use(page);
    expect(complaints, "what the pages of this test complained about").toEqual([]);
  },
});
