"""Pictures a second of a trained network: files and an array, and batches of 1 beside 100; one thread, in turn.

    python benchmarks/predict.py

The network is a GeNet one of 16-32-64 channels for pictures of 3x32x32; files are PNG of that size and JPEG of 640x480.
The forward pass of the array by hand, in the same batches, is what no prediction can be faster than.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from paired import interleaved, sized
from PIL import Image
from safetensors.torch import save

from evonas.genomes.genet import SMALL
from evonas.model.trained import TrainedNetwork, keep
from evonas.network import build

CODE = "1-01/1-01-100/1-00-000-0000"
FILES, PHOTOS, ARRAY = sized((500, 100, 500), (3, 2, 4))
ROUNDS = sized(7, 1)


def trained(folder: Path) -> TrainedNetwork:
    graph = SMALL.decode(SMALL.parse(CODE)).simplified()
    weights = {name: tensor.contiguous() for name, tensor in build(graph, seed=0).state_dict().items()}
    classes = [f"class {number}" for number in range(graph.output_shape[0])]
    keep(
        folder,
        weights=save(weights),
        graph=graph,
        preprocessing={"mean": [127.5] * 3, "std": [60.0] * 3, "pixel": 1.0, "whole": True, "classes": classes},
        facts={"code": CODE, "metric": "accuracy", "test_accuracy": 0.1, "data": None, "epochs": 1,
               "trained_on": "train", "recipe": {}, "precision": "float32"},
    )  # fmt: skip
    return TrainedNetwork.open(folder)


def written(folder: Path, count: int, size: tuple[int, int], suffix: str) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{number:04}.{suffix}")
    return folder


@torch.inference_mode()
def by_hand(network: torch.nn.Module, x: torch.Tensor, batch: int) -> None:
    for images in x.split(batch):
        network(images)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        kept = trained(place / "kept")
        small = written(place / "small", FILES, (32, 32), "png")
        photos = written(place / "photos", PHOTOS, (640, 480), "jpg")
        array = np.random.default_rng(0).integers(0, 256, (ARRAY, 32, 32, 3), dtype=np.uint8)
        network = kept.network().to(memory_format=torch.channels_last)
        x = torch.from_numpy(array).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        programs, counts = {}, {}
        for batch in (1, 100):
            for kind, given, count in (("files", small, FILES), ("photos", photos, PHOTOS), ("array", array, ARRAY)):
                programs[f"{kind} by {batch}"] = partial(kept.predict, given, batch=batch)
                counts[f"{kind} by {batch}"] = count
            programs[f"by hand by {batch}"] = partial(by_hand, network, x, batch)
            counts[f"by hand by {batch}"] = ARRAY
        times = interleaved(programs, rounds=ROUNDS)
    for kind, count in counts.items():
        print(f"{kind}: {count / times.median(kind):,.0f} pictures a second", flush=True)
    for kind in ("files", "photos", "array"):
        found = times.ratio(f"{kind} by 1", f"{kind} by 100")
        print(f"{kind}: batches of 1 take {found} of the time of batches of 100")
    for batch in (1, 100):
        found = times.ratio(f"array by {batch}", f"by hand by {batch}")
        print(f"array by {batch}: {found} of the time of the forward pass by hand")


if __name__ == "__main__":
    main()
