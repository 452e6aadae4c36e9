"""A trained network as a folder: what it is, its weights, and what goes in.

training.json         code, the task's first metric on the test split, recipe, data, ...; a checksum of every file
graph.json            the architecture, as `Graph.to_json` gives it
weights.safetensors   weights and statistics, by name
preprocessing.json    mean and std of each channel, the value of one step of a file's pixels, whether values are whole
                      numbers, class names; the network takes (x - mean) / std
answers.npz           what the network said of the test split, where the task keeps it: predictions (N, ...), targets
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from evonas.errors import UserError
from evonas.graph import Graph
from evonas.judgement import Judgement
from evonas.support.device import require_memory
from evonas.support.files import as_json, checksum, json_of, read_bytes, read_json, write_bytes, write_json
from evonas.support.schema import VERSION, check_version, checked
from evonas.support.text import reason, shown, words

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from evonas.data.unseen import OnUnreadable
    from evonas.model.predict import Predictions

WEIGHTS, ANSWERS = "weights.safetensors", "answers.npz"
FLOAT = 4  # bytes


class Facts(Struct):
    """training.json, as far as every one has it."""

    schema: int
    code: str
    metric: str
    epochs: int
    trained_on: str
    recipe: dict[str, Any]
    data: str | None
    precision: str
    checksums: dict[str, str]
    id: int | None = None


class Preprocessing(Struct):
    """preprocessing.json: what an input becomes, and what the outputs are called; None: they are plain numbers."""

    mean: list[float] | None
    std: list[float] | None
    pixel: float | None
    whole: bool
    classes: list[str] | None


def keep(
    folder: Path,
    *,
    weights: bytes,
    graph: Graph,
    preprocessing: dict[str, Any],
    facts: dict[str, Any],
    answers: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a folder. Raises RunError where it cannot be written."""
    files = {"graph.json": as_json(graph.to_json()), "preprocessing.json": as_json(preprocessing), WEIGHTS: weights}
    if answers is not None:
        files[ANSWERS] = _packed(answers)
    for name, data in files.items():
        write_bytes(folder / name, data)
    facts = {"schema": VERSION} | facts | {"checksums": {name: checksum(data) for name, data in files.items()}}
    # the last one: with it the folder is whole
    write_json(folder / "training.json", facts | {"checksum": _checksum(facts)})


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    import numpy as np

    file = BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _checksum(facts: dict[str, Any]) -> str:
    """The checksum of training.json itself, without this field."""
    return checksum(as_json({name: value for name, value in facts.items() if name != "checksum"}))


