import { expect, hydrated, test, watch } from "./server";

// Real training on real images: an epoch takes some seconds, more on a busy machine.
test.setTimeout(600_000);

test("a study is configured, started, watched, compared, shared and opened by someone else", async ({ page, browser, server }) => {
  await page.goto("/studies/new");
  await hydrated(page);
  const field = (name: string) => page.getByLabel(name, { exact: true });
  await field("Question").fill("Does a teacher help in one epoch?");
  // Beside the button, too, stands what the study comes to, as one types.
  const besideStart = page.locator(".start .aside");
  await expect(besideStart).toContainText("15 runs");
  await field("Seeds").fill("2");
  await expect(besideStart).toContainText("10 runs");
  await field("Student’s network").fill("wrn-10-1");
  await field("Student’s epochs").fill("1");
  await field("Teacher’s network").fill("wrn-10-1");
  await field("Teacher’s epochs").fill("1");
  await field("Teacher stop epoch").fill("1");

  // What is wrong is said beside its field, as one types, with what is allowed.
  await field("KD stop epoch").fill("0, 5");
  await expect(field("KD stop epoch")).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByText(/Allowed: .*0 to 1/)).toBeVisible();
  // Start leads to what is wrong, and each line of that to its field; Enter in a field starts nothing.
  await page.getByLabel("Seeds", { exact: true }).press("Enter");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await expect(page.locator(".summary")).toBeFocused();
  await page.locator(".summary").getByRole("link", { name: "KD stop epoch" }).click();
  await expect(field("KD stop epoch")).toBeFocused();
  await field("KD stop epoch").fill("0, 1");
  await expect(page.locator(".summary .problem")).toHaveCount(0);
  await expect(field("KD stop epoch")).not.toHaveAttribute("aria-invalid", "true");
  await expect(page.getByText(/4 runs/).first()).toBeVisible();

  await field("Batch size").evaluate((input) => input.closest("details")?.setAttribute("open", ""));
  await field("Batch size").fill("64");
  await field("Batch size").press("Enter");
  await expect(page).toHaveURL(/\/studies\/new/);
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await expect(page).toHaveURL(/\/studies\/\d+/);
  // Back leads to the form as it was left.
  const address = page.url();
  await page.goBack();
  await expect(field("Question")).toHaveValue("Does a teacher help in one epoch?");
  await expect(field("Batch size")).toHaveValue("64");
  await page.goto(address);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Does a teacher help in one epoch?");
  await expect(page.getByText("No epoch of a student is finished yet")).toBeVisible();

  // It goes on by itself: what a person opened stays open while an epoch arrives, and curves are drawn.
  await page.getByText("Delete …").click();
  await expect(page.getByText("No epoch of a student is finished yet")).toHaveCount(0, { timeout: 300_000 });
  await expect(page.getByText(/^[123] of 4 epochs$/)).toBeVisible();
  await expect(page.getByRole("region", { name: "Learning curves" }).locator("svg[role=img]")).toBeVisible();
  await expect(page.getByRole("button", { name: "Delete this study" })).toBeVisible();

  // Then the comparison, with its error bars.
  await expect(page.getByText("4 of 4 runs done")).toBeVisible({ timeout: 500_000 });
  const table = page.getByRole("table").first();
  await expect(table.getByRole("row", { name: /labels only/ })).toContainText(/\d\d(\.\d+)?\s±\s\d/);
  await expect(table.getByRole("row", { name: /labels only/ })).toContainText("baseline");
  await expect(table.getByRole("row", { name: /KD/ })).toContainText(/[+−]\d+(\.\d+)?\s±\s\d/);
  await expect(table.getByRole("row", { name: /KD/ })).toContainText(/better|worse|not distinguishable/);
  await expect(page.getByText(/arm \+ seed .*2 arms × 2 seeds.*1 degree of freedom/)).toBeVisible();
  const picture = page.getByRole("region", { name: "Final test accuracy" });
  await expect(picture.locator("svg .interval")).not.toHaveCount(0);

  // One arm closer: where its losses conflict, and what it takes for what. Another one comes without the page being left.
  const closer = page.getByRole("region", { name: "One arm, closer" });
  await expect(closer.locator("svg[role=img]").first()).toBeVisible();
  await closer.getByRole("link", { name: "labels only" }).click();
  await expect(page).toHaveURL(/\/studies\/\d+\?metric=\w+&arm=0#closer$/);
  await expect(closer.getByRole("link", { name: "labels only" })).toHaveAttribute("aria-current", "true");
  await expect(closer.getByRole("table")).toContainText("Ankle boot");
  await expect(page.getByRole("button", { name: "Delete this study" })).toBeVisible();

  await page.getByRole("button", { name: "Share", exact: true }).click();
  const link = await page.locator("#new-link").inputValue();
  expect(link).toMatch(/\/s\/[\w-]{20,}$/);
  await page.getByRole("button", { name: "Copy", exact: true }).first().click();

  // A collaborator has nothing but the link; once with scripts, once without.
  for (const javaScriptEnabled of [true, false]) {
    const stranger = await browser.newContext({ javaScriptEnabled });
    const complaints = watch(stranger, server.baseUrl);
    const opened = await stranger.newPage();
    await opened.goto(link);
    if (javaScriptEnabled) await hydrated(opened);
    await expect(opened.getByRole("heading", { level: 1 })).toHaveText("Does a teacher help in one epoch?");
    await expect(opened.locator("svg[role=img]").first()).toBeVisible();
    await expect(opened.getByRole("table").first()).toContainText(/labels only/);
    expect(complaints).toEqual([]);
    await stranger.close();
  }

  // The file that is sent by mail stands alone: opened from a disk it asks nobody for anything.
  const reader = await browser.newContext({ acceptDownloads: true });
  const download = await (await reader.request.get(`${link}/download`)).body();
  const asked: string[] = [];
  reader.on("request", (request) => asked.push(request.url()));
  const file = test.info().outputPath("comparison.html");
  await (await import("node:fs/promises")).writeFile(file, download);
  const mailed = await reader.newPage();
  await mailed.goto(`file://${file}`);
  await expect(mailed.getByRole("heading", { level: 1 })).toHaveText("Does a teacher help in one epoch?");
  await expect(mailed.locator("svg[role=img]").first()).toBeVisible();
  expect(asked).toEqual([`file://${file}`]);
  await reader.close();

  // Taken back, it says the same as a link that never was.
  await page.goto("/shares");
  await hydrated(page);
  await page.getByText("Revoke …").first().click();
  await page.getByRole("button", { name: "Revoke this link" }).first().click();
  await expect(page.getByText(/revoked/i).first()).toBeVisible();
  const stranger = await browser.newContext();
  const refused = await stranger.newPage();
  expect((await refused.goto(link))?.status()).toBe(404);
  const said = await refused.getByRole("main").innerText();
  const unknown = link.replace(/[^/]+$/, "0".repeat(32));
  expect((await refused.goto(unknown))?.status()).toBe(404);
  expect(await refused.getByRole("main").innerText()).toBe(said);
  await stranger.close();
});
