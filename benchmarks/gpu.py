"""What only a GPU can show, in about eight minutes, as one table.

    python benchmarks/gpu.py [DEVICE]                  or, from a checkout where nothing is installed,
    PYTHONPATH=. python benchmarks/gpu.py [DEVICE]

Parts: the tests that take their device from a fixture; results of CPU and GPU beside each other; epochs beside the
DataLoader program of epoch.py; how long the device stands idle in an epoch; what a CUDA graph of a step would give
small networks, which are bound by launches; several workers on one GPU; peak memory against the estimate; steps of
DARTS and GDAS. A part that fails is a row that says why, with more of it on stderr, and the script then ends with 1;
one that lacks a package is a row that says which. Without a GPU it says so in one line and ends with 0; with "cpu" as
DEVICE it tries all that needs none, to check the script itself. It needs no network.
"""

import importlib.util
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import torch
from memory import GENOMES, graph_of
from memory import RECIPE as MEMORY_RECIPE
from paired import interleaved, sized, timed

from evonas.data.sources import Source
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.genet import DIGITS, SMALL
from evonas.network import build
from evonas.recipe import Recipe
from evonas.supernets.darts import DARTS
from evonas.supernets.gdas import GDAS
from evonas.supernets.search import SupernetSearch
from evonas.supernets.training import GivenBench
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import Split
from evonas.training.course import train
from evonas.training.memory import training_bytes
from evonas.training.train import Training, evaluate

ROOT = Path(__file__).parents[1]
CODE = "1-01/1-01-100/1-00-000-0000"
IMAGES, BATCH = sized(10_000, 256), 64
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
RECIPE = Recipe(epochs=1000, batch_size=BATCH, learning_rate=0.05, crop=4, flip=True)
ROUNDS = sized(3, 1)
FOLDERS = sized(
    [f"tests/{name}" for name in ("training", "tasks", "supernets", "evaluation", "model", "executors")],
    ["tests/tasks/test_splits.py"],
)
TESTS_S = 300  # seconds for the tests: the other parts want the rest of eight minutes
DIGITS_NEED = "sklearn", "scikit-learn is not installed, from which the digits are read: not run"
Rows = Iterator[tuple[str, str]]


def main(device: str = "cuda") -> None:
    if device == "cuda" and not torch.cuda.is_available():
        print("there is no CUDA device here: nothing was measured")
        return
    name = torch.cuda.get_device_name() if device == "cuda" else "the CPU, to check the script"
    print(f"{name}, torch {torch.__version__}, Python {sys.version.split()[0]}\n")
    print("| what | result | seconds |\n|---|---|---|")
    failed = False
    for part in PARTS:
        start = time.perf_counter()
        try:
            rows = list(part(device))
        except Exception as error:  # the other parts are still worth their time on the device
            failed = True
            traceback.print_exc()
            lines = str(error).splitlines() or [""]
            rows = [(part.__name__, f"FAILED: {type(error).__name__}: {lines[-1][:600]}")]
        took = time.perf_counter() - start
        for number, (what, result) in enumerate(rows):
            print(f"| {what} | {result} | {'' if number else f'{took:.0f}'} |", flush=True)
    sys.exit(failed)


def tests(device: str) -> Rows:
    """Those that take their device from a fixture, on the GPU."""
    for package, says in (("pytest", "pytest is not installed: not run"), DIGITS_NEED):
        if importlib.util.find_spec(package) is None:
            yield "tests on the device", says
            return
    # Without `addopts` of pyproject.toml: -n and --dist are unknown to pytest where there is no pytest-xdist, and with
    # --strict-markers so is the mark `timeout` where there is no pytest-timeout (whose `timeout = 300` is then a mere
    # warning). What the others say is said here. The folders are those of the fixture's users, none of whom imports
    # hypothesis.
    several = ["-n", "4", "--dist", "worksteal"] if importlib.util.find_spec("xdist") and device != "cpu" else []
    command = [sys.executable, "-m", "pytest", "-v", "-o", "addopts=", "-p", "no:cacheprovider", "--tb=short",
               *several, "-m", "not slow or gpu", "-k", device, *FOLDERS]  # fmt: skip
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TESTS_S)  # fmt: skip
    except subprocess.TimeoutExpired as late:
        print((late.stdout or b"").decode(errors="replace")[-20_000:], file=sys.stderr)
        raise RuntimeError(f"not done after {TESTS_S} s") from None
    printed = done.stdout.decode(errors="replace").strip()
    lines = printed.splitlines() or ["pytest printed nothing"]
    if done.returncode:
        print(printed[-20_000:], file=sys.stderr)
        failures = [line.partition(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))]
        raise RuntimeError("; ".join([lines[-1].strip("= "), *failures]))
    yield "tests on the device", lines[-1].strip("= ")


