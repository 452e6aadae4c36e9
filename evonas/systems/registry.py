"""Names of spaces, strategies and systems, and a user's own as FILE.py:NAME. Nothing here loads torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any

from evonas.errors import UserError
from evonas.fidelity.scheduler import Scheduler
from evonas.individual import Toolbox
from evonas.operators import by_decision
from evonas.recipe import SMALL_FINAL, Recipe
from evonas.space import Space
from evonas.strategies.nao import PAPER as NAO_PAPER
from evonas.systems.n2n import PAPER as N2N_PAPER
from evonas.systems.own import imported, is_reference
from evonas.systems.settings import near, read_words, settings_of
from evonas.systems.setup import Chosen, Setup, Trained
from evonas.systems.system import Preset, System

STRATEGIES: dict[str, str] = {
    "random": "evonas.strategies.random_search:RandomSearch",
    "sampling": "evonas.strategies.random_search:sampling",
    "local": "evonas.strategies.local_search:LocalSearch",
    "aging": "evonas.strategies.aging:AgingEvolution",
    "tournament": "evonas.strategies.tournament:Tournament",
    "eas": "evonas.strategies.eas:EAS",
    "path-level": "evonas.strategies.path_level:PathLevel",
    "hill-climbing": "evonas.strategies.hill_climbing:HillClimbing",
    "growing-tournament": "evonas.strategies.growing_tournament:GrowingTournament",
    "guided": "evonas.strategies.guided:Guided",
    "genet": "evonas.strategies.genet:GeNet",
    "nsga2": "evonas.strategies.nsga2:NSGA2",
    "nsga-net": "evonas.systems.nsga_net:nsga_net",
    "reinforce": "evonas.systems.policy_gradients:reinforce",
    "ppo": "evonas.systems.policy_gradients:ppo",
    "nas-rl": "evonas.systems.nas_rl:nas_rl",
    "mnasnet": "evonas.systems.mnasnet:mnasnet",
    "pnas": "evonas.systems.pnas:pnas",
    "dpp-net": "evonas.systems.dpp_net:dpp_net",
    "n2n": "evonas.systems.n2n:n2n",
    "q-learning": "evonas.systems.q_learning:q_learning",
    "block-qnn": "evonas.systems.block_qnn:block_qnn",
    "nao": "evonas.strategies.nao:NAO",
    "mcts": "evonas.strategies.mcts:MCTS",
    "darts": "evonas.systems.gradients:darts",
    "snas": "evonas.systems.gradients:snas",
    "gdas": "evonas.systems.gradients:gdas",
    "gdas-nsas": "evonas.systems.gradients:gdas_nsas",
    "pc-darts": "evonas.systems.gradients:pc_darts",
    "mask-connect": "evonas.systems.mask_connect:mask_connect",
    "fbnet": "evonas.systems.layerwise:fbnet",
    "proxylessnas": "evonas.systems.layerwise:proxylessnas",
    "p-darts": "evonas.systems.p_darts:p_darts",
    "i-darts": "evonas.systems.operation_sets:i_darts",
    "data": "evonas.systems.operation_sets:data",
    "das": "evonas.systems.das:das",
    "enas": "evonas.systems.enas:enas",
    "spos": "evonas.strategies.spos:SPOS",
    "preferred": "evonas.strategies.preferred:Preferred",
    "given": "evonas.strategies.preferred:Given",
    "smallest-first": "evonas.strategies.by_size:smallest_first",
    "largest-first": "evonas.strategies.by_size:largest_first",
}

# Named values of a strategy: `reinforce:preset=paper`. Without one, strategies have the values of their signatures.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "reinforce": {  # Zoph and Le 2017, section 4.1
        "paper": {"batch": 8, "learning_rate": 6e-4, "decay": 0.95, "entropy": 0.0},
    },
    "ppo": {  # Zoph et al. 2018, appendix A
        "paper": {"batch": 20, "learning_rate": 3.5e-4, "decay": 0.95, "entropy": 1e-5},
    },
    "guided": {
        "bananas": {  # White et al. 2021, algorithm 1
            "predictor": "bananas",
            "encoding": "paths",
            "acquisition": "thompson",
            "spread": 1.0,
            "batch": 10,
            "candidates": 100,
        },
        "npenas": {  # Wei et al. 2020: many offspring, of which the predictor chooses
            "predictor": "forest",
            "encoding": "one-hot",
            "acquisition": "mean",
            "batch": 10,
            "candidates": 100,
        },
        "bayesian": {"predictor": "gp", "encoding": "one-hot+pairs", "acquisition": "ei"},
    },
    "q-learning": {  # Baker et al. 2017, section 4 and appendix D
        "paper": {"schedule": "metaqnn", "shaping": False, "rate": 0.01},
    },
    "nao": {"paper": NAO_PAPER},
    "n2n": {"paper": N2N_PAPER},
}

SPACES: dict[str, str] = {
    "blocks": "evonas.genomes.blocks:BlockSpace",
    "genet": "evonas.genomes.genet:GeNetSpace",
    "large-scale": "evonas.genomes.large_scale:LargeScaleSpace",
    "edits": "evonas.genomes.edits:EditSpace",
    "path-level": "evonas.genomes.path_level:PathLevelSpace",
    "nasnet": "evonas.genomes.nasnet:NASNetSpace",
    "pnas": "evonas.genomes.pnas:PNASSpace",
    "dpp-net": "evonas.genomes.dpp_net:DPPNetSpace",
    "hierarchical": "evonas.genomes.hierarchical:HierarchicalSpace",
    "nsga-net": "evonas.genomes.nsga_net:NSGANetSpace",
    "nas-rl": "evonas.genomes.nas_rl:NASRLSpace",
    "mnasnet": "evonas.genomes.mnasnet:MnasNetSpace",
    "metaqnn": "evonas.genomes.metaqnn:MetaQNNSpace",
    "block-qnn": "evonas.genomes.block_qnn:BlockQNNSpace",
    "n2n": "evonas.genomes.n2n:N2NSpace",
    "spos": "evonas.genomes.spos:SPOSSpace",
    "fairnas": "evonas.genomes.fairnas:FairNASSpace",
    "fbnet": "evonas.genomes.fbnet:FBNetSpace",
    "proxylessnas": "evonas.genomes.proxylessnas:ProxylessNASSpace",
    "darts": "evonas.genomes.darts:DARTSSpace",
    "mask-connect": "evonas.genomes.mask_connect:MaskConnectSpace",
    "darts-sets": "evonas.genomes.darts_sets:DARTSSetsSpace",
    "das": "evonas.genomes.das:DASSpace",
    "enas-micro": "evonas.genomes.enas:ENASMicroSpace",
    "enas-macro": "evonas.genomes.enas_macro:ENASMacroSpace",
    "one-shot": "evonas.genomes.one_shot:OneShotSpace",
    "nasbench101": "evonas.genomes.nasbench101:NASBench101Space",
    "nasbench201": "evonas.genomes.nasbench201:NASBench201Space",
    "nasbench-macro": "evonas.genomes.nasbench_macro:NASBenchMacroSpace",
    "transnas101-micro": "evonas.genomes.transnas:TransNASMicroSpace",
    "transnas101-macro": "evonas.genomes.transnas:TransNASMacroSpace",
}

SCHEDULERS: dict[str, str] = {
    "halving": "evonas.fidelity.halving:SuccessiveHalving",
    "hyperband": "evonas.fidelity.halving:Hyperband",
    "asha": "evonas.fidelity.asha:asha",
    "median": "evonas.fidelity.median:MedianRule",
    "last-value": "evonas.fidelity.forecasting:last_value",
    "sotl": "evonas.fidelity.forecasting:training_speed",
    "baker": "evonas.fidelity.forecasting:baker",
    "domhan": "evonas.fidelity.forecasting:domhan",
    "lcnet": "evonas.fidelity.forecasting:lcnet",
}

# What trains a supernet by whose weights genomes are judged: any strategy may search it then.
SUPERNETS: dict[str, str] = {
    "uniform": "evonas.systems.shared_weights:uniform",
    "fair": "evonas.systems.shared_weights:fair",
    "setn": "evonas.systems.shared_weights:setn",
    "shrinking": "evonas.systems.shared_weights:shrinking",
    "nsas": "evonas.systems.shared_weights:nsas",
    "path-dropout": "evonas.systems.one_shot:path_dropout",
}

TASKS: dict[str, str] = {"image-classification": "evonas.tasks.classification:ImageClassification"}

SYSTEMS: tuple[str, ...] = (
    "evonas.systems.evonas:EVONAS",
    "evonas.systems.genet:GENET",
    "evonas.systems.large_scale:LARGE_SCALE",
    "evonas.systems.nash:NASH",
    "evonas.systems.eas:EAS",
    "evonas.systems.path_level:PATH_LEVEL_EAS",
    "evonas.systems.amoebanet:AMOEBANET",
    "evonas.systems.hierarchical:HIERARCHICAL",
    "evonas.systems.nsga_net:NSGA_NET",
    "evonas.systems.nas_rl:NAS_RL",
    "evonas.systems.nasnet:NASNET",
    "evonas.systems.pnas:PNAS",
    "evonas.systems.dpp_net:DPP_NET",
    "evonas.systems.mnasnet:MNASNET",
    "evonas.systems.metaqnn:METAQNN",
    "evonas.systems.block_qnn:BLOCK_QNN",
    "evonas.systems.n2n:N2N",
    "evonas.systems.nao:NAO",
    "evonas.systems.gradients:DARTS",
    "evonas.systems.gradients:SNAS",
    "evonas.systems.gradients:GDAS",
    "evonas.systems.gradients:PC_DARTS",
    "evonas.systems.mask_connect:MASK_CONNECT",
    "evonas.systems.layerwise:FBNET",
    "evonas.systems.layerwise:PROXYLESSNAS",
    "evonas.systems.p_darts:P_DARTS",
    "evonas.systems.operation_sets:I_DARTS",
    "evonas.systems.operation_sets:DATA",
    "evonas.systems.das:DAS",
    "evonas.systems.enas:ENAS",
    "evonas.systems.shared_weights:SPOS",
    "evonas.systems.shared_weights:SETN",
    "evonas.systems.shared_weights:FAIRNAS",
    "evonas.systems.shared_weights:PC_NAS",
    "evonas.systems.shared_weights:NSAS",
    "evonas.systems.gradients:GDAS_NSAS",
    "evonas.systems.one_shot:ONE_SHOT",
)

DEFAULT = Recipe(epochs=4, batch_size=64, learning_rate=0.05)  # of spaces that are no system's


@cache
def systems() -> Mapping[str, System]:
    """All systems by name."""
    return {each.name: each for each in map(_load, SYSTEMS)}


def system(name: str) -> System:
    """The system of this name, or what searches the space of this name, or a user's own: `my_space.py:MySpace`,
    `package.module:MySpace`.

    Raises UserError, naming the nearest, for an unknown one.
    """
    if name in systems():
        return systems()[name]
    if name in SPACES:
        return over(_load(SPACES[name])(), name)
    if is_reference(name):
        return over(space_of(imported(name), name), name)
    further = ", ".join(each for each in SPACES if each not in systems())
    known = f"systems are {', '.join(systems())}, further spaces {further}, or FILE.py:SPACE for your own"
    hint = near(name, [*systems(), *SPACES], known)
    raise UserError(f"unknown system {name!r}: {hint}")


def over(space: Space, name: str) -> System:
    """What searches a space that is no system's: generational evolution by the names of its decisions. `name` is what
    a run's config says: `FILE.py:SPACE` or `MODULE:SPACE`, from which a run can be opened again."""
    if not isinstance(getattr(space, "name", None), str):
        raise UserError(f"{type(space).__name__} has no name; give it one: name: ClassVar[str] = 'my space'")
    about = (inspect.getdoc(type(space)) or "a space of your own").splitlines()[0]
    preset = Preset(space, DEFAULT, replace(SMALL_FINAL, learning_rate=0.05), about=about, adapts=True)
    toolbox = by_decision.toolbox if space.is_sequence else by_decision.without_operators
    return System(name, about, "", {"own": preset}, "nsga2", toolbox, preset_for=lambda input_shape: "own")


