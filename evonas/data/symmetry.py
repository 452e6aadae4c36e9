"""Whether mirrored pictures still show what they showed, as far as the data can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evonas.judgement import difference

if TYPE_CHECKING:
    import numpy as np

    from evonas.data.sources import ImageData

SIDE = 8  # pixels that are left of each side
SEEN = 4000  # pictures to learn from, at most, and as many to be tried on
RIDGE = 1e-2  # of the mean variance
KEPT = 0.5  # of the accuracy beyond chance


def mirrors(data: ImageData) -> bool:
    """Whether pictures may be mirrored left to right in a training.

    A linear classifier (ridge regression on pictures of 8 x 8 pixels) learns from training pictures, and is tried on
    validation pictures as they are and mirrored. It may not lose, by more than the noise, half of what it knows beyond
    chance, as it does on digits and letters. The test pictures are not looked at.
    """
    import numpy as np

    found = _small(data.x_train[:SEEN]), data.y_train[:SEEN]
    tried, targets = _small(data.x_validation[:SEEN]), data.y_validation[:SEEN]
    if not len(targets):
        return True
    flat, classes = found[0].reshape(len(found[0]), -1), len(data.classes)
    mean = flat.mean(0)
    centred = flat - mean
    wanted = np.eye(classes)[found[1]]
    penalty = RIDGE * max(float(centred.var()), 1e-12) * len(flat) * np.eye(flat.shape[1])
    weights = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (wanted - wanted.mean(0)))

    def right(pictures: np.ndarray) -> np.ndarray:
        said = (pictures.reshape(len(pictures), -1) - mean) @ weights + wanted.mean(0)
        return said.argmax(1) == targets

    as_it_is, mirrored = right(tried), right(tried[..., ::-1])
    chance = np.bincount(targets).max() / len(targets)
    lost = mirrored.mean() - chance < KEPT * (as_it_is.mean() - chance)
    return not (lost and difference(as_it_is, mirrored).low > 0)


def _small(pictures: np.ndarray) -> np.ndarray:
    """(N, C, H, W) as float64 with at most SIDE pixels a side, each the mean of those that it stands for."""
    import numpy as np

    for axis in (2, 3):
        size = pictures.shape[axis]
        starts = np.unique(np.arange(SIDE) * size // SIDE)
        lengths = np.diff(np.append(starts, size))
        sums = np.add.reduceat(pictures, starts, axis, dtype=np.float64)
        pictures = sums / lengths.reshape(-1, *[1] * (3 - axis))
    return pictures
