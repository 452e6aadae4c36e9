"""Training-free scores: what a network may be worth, by one minibatch and before any training.

No score ranks reliably in every space (Abdelfattah et al. 2021, arXiv:2101.08134, Tables 2 and 3), and the numbers of
parameters and of multiply-adds often rank as well: they always stand beside a score.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from evonas.errors import UserError

if TYPE_CHECKING:
    from evonas.scores.contract import Score

SCORES: dict[str, str] = {  # by name, its function; torch is loaded only where a score is wanted
    "grad_norm": "evonas.scores.gradients:grad_norm",
    "snip": "evonas.scores.gradients:snip",
    "synflow": "evonas.scores.synflow:synflow",
    "jacov": "evonas.scores.jacov:jacov",
    "naswot": "evonas.scores.naswot:naswot",
    "zen": "evonas.scores.zen:zen",
}
BY_CLASS = ("grad_norm", "snip")  # whose targets are numbers of classes


def check_name(name: str) -> None:
    """Raises UserError for a score that there is not."""
    if name not in SCORES:
        raise UserError(f"there is no score {name!r}; scores are {', '.join(SCORES)}")


def score(name: str) -> Score:
    """The score of this name. Raises UserError where there is none."""
    check_name(name)
    module, _, function = SCORES[name].partition(":")
    return getattr(import_module(module), function)