def space_of(found: Any, name: str) -> Space:
    """A space, or one made by a class with defaults for all its fields. Raises UserError for anything else."""
    if isinstance(found, type) and issubclass(found, Space):
        try:
            return found()
        except TypeError as error:
            raise UserError(f"{name}: {error}; give every field of the space a default") from None
    if isinstance(found, Space):
        return found
    raise UserError(f"{name}: {found!r} is not a space; name a subclass of evonas.space.Space, or an instance of one")


def chosen(text: str, toolbox: Callable[..., Toolbox] = by_decision.toolbox) -> Chosen:
    """A strategy with its settings, by name: `aging:population=10,sample=10`, `my.py:Climb:rate=0.2`.

    Raises UserError for an unknown strategy or setting, and for a value of another kind.
    """
    name, words = _divided(text)
    if is_reference(name):
        make = imported(name)
        if not callable(make):
            raise UserError(f"{name} is {make!r}; name a class or function that takes (toolbox, *, rng, ...)")
    elif name in STRATEGIES:
        make = _load(STRATEGIES[name])
    else:
        hint = near(name, STRATEGIES, f"strategies are {', '.join(STRATEGIES)}, or FILE.py:NAME for your own")
        raise UserError(f"unknown strategy {name!r}: {hint}")
    found = Chosen(name, make, toolbox)
    given = read_words(words)
    presets = PRESETS.get(name, {})
    preset = given.pop("preset", None) if presets else None
    if preset is not None and preset not in presets:
        raise UserError(f"{name}:preset is {preset!r}; use {', '.join(presets)}, or none")
    known = found.settings
    for key in given:
        if key not in known:
            has = [*settings_of(make), *["preset"] * bool(presets)]
            raise UserError(f"{name} has no setting {key!r}; it has {', '.join(has) or 'none'}")
    values = {key: known[key].read(value, f"{name}:{key}") for key, value in given.items()}
    return found.having(**presets.get(preset or "", {}) | values)


