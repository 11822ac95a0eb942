import { execFileSync } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binary, expect, hydrated, startServer, test, watch } from "./server";

test("a report is read under the pointer, and another metric's curves come without leaving the page", async ({ page }) => {
  await page.goto("/examples/when-should-distillation-stop");
  await hydrated(page);
  const curves = page.getByRole("region", { name: "Learning curves" });
  const heading = curves.locator(".legend-head");
  await expect(heading).toHaveText("At the last epoch");

  // The legend reads the lines at the epoch under the pointer, and both charts show where that is.
  await heading.scrollIntoViewIfNeeded();
  const plot = await curves.locator(".curves-whole svg.chart").boundingBox();
  if (!plot) throw new Error("the curves are not drawn");
  await page.mouse.move(plot.x + plot.width / 2, plot.y + plot.height / 2);
  await expect(heading).toHaveText(/^At epoch \d+$/);
  await expect(curves.locator(".curves-whole .crosshair")).toHaveClass(/shown/);
  await page.getByRole("heading", { name: "Learning curves" }).hover();
  await expect(heading).toHaveText("At the last epoch");

  // The arm that is met stays, the others fade, wherever they stand.
  const faded = page.locator("[data-arm].faded");
  const rows = page.getByRole("table").first().locator("tbody tr");
  await rows.first().hover();
  await expect(rows.first()).not.toHaveClass(/faded/);
  await expect(rows.nth(1)).toHaveClass(/faded/);
  await expect(page.locator("svg .faded").first()).toBeAttached();
  await page.mouse.move(2, 2);
  await expect(faded).toHaveCount(0);
  await rows.first().focus();
  await expect(rows.nth(1)).toHaveClass(/faded/);
  await rows.first().blur();
  await expect(faded).toHaveCount(0);

  await page.getByText("Every run", { exact: true }).click();
  const explained = curves.locator(".metric-explained");
  const first = await explained.innerText();
  await page.evaluate(() => document.documentElement.setAttribute("data-still-here", ""));
  await curves.getByRole("link").nth(1).click();
  await expect(page).toHaveURL(/\/examples\/[a-z-]+\?metric=\w+$/);
  await expect(explained).not.toHaveText(first);
  await expect(curves.getByRole("link").nth(1)).toHaveAttribute("aria-current", "true");
  await page.goBack();
  await expect(explained).toHaveText(first);
  // The page was never left: what was opened is open.
  await expect(page.locator("html[data-still-here]")).toBeAttached();
  await expect(page.getByRole("region", { name: "Every run" })).toBeVisible();
});

test("of too many arms the one that is pointed at shows its band, and what is picked is asked for once and alone", async ({ browser }) => {
  const dataFolder = await mkdtemp(join(tmpdir(), "stillroom-"));
  // Ten arms, made up.
  execFileSync(binary, ["fill-synthetic", "--data-dir", dataFolder, "--temperatures", "3", "--epochs", "8"], { stdio: "ignore" });
  const server = await startServer({ dataFolder });
  const context = await browser.newContext({ baseURL: server.baseUrl });
  try {
    const complaints = watch(context, server.baseUrl);
    const page = await context.newPage();
    await page.goto("/studies/1");
    await hydrated(page);
    const curves = page.getByRole("region", { name: "Learning curves" });
    const bands = curves.locator("path.band");
    await expect(bands).toHaveCount(0);
    for (const place of [2, 3]) {
      const row = page.getByRole("table").first().locator("tbody tr").nth(place);
      await row.hover();
      // In both charts, and no other arm's.
      await expect(curves.locator(`path.band[data-arm="${await row.getAttribute("data-arm")}"]`)).toHaveCount(2);
      await expect(bands).toHaveCount(2);
      await expect(bands.first()).toBeVisible();
    }

    const asked: string[] = [];
    page.on("request", (request) => asked.push(new URL(request.url()).search));
    await curves.getByRole("link", { name: "Training accuracy" }).click();
    await expect(curves.locator(".metric-explained")).toContainText("Running over the epoch");
    await expect(page).toHaveURL(/\?metric=train_accuracy$/);
    expect(asked.filter((search) => search.includes("metric=train_accuracy"))).toEqual(["?metric=train_accuracy&part=evidence"]);
    await expect(bands).toHaveCount(0);
    await page.goBack();
    await expect(curves.getByRole("link", { name: "Validation accuracy" })).toHaveAttribute("aria-current", "true");
    expect(complaints).toEqual([]);
  } finally {
    await context.close();
    await server.end();
  }
});
