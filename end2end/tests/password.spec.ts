import { expect, hydrated, startServer, test } from "./server";

test("a laboratory with a password asks for it, lets in whoever knows it, and out again", async ({ browser }) => {
  const server = await startServer({ environment: { STILLROOM_PASSWORD: "copper still" } });
  const context = await browser.newContext({ baseURL: server.baseUrl });
  try {
    const page = await context.newPage();
    await page.goto("/studies/new?title=Kept");
    await expect(page).toHaveURL(/\/login\?next=/);
    await page.getByLabel("Password").fill("brass still");
    await page.getByRole("button", { name: "Log in" }).click();
    await expect(page.getByRole("alert")).toHaveText("This is not the password.");
    await page.getByLabel("Password").fill("copper still");
    await page.getByRole("button", { name: "Log in" }).click();
    // On to where one was going.
    await expect(page).toHaveURL(/\/studies\/new\?title=Kept/);
    await hydrated(page);
    expect((await page.request.get("/api/v1/studies")).status()).toBe(200);
    await page.getByRole("button", { name: "Log out" }).click();
    await expect(page.getByLabel("Password")).toBeVisible();
    const refused = await page.request.get("/api/v1/studies");
    expect(refused.status()).toBe(401);
    expect(await refused.json()).toHaveProperty("error");
  } finally {
    await context.close();
    await server.end();
  }
});

test("without a password nobody is offered a way out", async ({ page }) => {
  await page.goto("/");
  await hydrated(page);
  await expect(page.getByRole("button", { name: "Log out" })).toBeHidden();
});
