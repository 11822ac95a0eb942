// Images of one's own: sent from the page of data sets, shown there, and offered for a study.

import { expect, hydrated, test } from "./server";

// 8 × 8 pixels each, all red and all blue.
const red = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP8z4AdMOEQH6QSAM1BAQ/oQeJvAAAAAElFTkSuQmCC";
const blue = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGNkYPjPgA0wYRUdtBIAy0MBD1YkjLoAAAAASUVORK5CYII=";

/** An archive in the ustar format: a head of 512 bytes before each file, two empty ones behind the last. */
function tar(files: [name: string, content: Buffer][]): Buffer {
  const parts = files.map(([name, content]) => {
    const head = Buffer.alloc(512);
    head.write(name, 0);
    head.write("0000644\0", 100);
    head.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    head.write("        0", 148);
    head.write("ustar\x0000", 257);
    const sum = head.reduce((sum, byte) => sum + byte, 0);
    head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return Buffer.concat([head, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

test("an archive of images by class is sent, shown and offered", async ({ page }) => {
  const files = [red, blue].flatMap((picture, of) =>
    ["train/1", "train/2", "test/1"].map((place): [string, Buffer] => {
      const [split, number] = place.split("/");
      return [`colours/${split}/${["red", "blue"][of]}/${number}.png`, Buffer.from(picture, "base64")];
    }),
  );
  await page.goto("/data");
  await hydrated(page);
  await page.getByRole("region", { name: "Images of your own" }).getByLabel("Name").fill("colours@8");
  await page.getByLabel("Archive").setInputFiles({ name: "colours.tar", mimeType: "application/x-tar", buffer: tar(files) });
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
