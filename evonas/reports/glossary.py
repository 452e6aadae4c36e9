"""What the words of a report mean: the code of a network, and what made it."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Iterable
from importlib import import_module

from evonas import operators
from evonas.space import Space

MADE = {
    "random": "Drawn at random.",
    "copy": "The same genome as its parent, which nothing has changed.",
    "reproduction": "The same genome again, proposed as it was.",
    "init": "Given by the user to begin with.",
    "warm_start": "The best of many random networks by training-free scores (warm_start.csv has all).",
    "given": "Made by the user's own strategy.",
    "trivial": "The smallest network of the space, from which evolution begins.",
    "start": "The network from which all others come.",
    "unchanged": "The same network as its parent, trained on.",
    "eas": "Edited by a controller that reads the layers of a network, or by uniform edits.",
    "path-level": "Grown by a controller that reads the tree of a cell, or by uniform decisions.",
    "controller": "Drawn by a controller, a recurrent network that learns from rewards which decisions to favour.",
    "q_learning": "Chosen by the values that Q-learning has found for each decision, or at random with the probability "
    "epsilon.",
}


def operator_words(names: Iterable[str]) -> dict[str, str]:
    """What each operator does, in the first sentences of its docstring; those that are not evonas's own are left
    out."""
    found = {}
    for name in dict.fromkeys(part for joined in names for part in joined.split(" + ")):
        text = MADE.get(name) or _first_paragraph(_operator(name))
        if text:
            found[name] = text.replace(" Changes the individual in place.", "").replace(" Changes both in place.", "")
    return found


def code_words(space: Space) -> str:
    """What a code of the space is: what its module says of it, and how it is written."""
    module = sys.modules.get(type(space).__module__)
    written = inspect.getdoc(type(space).format) or ""
    texts = [_first_paragraph(space) if module is None else inspect.getdoc(module) or "", written]
    own = type(space).__module__.startswith("evonas.")
    return "\n\n".join(filter(None, texts if own else [_first_paragraph(space)]))


def _operator(name: str) -> object:
    for module in pkgutil.iter_modules(operators.__path__):
        made = getattr(import_module(f"{operators.__name__}.{module.name}"), name, None)
        if inspect.isfunction(made):
            return made
    return None


def _first_paragraph(of: object) -> str:
    text = (inspect.getdoc(of) or "") if of is not None else ""
    return " ".join(text.partition("\n\n")[0].split())
