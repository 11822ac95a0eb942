import { fewImages, smallStudy } from "./images";
import { expect, hydrated, startServer, test, watch } from "./server";

test.setTimeout(300_000);

test("a study is stopped, resumed, watched over a restart of the server, and deleted", async ({ browser }) => {
  const images = await fewImages();
  const more = ["--dataset", `fashion-mnist=${images.folder}`];
  const first = await startServer({ more });
  let server = first;
  const context = await browser.newContext({ baseURL: server.baseUrl });
  // While the server is away its stream breaks off, and the browser says so; so it does of a page that was just being read when its
  // study was deleted.
  const away = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE/;
  const complaints = watch(context, server.baseUrl, [away, /404 .*\/studies\/\d+\??\)$/]);
  try {
    const page = await context.newPage();
    const made = await page.request.post("/api/v1/studies", { data: smallStudy("Can it be stopped?", 60) });
    const { id } = (await made.json()) as { id: number };
    await page.goto(`/studies/${id}`);
    await hydrated(page);
    await expect(page.getByText(/^\d+ of \d+ epochs$/)).not.toHaveText(/^0 of/, { timeout: 120_000 });

    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await expect(page.getByRole("button", { name: "Resume", exact: true })).toBeVisible();
    await expect(page.locator(".state-line").getByText("stopped")).toBeVisible();
    await page.getByRole("button", { name: "Resume", exact: true }).click();
    await expect(page.getByRole("button", { name: "Stop", exact: true })).toBeVisible();

    // The page is left open while the server ends and another takes over at the same address.
    const port = new URL(server.baseUrl).port;
    await server.end({ keepData: true });
    // It is said at once, where a reader looks.
    await expect(page.getByText("The server does not answer.")).toBeInViewport();
    const done = Number((await page.locator(".state-line").innerText()).match(/(\d+) of \d+ epochs/)?.[1]);
    server = await startServer({ more, port, dataFolder: first.dataFolder });
    const epochs = async () => Number((await page.locator(".state-line").innerText()).match(/(\d+) of \d+ epochs/)?.[1]);
    await expect.poll(epochs, { timeout: 120_000 }).toBeGreaterThan(done);
    await expect(page.getByText("The server does not answer.")).toHaveCount(0);

    await page.getByText("Delete …").click();
    await page.getByRole("button", { name: "Delete this study" }).click();
    await expect(page).toHaveURL(`${server.baseUrl}/`);
    await expect(page.getByRole("link", { name: "Can it be stopped?" })).toHaveCount(0);
    expect(complaints).toEqual([]);
  } finally {
    await context.close();
    await server.end();
    await images.remove();
  }
});

test("a training that went astray says so, names the run and offers nothing that cannot help", async ({ browser }) => {
  const images = await fewImages();
  const server = await startServer({ more: ["--dataset", `fashion-mnist=${images.folder}`] });
  const context = await browser.newContext({ baseURL: server.baseUrl });
  try {
    const page = await context.newPage();
    const study = smallStudy("Too fast?", 2).replace("[recipe]", "[recipe]\nlearning_rate = 1000.0\nlearning_rate_decay = 1.0");
    const made = await page.request.post("/api/v1/studies", { data: study });
    expect(made.status()).toBe(201);
    const { id } = (await made.json()) as { id: number };
    await page.goto(`/studies/${id}`);
    await hydrated(page);
    await expect(page.locator(".state-line").getByText("failed")).toBeVisible({ timeout: 120_000 });
    await expect(page.getByText(/learning rate/).first()).toBeVisible();
    await expect(page.getByRole("button", { name: "Try again" })).toHaveCount(0);
  } finally {
    await context.close();
    await server.end();
    await images.remove();
  }
});

test("a finished study gets more seeds, goes on and says that somebody looked before", async ({ browser }) => {
  const images = await fewImages();
  const server = await startServer({ more: ["--dataset", `fashion-mnist=${images.folder}`] });
  const context = await browser.newContext({ baseURL: server.baseUrl });
  const complaints = watch(context, server.baseUrl);
  try {
    const page = await context.newPage();
    const made = await page.request.post("/api/v1/studies", { data: smallStudy("Are two seeds enough?", 1) });
    const { id } = (await made.json()) as { id: number };
    await page.goto(`/studies/${id}`);
    await hydrated(page);
    await expect(page.getByText("4 of 4 runs done")).toBeVisible({ timeout: 120_000 });
    await page.getByText("Add seeds …").click();
    await expect(page.getByText(/What is trained stays\. \d+ more seeds? (is|are) \d+ runs/)).toBeVisible();
    await page.getByLabel("More seeds", { exact: true }).fill("1");
    await page.getByRole("button", { name: "Train them" }).click();
    await expect(page.getByText(/Seeds were added on .* \(2 to 3, when 4 runs could be seen\)/)).toBeVisible();
    // The page that was finished keeps up again.
    await expect(page.getByText("6 of 6 runs done")).toBeVisible({ timeout: 120_000 });
    await expect(page.getByRole("table").first().getByRole("row", { name: /labels only/ })).toContainText("3 of 3");
    expect(complaints).toEqual([]);
  } finally {
    await context.close();
    await server.end();
    await images.remove();
  }
});
