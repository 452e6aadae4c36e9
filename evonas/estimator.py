"""A classifier of scikit-learn that searches for its network: `evonas.NASClassifier`."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from evonas import api
from evonas.data.partition import merged, parted
from evonas.errors import RunError, UserError
from evonas.run.budget import Budget
from evonas.run.store import Run
from evonas.support.files import place

SEEDS = 2**32 - 1


class NASClassifier(ClassifierMixin, BaseEstimator):
    """A classifier whose network is searched for, and trained, as it is fitted.

    X are pictures (N, H, W) or (N, H, W, C), or rows (N, F). Rows are pictures of `image_shape`, or, without it, of one
    row and F columns. Whole numbers of 8 bits are kept as such; everything else becomes float32. Pictures are
    normalised by the mean and standard deviation of each channel; features that differ in scale want a `StandardScaler`
    before.

    system             a system or space, by name or as an object, as of `evonas.search`
    budget             evaluations of a search, or a time such as "60s" for the whole `fit`; None: as many as the
                       strategy plans
    image_shape        (H, W) or (H, W, C) of the rows of X
    preset, settings, strategy, fidelity, max_parameters, max_multiply_adds, precision, threads
                       as of `evonas.search`
    validation         share of what is not held out for the test, by which networks are compared
    test               share that is held out, and read once: what `summary_` says of the winner is measured on it
    class_weight       {class: weight}, or "balanced": scikit-learn's, times the weights of the samples
    workers            evaluations at a time; 1: in this process; None: one a core, or one on each GPU
    device             "auto", cpu or cuda, for the trainings; predictions are made on the CPU
    random_state       an int is the seed of the search: with the same one the network is the same, unless the budget is
                       a time
    out                a folder in which each `fit` leaves the directory of its run (`run_`); None: none is left
    progress           show how the search goes on

    A search is judged by the accuracy on the validation part. The winner is trained anew on all but the test part.
    Weights say how often a sample is trained on. Equal samples of equal classes are one with the sum of their weights,
    so that none is both learnt from and tested on.

    classes_           the labels, in the order of the columns of `predict_proba`
    n_features_in_     length of the second axis of X (and feature_names_in_, where it has names)
    network_           the winner as a PyTorch module on the CPU: it takes (x - mean_) / std_ as float32 (N, C, H, W),
                       and gives logits (N, classes)
    mean_, std_        of each channel
    input_shape_       (C, H, W)
    code_              of the winner in its space
    summary_           what the search found, as `summary.json` of a run has it
    directory_         of the run, where there is an `out`

    A fitted classifier is complete in itself: it can be pickled, and needs no run directory.
    """

    def __init__(
        self,
        system: str | Any = "evonas",
        *,
        budget: int | str | Budget | None = None,
        image_shape: Sequence[int] | None = None,
        preset: str | None = None,
        settings: Mapping[str, Any] | None = None,
        strategy: str | None = None,
        fidelity: str | None = None,
        max_parameters: int | str | None = None,
        max_multiply_adds: int | str | None = None,
        validation: float = 0.2,
        test: float = 0.1,
        class_weight: Mapping[Any, float] | str | None = None,
        workers: int | None = 1,
        threads: int = 1,
        device: str = "auto",
        precision: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        out: str | Path | None = None,
        progress: bool = False,
    ) -> None:
        self.system = system
        self.budget = budget
        self.image_shape = image_shape
        self.preset = preset
        self.settings = settings
        self.strategy = strategy
        self.fidelity = fidelity
        self.max_parameters = max_parameters
        self.max_multiply_adds = max_multiply_adds
        self.validation = validation
        self.test = test
        self.class_weight = class_weight
        self.workers = workers
        self.threads = threads
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.out = out
        self.progress = progress

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # ---- to fit ---------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Search for a network, and train it. Ctrl-C is raised; where there is an `out`, the run lies there, to be
        resumed by itself.

        Raises ValueError where X and y cannot be used, UserError, which is one, for other arguments, and RunError where
        no network could be trained.
        """
        X, y = validate_data(self, X, y, allow_nd=True, dtype=[np.float32, np.uint8], y_numeric=False)
        check_classification_targets(y)
        pictures = self._shaped(X)
        weights = self._weights(sample_weight, y)
        self.classes_, labels = np.unique(y[weights > 0], return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"the number of classes has to be greater than one; got {len(self.classes_)} class")
        numbers = np.zeros(len(y), dtype=np.int64)  # of samples that do not count, too: they are left out
        numbers[weights > 0] = labels
        seed = self._seed()
        data = self._data(*merged(pictures, numbers, weights), seed)
        with ExitStack() as until_found:
            if self.out is None:
                directory = Path(until_found.enter_context(tempfile.TemporaryDirectory(prefix="evonas-")))
            else:
                directory = _new_folder(place(self.out).resolve())
            self._keep(self._search(data, directory, seed))
        self.directory_ = None if self.out is None else directory
        return self

    def _shaped(self, X: np.ndarray) -> np.ndarray:
        """Pictures (N, H, W, C). Raises ValueError where X are none, or others than those of `fit`."""
        shape = (1, X.shape[1]) if self.image_shape is None else tuple(self.image_shape)
        if X.ndim > 2 and self.image_shape is None:
            shape = X.shape[1:]
        if len(shape) not in (2, 3) or (X.ndim > 2 and X.shape[1:] != shape):
            wanted = "(N, F), (N, H, W) or (N, H, W, C)" if self.image_shape is None else f"(N, *{shape})"
            raise ValueError(f"X has the shape {X.shape}; give {wanted}, and an image_shape of (H, W) or (H, W, C)")
        if np.prod(X.shape[1:]) != np.prod(shape):
            raise ValueError(f"X has {X.shape[1]} features, but an image_shape of {shape} has {np.prod(shape)}")
        return X.reshape(len(X), *shape, *[1] * (3 - len(shape)))

    def _weights(self, sample_weight: Any, y: np.ndarray) -> np.ndarray:
        """The weight of each sample (N,), with that of its class."""
        weights = np.ones(len(y))
        if sample_weight is not None:
            weights = column_or_1d(np.asarray(sample_weight), dtype=np.float64)
            check_consistent_length(y, weights)
        if not np.isfinite(weights).all() or weights.min() < 0:
            raise ValueError("sample_weight holds numbers below 0, NaN or infinity; give weights from 0 on")
        weights = weights * compute_sample_weight(self.class_weight, y)
        if not weights.any():
            raise ValueError("sample_weight and class_weight are zero for all samples; give weights above zero")
        return weights

    def _seed(self) -> int:
        """The seed of the search: an int by itself."""
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(SEEDS, dtype=np.uint32))

    def _data(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int) -> dict[str, np.ndarray]:
        """The samples in parts, by the names that they have in an .npz file."""
        found = parted(y, self.validation, self.test, seed)
        if not found.tested:
            few = f"{len(y)} different samples are too few for a test part of their own"
            warnings.warn(f"{few}: what the summary says of a test is of samples that were learnt from", stacklevel=3)
        data = {"classes": np.array([str(label) for label in self.classes_])}
        for part in ("train", "validation", "test"):
            rows = getattr(found, part)
            data |= {f"x_{part}": x[rows], f"y_{part}": y[rows]}
            if part != "test" and weights.min() < weights.max():
                data[f"weights_{part}"] = weights[rows] / weights.mean()
        return data

    def _search(self, data: dict[str, np.ndarray], directory: Path, seed: int) -> Run:
        run = api.search(
            self.system,
            data,
            preset=self.preset,
            settings=self.settings,
            strategy=self.strategy,
            fidelity=self.fidelity,
            max_parameters=self.max_parameters,
            max_multiply_adds=self.max_multiply_adds,
            budget=self.budget,
            workers=self.workers,
            threads=self.threads,
            device=self.device,
            precision=self.precision,
            seed=seed,
            out=directory,
            progress=self.progress,
            report=self.out is not None,
        )
        if run.interrupted:
            raise KeyboardInterrupt
        return run

    def _keep(self, run: Run) -> None:
        """What is needed of a run, so that it can be deleted."""
        summary, trained = run.summary, run.finalist()
        assert summary is not None, "a run that was not interrupted has come to its end"
        if trained is None:
            raise RunError(f"the winner could not be trained to the end: {summary['winner'].get('error')}")
        self.summary_, self.code_ = summary, trained.facts["code"]
        self.mean_, self.std_ = (np.array(trained.preprocessing[name], np.float32) for name in ("mean", "std"))
        self.input_shape_, self.network_ = trained.graph.input_shape, trained.network(trust=True)

    @property
    def run_(self) -> Run:
        """The run of the last `fit`. Raises AttributeError where it has left none."""
        check_is_fitted(self, "classes_")
        if self.directory_ is None:
            raise AttributeError("the run of this classifier was not kept; give it an `out`, and fit it again")
        return Run.open(self.directory_)

    # ---- to predict -----------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each sample; of equally likely ones the first."""
        chosen = self.predict_proba(X).argmax(1)
        return self.classes_[chosen]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (N, classes). It is computed in float64, so that it does not depend on which
        other samples are asked for."""
        import torch

        from evonas.support.device import torch_threads
        from evonas.tasks.splits import batch_size, channels_last, normalised

        check_is_fitted(self, "classes_")
        X = validate_data(self, X, allow_nd=True, dtype=[np.float32, np.uint8], reset=False)
        images = torch.from_numpy(np.ascontiguousarray(self._shaped(X).transpose(0, 3, 1, 2)))
        if images.shape[1:] != self.input_shape_:
            raise ValueError(f"X has pictures (C, H, W) of {tuple(images.shape[1:])}, but {type(self).__name__} was "
                             f"fitted with {self.input_shape_}")  # fmt: skip
        mean, std = (torch.from_numpy(each).double().view(1, -1, 1, 1) for each in (self.mean_, self.std_))
        network = deepcopy(self.network_).double()
        with torch_threads(self.threads), torch.inference_mode():
            parts = images.split(batch_size(images.shape[1:], "cpu"))
            shares = [network(channels_last(normalised(part, mean, std))).softmax(1) for part in parts]
        return torch.cat(shares).numpy()


def _new_folder(out: Path) -> Path:
    """The first folder `fit-NUMBER` that is not taken; several fits at a time have one each."""
    number = 1
    while True:
        folder = out / f"fit-{number}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise UserError(f"cannot make the directory {folder}: {error.strerror}; choose another out") from None
