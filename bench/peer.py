"""The peer of `cargo xtask bench`: the same Wide ResNets, trained as one trains them in PyTorch on a CPU.

Eager single precision, channels_last, in-place ReLU, fused SGD, denormal numbers flushed to zero, the images in memory and
augmented a batch at a time. Each command prints one JSON object a line. Needs torch, and nothing else beside it.

    python bench/peer.py step --architecture wrn-16-1 --batch 64 --threads 1
    python bench/peer.py sweep bench/sweep.toml --data data/fashion-mnist-12k --threads 2
"""

import argparse
import gzip
import json
import pathlib
import sys
import time
import tomllib

import torch
import torch.nn.functional as F
from torch import nn

PADDING = 4
EVALUATION_BATCH = 500


class Block(nn.Module):
    """Pre-activation: batch norm and ReLU come before each convolution, and before the shortcut's where there is one."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.convolution1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.convolution2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = F.relu(self.norm1(x), inplace=True)
        shortcut = x if self.shortcut is None else self.shortcut(y)
        y = F.relu(self.norm2(self.convolution1(y)), inplace=True)
        return self.convolution2(y).add_(shortcut)


class WideResNet(nn.Module):
    """`wrn-DEPTH-WIDTH` (Zagoruyko & Komodakis 2016) for small images."""

    def __init__(self, architecture, channels, classes):
        super().__init__()
        depth, width = map(int, architecture.removeprefix("wrn-").split("-"))
        self.stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        blocks, inputs = [], 16
        for outputs, stride in ((16 * width, 1), (32 * width, 2), (64 * width, 2)):
            for index in range((depth - 4) // 6):
                blocks.append(Block(inputs, outputs, stride if index == 0 else 1))
                inputs = outputs
        self.blocks, self.norm, self.last = nn.Sequential(*blocks), nn.BatchNorm2d(inputs), nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.last.bias)

    def forward(self, images):
        y = F.relu(self.norm(self.blocks(self.stem(images))), inplace=True)
        return self.last(y.mean((2, 3)))


def network(architecture, channels, classes=10):
    return WideResNet(architecture, channels, classes).to(memory_format=torch.channels_last)


def sgd(student, learning_rate):
    return torch.optim.SGD(student.parameters(), learning_rate, momentum=0.9, weight_decay=5e-4, fused=True)


def print_line(**values):
    print(json.dumps(values), flush=True)


# One step, one evaluation, memory: on random 32×32×3 images, which lie ready.


def prepared(arguments):
    """The network, and one call of what is measured."""
    torch.manual_seed(0)
    student = network(arguments.architecture, channels=3)
    images = torch.randn(arguments.batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (arguments.batch,))
    optimizer = sgd(student, 0.01)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(student(images), labels).backward()
        optimizer.step()

    @torch.inference_mode()
    def evaluate():
        student(images)

    student.train(arguments.command != "evaluate")
    return student, evaluate if arguments.command == "evaluate" else step


def timed(once):
    """As `stillroom bench`: three calls to warm up, then at least a second and five calls."""
    for _ in range(3):
        once()
    milliseconds, begin = [], time.perf_counter()
    while len(milliseconds) < 5 or time.perf_counter() - begin < 1.0:
        start = time.perf_counter()
        once()
        milliseconds.append((time.perf_counter() - start) * 1e3)
    milliseconds.sort()
    print_line(milliseconds={"min": milliseconds[0], "median": milliseconds[len(milliseconds) // 2]})


def measure(arguments):
    """Once; with `--serve` once for each line of the standard input, so that others can be measured in between."""
    student, once = prepared(arguments)
    if not arguments.serve:
        return timed(once)
    parameters = sum(parameter.numel() for parameter in student.parameters())
    print_line(torch=torch.__version__, instruction_set=torch.backends.cpu.get_cpu_capability(), parameters=parameters)
    for _ in sys.stdin:
        timed(once)


def resident(field):
    """Bytes: `VmRSS` now, `VmHWM` at most so far (Linux)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024


def memory(arguments):
    before = resident("VmRSS")
    _, step = prepared(arguments)
    for _ in range(8):
        step()
    print_line(before_bytes=before, peak_bytes=resident("VmHWM"))