def results(device: str) -> Rows:
    """One network with equal weights on both, and one training with equal seeds."""
    package, says = DIGITS_NEED
    if importlib.util.find_spec(package) is None:
        yield "results of CPU and GPU", says
        return
    task = ImageClassification(Source("digits"))
    here, there = task.splits("cpu"), task.splits(device)
    graph = DIGITS.decode(DIGITS.parse("1-00/1-00-000"))
    network, other = build(graph, seed=0), build(graph, seed=0).to(device)
    inputs = next(here.test.batches())[0]
    with torch.inference_mode():
        expected, found = network.eval()(inputs), other.eval()(inputs.to(device)).cpu()
    yield "outputs of equal weights, CPU and GPU", f"differ by {float((expected - found).abs().max()):.1e} at most"
    recipe = Recipe(epochs=sized(10, 1), batch_size=64, learning_rate=0.05, crop=1)
    train(network, here.train, recipe, seed=0)
    for precision in ("float32", "bfloat16"):
        other = build(graph, seed=0)
        train(other, there.train, recipe, seed=0, precision=precision)
        both = [evaluate(network, here.test), evaluate(other, there.test, precision=precision)]
        text = " and ".join(f"{each['accuracy']:.2%}" for each in both)
        yield f"test accuracy of one training on digits, CPU float32 and GPU {precision}", text


def epochs(device: str) -> Rows:
    """An epoch of 10,000 images beside the usual program."""
    split = data(device)
    programs: dict[str, Callable[[], object]] = {}
    for precision in ("float32", "bfloat16"):
        training = Training(network(), split, RECIPE, seed=0, precision=precision)
        programs[f"evonas {precision}"] = lambda training=training: (training.epoch(), wait(device))
    if importlib.util.find_spec("torchvision") is not None:
        programs["DataLoader"] = data_loader(device)
    times = interleaved(programs, rounds=ROUNDS)
    for name in programs:
        yield f"an epoch, {name}", f"{times.median(name):.2f} s"
    if "DataLoader" in programs:
        yield "DataLoader / evonas float32", str(times.ratio("DataLoader", "evonas float32"))


def idle(device: str) -> Rows:
    """The share of an epoch in which no kernel runs."""
    if device != "cuda":
        return
    split = data(device)
    for batch in (64, 512):
        training = Training(network(), split, Recipe(epochs=9, batch_size=batch), seed=0)
        training.epoch()
        wait(device)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            took = timed(lambda training=training: (training.epoch(), wait(device)))
        busy = sum(event.self_device_time_total for event in profiler.key_averages()) / 1e6
        share = 1 - min(1.0, busy / took)
        yield f"the device stands idle in an epoch, batches of {batch}", f"{share:.0%} of {took:.2f} s"


def graphs(device: str) -> Rows:
    """A step as it is, and replayed from a CUDA graph: what launches cost a small network."""
    if device != "cuda":
        return
    for name, space, code in (("digits", DIGITS, "1-00/1-00-000"), ("32x32", SMALL, CODE)):
        net = build(space.decode(space.parse(code)), seed=0).to(device, memory_format=torch.channels_last).train()
        inputs = torch.randn(BATCH, *space.input_shape, device=device).contiguous(memory_format=torch.channels_last)
        targets = torch.randint(10, (BATCH,), device=device)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, fused=True)

        def step(net=net, inputs=inputs, targets=targets, optimizer=optimizer) -> None:
            optimizer.zero_grad(set_to_none=False)
            torch.nn.functional.cross_entropy(net(inputs), targets).backward()
            optimizer.step()

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()

        def many(once: Callable[[], object]) -> Callable[[], object]:
            return lambda: ([once() for _ in range(200)], wait(device))

        times = interleaved({"as it is": many(step), "graph": many(graph.replay)}, rounds=ROUNDS)
        each = times.median("as it is") / 200 * 1e3
        yield f"a step of {BATCH} {name}: CUDA graph / as it is", f"{times.ratio('graph', 'as it is')} of {each:.2f} ms"


