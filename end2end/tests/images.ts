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