# A sweep: the teacher once, then every arm and seed from its start.


class Images:
    """A data set in IDX files, normalised once; the training images padded once."""

    def __init__(self, folder, validation):
        def read(name, header):
            content = gzip.decompress((pathlib.Path(folder) / f"{name}.gz").read_bytes())
            return torch.frombuffer(bytearray(content[header:]), dtype=torch.uint8)

        pixels, tests = (read(f"{part}-images-idx3-ubyte", 16).view(-1, 28, 28) for part in ("train", "t10k"))
        labels, test_labels = (read(f"{part}-labels-idx1-ubyte", 8).long() for part in ("train", "t10k"))
        kept = len(labels) - validation
        scaled = pixels[:kept].double() / 255
        mean, deviation = scaled.mean(), scaled.std(correction=0)

        def normalised(bytes):
            return ((bytes.double() / 255 - mean) / deviation).float().unsqueeze(1)

        train = normalised(pixels[:kept])
        self.size, self.labels = 28, labels[:kept]
        self.padded = F.pad(train, (PADDING,) * 4, mode="reflect").permute(0, 2, 3, 1).contiguous()
        self.clean = (train, self.labels)
        self.validation = (normalised(pixels[kept:]), labels[kept:])
        self.test = (normalised(tests), test_labels)

    def batches(self, batch_size):
        """One epoch in a random order; every image cropped and mirrored in its own way, a batch in one gather."""
        across = torch.arange(self.size)
        for chosen in torch.randperm(len(self.labels)).split(batch_size):
            top, left = torch.randint(2 * PADDING + 1, (2, len(chosen), 1))
            mirrored = torch.rand(len(chosen), 1) < 0.5
            rows, columns = top + across, left + torch.where(mirrored, self.size - 1 - across, across)
            views = self.padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
            yield views.permute(0, 3, 1, 2), self.labels[chosen]


@torch.inference_mode()
def evaluated(student, split):
    """Mean cross-entropy and accuracy."""
    student.eval()
    logits = torch.cat([student(images) for images in split[0].split(EVALUATION_BATCH)])
    student.train()
    return F.cross_entropy(logits, split[1]).item(), (logits.argmax(1) == split[1]).double().mean().item()


def kd(student, teacher, temperature):
    """Hinton et al. 2015, as a mean over the batch."""
    soft, target = F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1)
    return F.kl_div(soft, target, reduction="batchmean") * temperature**2


