import { expect, hydrated, test } from "./server";

test("a first start offers a short study and shows one that was trained before", async ({ page }) => {
  await page.goto("/");
  await hydrated(page);
  await expect(page).toHaveTitle(/Stillroom/);
  await expect(page.getByRole("button", { name: "Start a short study" })).toBeVisible();
  const example = page.getByRole("region", { name: /\?$/ });
  await expect(example).toContainText("trained beforehand by this program");
  await expect(example.locator("svg[role=img]")).toBeVisible();
  await example.getByRole("link", { name: "See the whole example" }).click();
  await expect(page.getByRole("heading", { name: "Learning curves" })).toBeVisible();
  await expect(page.getByRole("table").first()).toContainText("baseline");

  // The short study trains for real.
  await page.goto("/");
  await hydrated(page);
  await page.getByRole("button", { name: "Start a short study" }).click();
  await expect(page).toHaveURL(/\/studies\/\d+/);
  await expect(page.locator(".state-line").getByText("training")).toBeVisible();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await expect(page.locator(".state-line").getByText("stopped")).toBeVisible();
});