def trained(text: str) -> Trained:
    """What trains a supernet, with its settings, by name: `uniform:bins=6`, `my.py:Policy`.

    Raises UserError for an unknown policy or setting.
    """
    name, words = _divided(text)
    if is_reference(name):
        make = imported(name)
    elif name in SUPERNETS:
        make = _load(SUPERNETS[name])
    else:
        known = f"policies are {', '.join(SUPERNETS)}, FILE.py:NAME for your own, or give the directory of another run"
        raise UserError(f"nothing trains a supernet by the name {name!r}: {near(name, SUPERNETS, known)}")
    found, given = Trained(name, make), read_words(words)
    for key in given:
        if key not in found.settings:
            raise UserError(f"{name} has no setting {key!r}; it has {', '.join(found.settings) or 'none'}")
    return found.having(**{key: found.settings[key].read(value, f"{name}:{key}") for key, value in given.items()})


def scheduler(text: str, epochs: int) -> Scheduler:
    """A scheduler of trainings with so many epochs, with its settings, by name: `asha:eta=3,least=4`.

    Raises UserError for an unknown scheduler or setting, and for a value that it cannot have.
    """
    name, words = _divided(text)
    make = scheduler_class(name)
    known = settings_of(make)
    given = read_words(words)
    for key in given:
        if key not in known:
            raise UserError(f"{name} has no setting {key!r}; it has {', '.join(known) or 'none'}")
    return make(epochs, **{key: known[key].read(value, f"{name}:{key}") for key, value in given.items()})


