// Images of one's own: sent from the page of data sets, shown there, and offered for a study.

import { colours } from "./images";
import { expect, hydrated, test } from "./server";

test("an archive of images by class is sent, shown and offered", async ({ page }) => {
  await page.goto("/data");
  await hydrated(page);
  await page.getByRole("region", { name: "Images of your own" }).getByLabel("Name").fill("colours@8");
  await page.getByLabel("Archive").setInputFiles({ name: "colours.tar", mimeType: "application/x-tar", buffer: colours() });
  await page.getByRole("button", { name: "Upload" }).click();
  const card = page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: "colours@8" }) });
  await expect(card).toContainText("4 images to train on, 2 to test");
  await expect(card).toContainText("2 classes, 8 × 8 pixels, in colour");
  const sample = card.getByRole("img", { name: "2 images of the class blue" });
  await expect(sample).toBeVisible();
  // It is loaded once it is near the window.
  await expect.poll(() => sample.evaluate((image: HTMLImageElement) => image.naturalHeight)).toBe(16);

  await page.goto("/studies/new");
  await hydrated(page);
  await page.getByLabel("Images", { exact: true }).selectOption("colours@8");
});