def learning_rate(complete, epochs):
    """0.1, times 0.2 at three drops."""
    every = max(1, 3 * epochs // 10) if epochs < 35 else (3 * epochs + 25) // 50 * 5
    return 0.1 * 0.2 ** min(3, complete // every)


def train(student, images, horizon, batch_size, teach, stops, at_stop):
    """Trains `student` to the last of `stops` by the schedule of `horizon` epochs. `teach(epoch)` gives the loss of that epoch.
    Validates after each epoch; at each stop tests, also the best on validation so far, and calls `at_stop`."""
    optimizer, history, best, best_weights = sgd(student, 0.1), [], -1.0, None

    def weights():
        return {name: value.clone() for name, value in student.state_dict().items()}

    for epoch in range(1, max(stops) + 1):
        optimizer.param_groups[0]["lr"] = learning_rate(epoch - 1, horizon)
        loss_of, total, correct = teach(epoch), 0.0, 0
        for views, labels in images.batches(batch_size):
            logits = student(views)
            loss = loss_of(views, logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
            correct += (logits.argmax(1) == labels).sum().item()
        _, accuracy = evaluated(student, images.validation)
        history.append((total / len(images.labels), correct / len(images.labels), accuracy))
        if accuracy > best:
            best, best_weights = accuracy, weights()
        if epoch in stops:
            _, tested = evaluated(student, images.test)
            at_stop(epoch, tested)
            if accuracy < best:
                last = weights()
                student.load_state_dict(best_weights)
                evaluated(student, images.test)
                student.load_state_dict(last)
    return history


def choices(value):
    return value if isinstance(value, list) else [value]


def from_labels(epoch):
    return lambda views, logits, labels: F.cross_entropy(logits, labels)


def train_teacher(study, images, folder):
    """The teacher's weights at each of its stops."""
    teacher = study["teacher"]
    torch.manual_seed(0)
    trained = network(teacher["architecture"], channels=1)
    batch_size, stops = study.get("recipe", {}).get("batch_size", 128), choices(study["treatment"]["teacher_stop_epoch"])

    def keep(epoch, _):
        torch.save(trained.state_dict(), pathlib.Path(folder) / f"teacher-{epoch}.pt")

    train(trained, images, teacher["epochs"], batch_size, from_labels, stops, keep)


def runs(study):
    """(temperature, kd_stop_epoch, teacher_stop_epoch, seed) of every run: labels alone are one arm whatever the rest."""
    treatment = study["treatment"]
    arms = []
    for stop in choices(treatment["kd_stop_epoch"]):
        for temperature in choices(treatment["temperature"]) if stop else [1.0]:
            for teacher_stop in choices(treatment["teacher_stop_epoch"]) if stop else [0]:
                arms.append((temperature, stop, teacher_stop))
    # The dearest first, so that two processes that take every other one end together.
    arms.sort(key=lambda arm: -arm[1])
    return [(*arm, seed) for arm in arms for seed in range(study["seeds"])]


def train_student(study, images, folder, temperature, kd_stop, teacher_stop, seed):
    """Trains one run from its start; gives its final test accuracy."""
    epochs, weight = study["student"]["epochs"], study["treatment"].get("kd_weight", 0.9)
    torch.manual_seed(seed)
    student = network(study["student"]["architecture"], channels=1)
    if kd_stop:
        teacher = network(study["teacher"]["architecture"], channels=1).eval()
        teacher.load_state_dict(torch.load(pathlib.Path(folder) / f"teacher-{teacher_stop}.pt"))

    def with_teacher(views, logits, labels):
        with torch.inference_mode():
            said = teacher(views)
        return (1 - weight) * F.cross_entropy(logits, labels) + weight * kd(logits, said.clone(), temperature)

    def teach(epoch):
        return with_teacher if epoch <= kd_stop else from_labels(epoch)

    accuracies = {}
    stops = {kd_stop, epochs} - {0}
    train(student, images, epochs, study.get("recipe", {}).get("batch_size", 128), teach, stops, accuracies.__setitem__)
    evaluated(student, images.clean)
    return accuracies[epochs]


def sweep(arguments):
    """`--part teacher` trains the teacher, `--part 0/2` every second run from the first on; without, all of it."""
    study = tomllib.loads(pathlib.Path(arguments.study).read_text())
    images = Images(arguments.data, study.get("validation", 5000))
    if arguments.part in (None, "teacher"):
        train_teacher(study, images, arguments.checkpoints)
    if arguments.part == "teacher":
        return print_line(epochs=max(choices(study["treatment"]["teacher_stop_epoch"])))
    index, parts = map(int, (arguments.part or "0/1").split("/"))
    own = runs(study)[index::parts][: arguments.runs]
    accuracies = [train_student(study, images, arguments.checkpoints, *run) for run in own]
    names = ("temperature", "kd_stop_epoch", "teacher_stop_epoch", "seed", "test_accuracy")
    print_line(
        program=f"PyTorch {torch.__version__}",
        epochs=len(own) * study["student"]["epochs"],
        runs=[dict(zip(names, (*run, accuracy))) for run, accuracy in zip(own, accuracies)],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run in (("step", measure), ("evaluate", measure), ("memory", memory)):
        one = commands.add_parser(name)
        one.add_argument("--architecture", required=True)
        one.add_argument("--batch", type=int, required=True)
        one.add_argument("--threads", type=int, required=True)
        one.add_argument("--serve", action="store_true")
        one.set_defaults(run=run)
    whole = commands.add_parser("sweep")
    whole.add_argument("study")
    whole.add_argument("--data", required=True)
    whole.add_argument("--threads", type=int, required=True)
    whole.add_argument("--checkpoints", default=".")
    whole.add_argument("--part")
    whole.add_argument("--runs", type=int)
    whole.set_defaults(run=sweep)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