@dataclass(frozen=True)
class TrainedNetwork:
    """`facts` is training.json; `preprocessing` has mean, std and classes."""

    folder: Path
    graph: Graph
    facts: dict[str, Any]
    preprocessing: dict[str, Any]

    def __repr__(self) -> str:
        return f"<{self.facts['code']}, {self.worth} test {words(self.metric)}, in {self.folder}>"

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from evonas.reports.view import of_trained

        return of_trained(self)

    @staticmethod
    def exists(folder: Path) -> bool:
        return (folder / "training.json").exists() and (folder / WEIGHTS).exists()

    @classmethod
    def open(cls, folder: Path | str) -> TrainedNetwork:
        """Raises UserError where the folder holds no trained network, or a damaged one."""
        folder = Path(folder)
        try:
            facts = read_json(folder / "training.json")
            check_version(facts, str(folder))
            known = checked(facts, Facts, str(folder / "training.json"))
            if facts.get("checksum") != _checksum(facts):
                raise _damaged(folder / "training.json")
            metric = facts.get(f"test_{known.metric}")
            if not isinstance(metric, int | float | None):
                raise _damaged(folder / "training.json")
            preprocessing, graph = (
                json_of(_whole(folder / name, known.checksums.get(name)), folder / name)
                for name in ("preprocessing.json", "graph.json")
            )
            checked(preprocessing, Preprocessing, str(folder / "preprocessing.json"))
            try:
                return cls(folder, Graph.from_json(graph), facts, preprocessing)
            except UserError as error:
                raise UserError(f"{folder / 'graph.json'}: {error}") from None
        except FileNotFoundError:
            if (folder / "request.json").exists():
                raise UserError(f"{folder} holds a training that has not ended; go on with the same 'evonas train' and "
                                "--resume") from None  # fmt: skip
            raise UserError(f"{folder} holds no trained network; train one with 'evonas train'") from None

    def copy(self, folder: Path, **facts: Any) -> None:
        """Write the same network into another folder, with other facts. Raises UserError where it is damaged, RunError
        where it cannot be written."""
        known = {name: value for name, value in self.facts.items() if name not in ("schema", "checksum", "checksums")}
        keep(folder, weights=self.weights_bytes(), graph=self.graph, preprocessing=self.preprocessing,
             answers=self.answers, facts=known | facts)  # fmt: skip

    @property
    def metric(self) -> str:
        """The name of the task's first metric."""
        return self.facts["metric"]

    @property
    def tested(self) -> float | None:
        """Its value on the test split; None: it is another network now, since an edit."""
        return self.facts.get(f"test_{self.metric}")

    @property
    def worth(self) -> str:
        """The same for people."""
        return "unknown" if self.tested is None else shown(self.metric, self.tested)

    @property
    def test(self) -> float:
        """The same as a number. Raises UserError where there is none."""
        if self.tested is None:
            raise UserError(f"the network in {self.folder} is not the one that was tested; train it on with "
                            f"'evonas train {self.folder}', or see what it is worth with 'evonas evaluate "
                            f"{self.folder}'")  # fmt: skip
        return self.tested

    def network(self, *, trust: bool = False) -> nn.Module:
        """The network with its weights, on the CPU, in evaluation mode.

        forward takes (x - mean) / std as float32 (B, C, H, W) and gives logits (B, classes).

        trust   run the source that the folder has of operations whose classes are not known here; else they are a
                UserError

        Raises UserError where the weights are damaged, or not those of the graph.
        """
        from evonas.network import build
        from evonas.scheduled import finished

        weights = self.weights()
        require_memory(FLOAT * self.graph.parameters, f"the network of {self.folder}", "it cannot be built here")
        network = finished(build(self.graph, trust=trust))
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(f"{self.folder / WEIGHTS} has not the weights of graph.json ({reason(error)}); "
                            f"{_AGAIN}") from None  # fmt: skip
        return network.eval()

    def weights(self) -> dict[str, Tensor]:
        """Weights and statistics by name. Raises UserError where they are damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self.folder / WEIGHTS
        try:
            return load(self.weights_bytes())
        except (SafetensorError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path} cannot be read ({reason(error)}); {_AGAIN}") from None

    def weights_bytes(self) -> bytes:
        """The same as the file has them, safetensors. Raises UserError where it is damaged."""
        return _whole(self.folder / WEIGHTS, self.facts["checksums"].get(WEIGHTS))

    @property
    def answers(self) -> dict[str, np.ndarray] | None:
        """What the network said of the test split: `predictions` and `targets`, in its order; None where its task keeps
        nothing of it. Raises UserError where they are damaged."""
        import numpy as np

        if ANSWERS not in self.facts["checksums"]:
            return None
        with np.load(BytesIO(_whole(self.folder / ANSWERS, self.facts["checksums"][ANSWERS]))) as file:
            return dict(file)

    @property
    def judgement(self) -> Judgement | None:
        """What the test split says of a classifier; None of another network. Raises UserError where it is damaged."""
        answers, classes = self.answers, self.preprocessing["classes"]
        if answers is None or classes is None:
            return None
        return Judgement(tuple(classes), answers["targets"], answers["predictions"])

    def predict(
        self,
        pictures: Any,
        *,
        batch: int | None = None,
        trust: bool = False,
        on_unreadable: OnUnreadable | None = None,
    ) -> Predictions:
        """What the network says of pictures that it has not seen, each prepared as those of its training.

        pictures       a path, or several: of picture files, folders, globs, .npz files with an array x_test, x or
                       x_train; or images: numpy N x H x W or N x H x W x C with values as in the training data, a
                       tensor N x C x H x W, a list of such or of Pillow's. All are resized to the network's size
        batch          how many go through it at a time; None: what is fastest
        trust          as of `network`
        on_unreadable  called with the UserError of each file that cannot be read, which is left out; None: it is raised

        It computes in float32 with one thread. Raises UserError for what cannot be used.
        """
        from evonas.model.predict import joined, predictions

        return joined(self, predictions(self, pictures, batch=batch, trust=trust, on_unreadable=on_unreadable))

    def evaluate(
        self,
        data: Any,
        *,
        batch: int | None = None,
        trust: bool = False,
        on_unreadable: OnUnreadable | None = None,
    ) -> Judgement:
        """What a classifier is worth on other pictures than those of its test split, which `judgement` has.

        data    a folder with a folder of pictures for each class, or with folders of splits, of which the test part is
                taken; an .npz file with x_test and y_test, or x and y, or x_train and y_train, and perhaps classes;
                (x, y) or a torch Dataset of (image, label). Classes are known by their names where there are any, else
                by their numbers, and need not all have pictures
        others  as of `predict`

        Raises UserError for what cannot be used, a class that the network does not know, a network without classes.
        """
        from evonas.data.unseen import labelled
        from evonas.model.predict import classes_of, form_of, judged

        found = labelled(data, classes_of(self), form_of(self))
        return judged(self, found, batch=batch, trust=trust, on_unreadable=on_unreadable)


_AGAIN = "put the original back, or train the network again"


def _whole(path: Path, known: str | None) -> bytes:
    """A file as it was written. Raises UserError where it is another one by now."""
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {_AGAIN}") from None
    if checksum(data) != known:
        raise _damaged(path)
    return data


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged: it is not what was written; {_AGAIN}")
