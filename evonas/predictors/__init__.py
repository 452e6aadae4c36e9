"""Predictors of the fitness of genomes, from those that were evaluated. torch and scikit-learn are loaded only by those
that need them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.predictors.encodings import Encoding

if TYPE_CHECKING:
    from evonas.predictors.predictor import Predictor
    from evonas.space import Space

PREDICTORS: dict[str, str] = {
    "gp": "evonas.predictors.linear:GaussianProcess",
    "ridge": "evonas.predictors.linear:Ridge",
    "forest": "evonas.predictors.forest:Forest",
    "bananas": "evonas.predictors.bananas:BananasEnsemble",
}


def predictor_of(name: str, encoding: str, space: Space, *, seed: int) -> Callable[[], Predictor]:
    """What makes fresh predictors of this name, which share the encoding of the space's genomes.

    Raises UserError for an unknown name, and for an encoding that the space does not have.
    """
    if name not in PREDICTORS:
        raise UserError(f"there is no predictor {name!r}; predictors are {', '.join(PREDICTORS)}")
    module, _, kind = PREDICTORS[name].partition(":")
    make, shared = getattr(import_module(module), kind), Encoding(encoding, space)
    return lambda: make(shared, seed=seed)