def workers(device: str) -> Rows:
    """Epochs a second of one, two and four processes on one device."""
    rates = {}
    for count in sized((1, 2, 4), (1,)):
        command = [sys.executable, __file__, "epoch", device]
        processes = [
            subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        for process in processes:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a worker ended before it was ready")
        start = time.perf_counter()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            process.stdout.readline()
        rates[count] = count * ROUNDS / (time.perf_counter() - start)
        for process in processes:
            process.stdin.close()
            process.wait()
    for count, rate in rates.items():
        yield f"epochs a second, {count} processes on one device", f"{rate:.2f} ({rate / rates[1]:.2f} of one)"


def worker(device: str) -> None:
    """One of them: ready, then so many epochs once it is told to go."""
    torch.set_num_threads(1)
    training = Training(network(), data(device), RECIPE, seed=0)
    training.epoch()
    wait(device)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(ROUNDS):
        training.epoch()
    wait(device)
    print("done", flush=True)


def memory(device: str) -> Rows:
    """The peak of a training against its estimate, above what lies on the device before."""
    if device != "cuda":
        return
    for genome in GENOMES:
        graph = graph_of(*genome)
        images = torch.randint(256, (3 * BATCH, 3, 32, 32), device=device).float()
        split = Split(images, torch.randint(10, (3 * BATCH,), device=device), ImageClassification(Source("digits")))
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        train(build(graph.simplified(training=True)), split, Recipe(epochs=1, batch_size=BATCH), seed=0)
        found = torch.cuda.max_memory_allocated() - before
        estimate = training_bytes(graph, MEMORY_RECIPE, device="cuda")
        sizes = f"estimate {estimate / 2**20:.0f} MiB, measured {found / 2**20:.0f}"
        yield f"memory of {' '.join(map(str, genome))}", f"{sizes}, ratio {estimate / found:.2f}"


def supernets(device: str) -> Rows:
    """A step of alpha and one of the weights, 8 cells of 16 channels, batches of 64."""
    layers, channels = sized((8, 16), (2, 4))
    split = data(device)[: 4 * BATCH]
    recipe = Recipe(epochs=50, batch_size=BATCH, learning_rate=0.025, nesterov=False, clip_norm=5)
    for name, policy in (("DARTS", DARTS), ("GDAS", GDAS)):
        space = DARTSSpace(layers, channels, search=True)
        search = SupernetSearch(policy(space, rng=Random(0)))
        search.prepare(GivenBench(split[: 2 * BATCH], split[2 * BATCH :], recipe))
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        took = []
        for _ in range(ROUNDS + 1):  # the first one loads kernels
            took.append(timed(lambda search=search: (search.generate(1), wait(device))))
        peak = f", peak {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB" if device == "cuda" else ""
        yield f"{name}: a step of a supernet of {layers} cells", f"{min(took[1:]) / 2 * 1e3:.0f} ms{peak}"


# ---- what they are made of ----------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The environment for a process that imports evonas from this checkout."""
    paths = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def network() -> torch.nn.Module:
    return build(SMALL.decode(SMALL.parse(CODE)), seed=0)


def data(device: str) -> Split:
    """Images of noise: the time does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (IMAGES,), generator=generator)
    mean, std = (torch.tensor(each, device=device).view(1, 3, 1, 1) for each in (MEAN, STD))
    return Split(images.to(device), labels.to(device), ImageClassification(Source("digits")), mean, std)


def data_loader(device: str) -> Callable[[], object]:
    """torchvision's transforms in a DataLoader with worker processes, to the device batch by batch."""
    from epoch import Pictures
    from torch.utils.data import DataLoader

    split = data("cpu")
    net = network().to(device).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loader = DataLoader(Pictures(split.inputs, split.targets), batch_size=BATCH, shuffle=True, drop_last=True,
                        num_workers=sized(8, 0), pin_memory=device == "cuda")  # fmt: skip

    def epoch() -> None:
        for batch, theirs in loader:
            optimizer.zero_grad()
            outputs = net(batch.to(device, non_blocking=True))
            torch.nn.functional.cross_entropy(outputs, theirs.to(device, non_blocking=True)).backward()
            optimizer.step()
        wait(device)

    return epoch


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


PARTS = (tests, results, epochs, idle, graphs, workers, memory, supernets)

if __name__ == "__main__":
    if sys.argv[1:2] == ["epoch"]:
        worker(sys.argv[2])
    else:
        main(*sys.argv[1:])
