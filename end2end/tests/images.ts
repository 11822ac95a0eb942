// A few of the built-in images, in their official files: a study of them trains in moments.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const builtIn = join(import.meta.dirname, "../../data/fashion-mnist-12k");

/** The folder of a small `fashion-mnist`: 600 images to train on (some of them held out), 100 to test. */
export async function fewImages(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "stillroom-images-"));
  for (const [split, count] of [["train", 600], ["t10k", 100]] as const) {
    for (const [kind, header, size] of [["images-idx3", 16, 28 * 28], ["labels-idx1", 8, 1]] as const) {
      const name = `${split}-${kind}-ubyte`;
      const file = gunzipSync(await readFile(join(builtIn, `${name}.gz`)));
      const few = Buffer.from(file.subarray(0, header + count * size));
      few.writeUInt32BE(count, 4);
      await writeFile(join(folder, name), few);
    }
  }
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** A study of these images, as its file says it. */
export function smallStudy(title: string, epochs: number, treatment = `kd_stop_epoch = [0, ${epochs}]`): string {
  return `
title = "${title}"
dataset = "fashion-mnist"
validation = 100
seeds = 2
[student]
architecture = "wrn-10-1"
epochs = ${epochs}
[teacher]
architecture = "wrn-10-1"
epochs = 2
[treatment]
${treatment}
[recipe]
batch_size = 50
device = "cpu"
`;
}

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

/** An archive of red and of blue squares: 2 of each to train on, and 1 of each to test. */
export function colours(): Buffer {
  const files = [red, blue].flatMap((picture, of) =>
    ["train/1", "train/2", "test/1"].map((place): [string, Buffer] => {
      const [split, number] = place.split("/");
      return [`colours/${split}/${["red", "blue"][of]}/${number}.png`, Buffer.from(picture, "base64")];
    }),
  );
  return tar(files);
}