def scheduler_class(name: str) -> Callable[..., Scheduler]:
    """What makes a scheduler of this name, or FILE.py:NAME, for so many epochs. Raises UserError for an unknown one."""
    if name in SCHEDULERS:
        return _load(SCHEDULERS[name])
    if is_reference(name):
        return imported(name)
    hint = near(name, SCHEDULERS, f"schedulers are {', '.join(SCHEDULERS)}, or FILE.py:NAME for your own")
    raise UserError(f"unknown scheduler {name!r}: {hint}")


def setup(found: System, preset: str, strategy: str | None = None, supernet: str | None = None) -> Setup:
    """The set-up of a system's preset, with its own strategy or another one: `aging:population=20,sample=5`; and with
    its own policy that trains a supernet, if it has one, or another one: `uniform`."""
    values = found.preset(preset)
    own = chosen(found.strategy, found.toolbox).having(**values.strategy)
    using = own if strategy is None else chosen(strategy, found.toolbox)
    policy = supernet or found.supernet
    shared = None if policy is None else trained(policy).having(**(values.supernet if supernet is None else {}))
    return Setup(values.space, using, values.search, values.final, values.about, values.adapts, shared)


def task_class(name: str) -> type:
    """The class of a task by its name, or of a user's own, FILE.py:NAME. Raises UserError for an unknown one."""
    from evonas.tasks.task import Task

    if name in TASKS:
        return _load(TASKS[name])
    if not is_reference(name):
        hint = near(name, TASKS, f"tasks are {', '.join(TASKS)}, or FILE.py:TASK for your own")
        raise UserError(f"unknown task {name!r}: {hint}")
    found = imported(name)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise UserError(f"{name}: {found!r} is not a task; name a subclass of evonas.tasks.task.Task")
    return found


def _divided(text: str) -> tuple[str, list[str]]:
    """The name of a strategy, which may be FILE.py:NAME, and its settings."""
    parts = text.split(":")
    size = 2 if len(parts) > 1 and "=" not in parts[1] else 1
    return ":".join(parts[:size]).strip(), [word for word in ":".join(parts[size:]).split(",") if word]


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
