import { colours } from "./images";
import { expect, test } from "./server";

test.use({ javaScriptEnabled: false });

test("without scripts a study is set up, put right, started, stopped, shared, taken back and deleted", async ({ page, forgiven }) => {
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.locator("svg[role=img]").first()).toBeVisible();

  await page.goto("/studies/new");
  const field = (name: string) => page.getByLabel(name, { exact: true });
  // A number is asked for where a method that has it is ticked.
  const curriculum = page.getByLabel("RCO: a curriculum of the teacher’s epochs (Jin et al. 2019)", { exact: true });
  await expect(field("Anchors")).toBeHidden();
  await curriculum.check();
  await expect(field("Anchors")).toBeVisible();
  await curriculum.uncheck();
  await field("Question").fill("Does it work without scripts?");
  await field("KD stop epoch").fill("0, 500");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  // It comes back with what was typed, and says what is wrong beside its field.
  await expect(field("Question")).toHaveValue("Does it work without scripts?");
  await expect(field("KD stop epoch")).toHaveAttribute("aria-invalid", "true");
  await expect(page.locator(".summary").getByRole("link", { name: "KD stop epoch" })).toBeInViewport();
  await field("Seeds").press("Enter");
  await expect(page).toHaveURL(/\/studies\/new/);
  await field("KD stop epoch").fill("0, 20");
  await page.getByRole("button", { name: "Start", exact: true }).click();

  await expect(page).toHaveURL(/\/studies\/\d+/);
  const address = page.url();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Does it work without scripts?");
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await page.goto(address);
  await expect(page.getByRole("button", { name: "Resume", exact: true })).toBeVisible();
  await page.getByText("Add seeds …").click();
  await page.getByLabel("More seeds", { exact: true }).fill("1");
  await page.getByRole("button", { name: "Train them" }).click();
  await page.goto(address);
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await page.goto(address);

  await page.getByRole("button", { name: "Share", exact: true }).click();
  await expect(page).toHaveURL(/\/s\/[0-9a-f]{32}$/);
  const link = page.url();
  await page.goto("/shares");
  await page.getByText("Revoke …").click();
  await page.getByRole("button", { name: "Revoke this link" }).click();
  forgiven.push(/404 \(Not Found\) \(.*\/s\/[0-9a-f]{32}\)$/);
  expect((await page.goto(link))?.status()).toBe(404);

  await page.goto(address);
  await page.getByText("Delete …").click();
  await page.getByRole("button", { name: "Delete this study" }).click();
  await expect(page.getByRole("link", { name: "Does it work without scripts?" })).toHaveCount(0);
});

test("without scripts a data set is removed once it was meant", async ({ page }) => {
  await page.goto("/data");
  const own = page.getByRole("region", { name: "Images of your own" });
  await own.getByLabel("Name").fill("squares@8");
  await own.getByLabel("Archive").setInputFiles({ name: "squares.tar", mimeType: "application/x-tar", buffer: colours() });
  await page.getByRole("button", { name: "Upload" }).click();
  const card = page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: "squares@8" }) });
  await card.getByText("Remove …").click();
  await card.getByRole("button", { name: "Remove this data set" }).click();
  await expect(page).toHaveURL(/\/data$/);
  await expect(card).toHaveCount(0);
  // What comes with the program stays.
  const built_in = page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: "Fashion-MNIST, 12,000 images" }) });
  await expect(built_in).toBeVisible();
  await expect(built_in.getByText("Remove …")).toHaveCount(0);
});
