import { expect, hydrated, test } from "./server";

test("the first page opens and comes to life", async ({ page }) => {
  await page.goto("/");
  await hydrated(page);
  await expect(page).toHaveTitle(/Stillroom/);
});
