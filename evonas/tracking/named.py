"""Trackers that have a name, and what a user may give as `track`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from evonas.errors import UserError
from evonas.tracking.tracker import Tracker

NONE = "none"  # tracks no longer
CALLS = ("begin", "heard", "ended")  # of the contract

# name -> where it is made, and the modules that it needs; the extra of the same name installs them
TRACKERS = {
    "tensorboard": ("tensorboard:TensorBoard", ("tensorboard",)),
    "optuna": ("optuna:Optuna", ("optuna",)),
    "trackio": ("logged:trackio", ("trackio",)),
    "wandb": ("logged:wandb", ("wandb",)),
}


def read(track: Any) -> tuple[tuple[str, ...] | None, tuple[Tracker, ...]]:
    """The names and the objects in what was given: "tensorboard,optuna", an object with the contract, or several of
    either. No names: None, or () where "none" was said.

    Raises UserError for what is neither, and where the library of a tracker is not installed.
    """
    given = [] if track is None else list(track) if isinstance(track, list | tuple) else [track]
    texts = [each for each in given if isinstance(each, str)]
    own = tuple(each for each in given if not isinstance(each, str))
    for each in own:
        if isinstance(each, type) or (lacks := [call for call in CALLS if not callable(getattr(each, call, None))]):
            why = "it is a class; give an object" if isinstance(each, type) else f"it has no {', no '.join(lacks)}"
            raise UserError(f"track={each!r:.80} is no tracker: {why} (docs: trackers)")
    names = tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",")))
    if names == (NONE,):
        return (), own
    require(names)
    return names or None, own


def require(names: Iterable[str]) -> None:
    """Raises UserError for a name that there is not, or whose library is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"there is no tracker {name!r}; use {', '.join(TRACKERS)}, or an object of your own")
        for library in TRACKERS[name][1]:
            if find_spec(library) is None:
                raise UserError(f"{library} is not installed; `pip install 'evonas[{name}]'`")


def made(names: Sequence[str]) -> list[tuple[str, Tracker]]:
    """Those of these names, each with it. Raises UserError as `require`."""
    require(names)
    found: list[tuple[str, Tracker]] = []
    for name in names:
        module, _, maker = TRACKERS[name][0].partition(":")
        found.append((name, getattr(import_module(f"evonas.tracking.{module}"), maker)()))
    return found
