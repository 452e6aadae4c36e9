"""A system: a named combination of a space, a strategy and recipes, with the values of its paper. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evonas.errors import UserError
from evonas.graph import Graph
from evonas.individual import Toolbox
from evonas.operators import by_decision
from evonas.recipe import Recipe
from evonas.space import Genome, Space


@dataclass(frozen=True)
class Preset:
    """A named set-up of a system: a space, what its strategy has otherwise than by default, and two recipes.

    adapts     crop and flip of the recipes are left to the data (`Task.augmentation`)
    supernet   what the policy that trains a supernet has otherwise than by default
    """

    space: Space
    search: Recipe
    final: Recipe
    strategy: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    adapts: bool = False
    supernet: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """What a search is held against at as many evaluations.

    name      in tables and records
    strategy  by its name in the registry; it has the system's values, where it knows them, and
    values    its own
    toolbox   from which it draws; None: uniformly from all genomes
    """

    name: str = "random_search"
    strategy: str = "random"
    values: Mapping[str, Any] = field(default_factory=dict)
    toolbox: Callable[..., Toolbox] | None = None


def by_size(input_shape: tuple[int, ...]) -> str:
    """The preset `digits` for pictures smaller than 16x16, else `small`."""
    return "digits" if min(input_shape[1:]) < 16 else "small"


@dataclass(frozen=True)
class System:
    """A system of the literature, or a user's space with what evonas takes for any space.

    strategy     by its name in the registry
    toolbox      (space, *, rng, settings) -> a DEAP toolbox with individual, clone, mutate, perhaps mate, select
    presets      named set-ups; the first is the default for small images
    preset_for   the name of the preset that fits inputs of a shape
    front        the strategy for several objectives; None: NSGA-II, with half the population as parents
    front_signs  of the objectives that `front` can search for, such as (1, -1): one to be maximised, then one to be
                 minimised; None: any
    baseline     the search that it is held against, beside the network by hand; None: that network alone
    supernet     the policy, by its name in the registry, that trains a supernet before the search, by whose weights
                 its strategy's proposals are judged; None: they are trained
    taught_by    of a space the network that is trained first, to be the teacher, where recipes distil and none is given
    inherits     children begin with their parents' weights, where nothing else is said
    fidelity     the scheduler of its own strategy's trainings by one objective, where nothing else is said
    begins       the genomes of a space with which its own strategy begins, where nothing else is said
    most         what networks of a space may cost at most, by count, where nothing else is said
    costs        objectives that its search has beside the task's metric, where nothing else is said
    """

    name: str
    about: str
    paper: str
    presets: Mapping[str, Preset]
    strategy: str
    toolbox: Callable[..., Toolbox] = by_decision.toolbox
    preset_for: Callable[[tuple[int, ...]], str] = by_size
    front: str | None = None
    front_signs: tuple[int, ...] | None = None
    baseline: Baseline | None = Baseline()
    supernet: str | None = None
    taught_by: Callable[[Any], Graph] | None = None
    inherits: bool = False
    fidelity: str | None = None
    begins: Callable[[Space], Sequence[Genome]] = lambda space: ()
    most: Callable[[Space], Mapping[str, int]] = lambda space: {}
    costs: tuple[str, ...] = ()

    def preset(self, name: str) -> Preset:
        if name not in self.presets:
            raise UserError(f"{self.name} has no preset {name!r}; presets are {', '.join(self.presets)}")
        return self.presets[name]
