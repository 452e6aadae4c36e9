"""What a trained network says of pictures that it has not seen, and what that is worth where their classes are known.

They are prepared by the functions by which searches prepare theirs, so that what comes out does not depend on the way
by which a picture came; to 1e-5 of a probability it does not depend on the batch either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.data.unseen import Form, Labelled, OnUnreadable, Pictures, pictures, refuse
from evonas.errors import UserError
from evonas.judgement import Judgement
from evonas.support.device import torch_threads

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evonas.model.trained import TrainedNetwork


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says of N pictures.

    pictures   what each is called: its path, its place in an .npz file (mine.npz:x_test[3]), or its number
    classes    their names; None: the network has none
    outputs    (N, classes) the probability of each class; without classes (N, outputs), plain numbers
    """

    pictures: tuple[str, ...]
    classes: tuple[str, ...] | None
    outputs: np.ndarray

    def __repr__(self) -> str:
        return f"<what a network says of {len(self.pictures):,} pictures>"

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from evonas.reports.view import of_predictions

        return of_predictions(self)

    @property
    def said(self) -> list[str]:
        """The likeliest class of each picture; of equally likely ones the first. Raises UserError without classes."""
        if self.classes is None:
            raise UserError("the network has no classes; its outputs are plain numbers")
        return [self.classes[label] for label in self.outputs.argmax(1)]

    def rows(self) -> Iterator[list[str]]:
        """A row of a table for each picture, under the heads of `columns`."""
        if self.classes is None:
            for name, numbers in zip(self.pictures, self.outputs.tolist(), strict=True):
                yield [name, *(f"{number:.6g}" for number in numbers)]
            return
        for name, said, shares in zip(self.pictures, self.said, self.outputs.tolist(), strict=True):
            yield [name, said, *(f"{share:.6f}" for share in shares)]


def columns(trained: TrainedNetwork) -> list[str]:
    """The heads of a table of predictions, without that of the file: class and classes, or plain outputs."""
    classes = trained.preprocessing["classes"]
    if classes is None:
        return [f"output {number}" for number in range(prod(trained.graph.output_shape))]
    return ["class", *classes]


def form_of(trained: TrainedNetwork) -> Form:
    """What the network takes. Raises UserError where that is no images."""
    shape = tuple(trained.graph.input_shape)
    if len(shape) != 3:
        raise UserError(f"the network takes {shape}, and no images; only networks for images can be asked for pictures")
    return Form(shape, trained.preprocessing["pixel"], trained.preprocessing["whole"])


def classes_of(trained: TrainedNetwork) -> tuple[str, ...]:
    """Their names. Raises UserError where the network has none."""
    classes = trained.preprocessing["classes"]
    if classes is None:
        raise UserError(f"the network in {trained.folder} has no classes, and only a classifier can be judged here; "
                        f"what it gives for pictures: evonas predict {trained.folder} PICTURES")  # fmt: skip
    return tuple(classes)


def prepared(trained: TrainedNetwork, images: np.ndarray) -> Tensor:
    """Images B x C x H x W, in the values of the training data, as the network takes them."""
    import torch

    from evonas.tasks.splits import channels_last, normalised

    mean, std = (
        None if (values := trained.preprocessing[name]) is None else torch.tensor(values).view(1, -1, 1, 1)
        for name in ("mean", "std")
    )
    return channels_last(normalised(torch.from_numpy(images), mean, std))


def predictions(
    trained: TrainedNetwork,
    given: Any,
    *,
    batch: int | None = None,
    trust: bool = False,
    on_unreadable: OnUnreadable | None = None,
) -> Iterator[Predictions]:
    """Batch by batch; see `TrainedNetwork.predict`. What can be known to be of no use is an error before the first."""
    found = pictures(given, form_of(trained), on_unreadable or refuse)
    network = _network(trained, batch, trust)
    classes = trained.preprocessing["classes"]
    return (
        Predictions(tuple(group.names[row] for row in rows), None if classes is None else tuple(classes), outputs)
        for group in found
        for rows, outputs in _outputs(trained, network, group, batch, on_unreadable or refuse)
    )


def joined(trained: TrainedNetwork, parts: Iterable[Predictions]) -> Predictions:
    """Batches as one."""
    found = list(parts)
    classes = trained.preprocessing["classes"]
    empty = np.empty((0, prod(trained.graph.output_shape)), np.float32)
    return Predictions(
        tuple(name for each in found for name in each.pictures),
        None if classes is None else tuple(classes),
        np.concatenate([empty, *(each.outputs for each in found)]),
    )


def judged(
    trained: TrainedNetwork,
    data: Labelled,
    *,
    batch: int | None = None,
    trust: bool = False,
    on_unreadable: OnUnreadable | None = None,
) -> Judgement:
    """A classifier on labelled pictures; see `TrainedNetwork.evaluate`."""
    classes, network = classes_of(trained), _network(trained, batch, trust)
    rows: list[int] = []
    outputs: list[np.ndarray] = []
    for some, theirs in _outputs(trained, network, data.pictures, batch, on_unreadable or refuse):
        rows += some
        outputs.append(theirs)
    if not rows:
        raise UserError(f"{data.what}: none of them can be read")
    names = tuple(data.pictures.names[row] for row in rows)
    return Judgement(classes, data.targets[rows], np.concatenate(outputs), names)


def _network(trained: TrainedNetwork, batch: int | None, trust: bool) -> nn.Module:
    import torch

    if batch is not None and batch < 1:
        raise UserError(f"batch is {batch}; use at least 1")
    return trained.network(trust=trust).to(memory_format=torch.channels_last)


def _outputs(
    trained: TrainedNetwork, network: nn.Module, found: Pictures, batch: int | None, on_unreadable: OnUnreadable
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Numbers of pictures, and what the network says of each, (B, classes or outputs)."""
    import torch

    from evonas.tasks.splits import batch_size

    form = form_of(trained)
    for rows, images in found.batches(batch or batch_size(form.shape, "cpu"), form, on_unreadable):
        with torch_threads(1), torch.inference_mode():
            outputs = network(prepared(trained, images))
            outputs = outputs.flatten(1) if trained.preprocessing["classes"] is None else outputs.softmax(1)
        yield rows, outputs.numpy()
