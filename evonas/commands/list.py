"""evonas list"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from evonas.commands.options import Grouped

if TYPE_CHECKING:
    from evonas.systems.settings import Setting
    from evonas.systems.system import System


@click.command(name="list", cls=Grouped)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    """What there is: systems, spaces, strategies, data sets and recipes, a line each; or all about NAME: its presets
    and settings, with what a preset sets otherwise than the default."""
    if name is None:
        click.echo(json.dumps(_everything(), indent=2) if as_json else "\n".join(_overview()))
        return
    from evonas.systems import registry
    from evonas.systems.settings import settings_of

    known = {*registry.systems(), *registry.SPACES}
    if name in registry.STRATEGIES and name not in known:
        found = registry.chosen(name).settings
        click.echo(json.dumps(_settings_json(found), indent=2) if as_json else "\n".join(_strategy(name)))
        return
    if name in registry.SCHEDULERS and name not in known:
        found = settings_of(registry.scheduler_class(name))
        click.echo(json.dumps(_settings_json(found), indent=2) if as_json else "\n".join(_scheduler(name)))
        return
    if name in registry.SUPERNETS and name not in known:
        found = registry.trained(name).settings
        click.echo(json.dumps(_settings_json(found), indent=2) if as_json else "\n".join(_policy(name)))
        return
    if name in _recipes() and name not in known:
        click.echo(json.dumps(_recipes()[name], indent=2) if as_json else "\n".join(_recipe(name)))
        return
    system = registry.system(name)
    click.echo(json.dumps(_system_json(system), indent=2) if as_json else "\n".join(_system(system)))


def _overview() -> Iterator[str]:
    from evonas.data.sources import DATASETS
    from evonas.systems import registry

    systems = registry.systems()
    yield "systems: evonas search NAME (evonas list NAME shows presets and settings)"
    yield from (f"  {each.name:<15}{each.about}" for each in systems.values())
    yield "further spaces: evonas search NAME"
    yield f"  {', '.join(each for each in registry.SPACES if each not in systems)}, FILE.py:SPACE"
    yield "strategies: evonas search ... --strategy NAME:setting=value, and evonas compare --strategies"
    yield from (f"  {each:<19}{_about(each)}" for each in registry.STRATEGIES if each not in systems)
    yield f"  {'FILE.py:NAME':<19}one of your own; those of the systems go by their names"
    yield "policies that train a supernet, by which genomes are judged: evonas search ... --supernet NAME:setting=value"
    yield from (f"  {each:<19}{_first_sentence(registry.trained(each).make)}" for each in registry.SUPERNETS)
    yield "schedulers of trainings that stop early: evonas search ... --fidelity NAME:setting=value"
    yield from (f"  {each:<19}{_first_sentence(registry.scheduler_class(each))}" for each in registry.SCHEDULERS)
    yield "data: evonas search ... --data NAME"
    yield from (f"  {name:<14}{about}" for name, about in DATASETS.items())
    yield f"  {'FILE.npz':<14}x_train, y_train, x_test, y_test"
    yield f"  {'FOLDER':<14}one folder of images a class"
    yield "recipes: evonas train ... --recipe NAME; final and search, as the run or system has them"
    yield f"  {', '.join(_recipes())}"


def _about(name: str) -> str:
    """The first sentence of a strategy's docstring."""
    from evonas.systems import registry

    return _first_sentence(registry.chosen(name).make)


def _first_sentence(make: Any) -> str:
    text = " ".join((inspect.getdoc(make) or "").split("\n\n")[0].split())
    return text if len(text) <= 90 else text[:88] + " …"


def _recipes() -> dict[str, Any]:
    from evonas.recipe import RECIPES

    return {name: recipe.to_json() for name, recipe in RECIPES.items()}


def _recipe(name: str) -> Iterator[str]:
    from evonas.recipe import RECIPES, Recipe
    from evonas.systems.settings import fields_of

    usual = fields_of(Recipe())
    yield f"recipe {name}: what it has otherwise than by default"
    own = fields_of(RECIPES[name])
    yield from _lines({key: each for key, each in own.items() if each.default != usual[key].default})


def _strategy(name: str) -> Iterator[str]:
    from evonas.systems import registry

    found = registry.chosen(name)
    yield f"strategy {name}: {_about(name)}"
    yield from _lines(found.settings)


def _scheduler(name: str) -> Iterator[str]:
    from evonas.systems import registry
    from evonas.systems.settings import settings_of

    yield f"scheduler {name}: {_first_sentence(registry.scheduler_class(name))}"
    yield from _lines(settings_of(registry.scheduler_class(name)))


def _policy(name: str) -> Iterator[str]:
    from evonas.systems import registry

    found = registry.trained(name)
    yield f"policy {name}: {_first_sentence(found.make)}"
    yield from _lines(found.settings)


def _system(system: System) -> Iterator[str]:
    """Presets, each with what it sets otherwise than the default; then every setting with its default."""
    from evonas.recipe import Recipe
    from evonas.systems import registry
    from evonas.systems.settings import fields_of, shown
    from evonas.systems.setup import FROM_TASK

    yield f"{system.name}: {system.about}"
    if system.paper:
        yield f"  {system.paper}"
    for name in system.presets:
        setup = registry.setup(system, name)
        plain = registry.chosen(system.strategy, system.toolbox).settings
        usual = {
            "space": fields_of(type(setup.space)(), without=FROM_TASK),
            "strategy": plain,
            "supernet": {} if setup.supernet is None else registry.trained(setup.supernet.name).settings,
            "search": fields_of(Recipe()),
            "final": fields_of(setup.search),
        }
        yield f"preset {name}: {setup.about}"
        for group, settings in setup.groups.items():
            said = [
                f"{key}={shown(each.default)}"
                for key, each in settings.items()
                if each.default != usual[group][key].default
            ]
            if said:
                yield f"  {group}{' (beside the search)' * (group == 'final')}: {' '.join(said)}"
    first = registry.setup(system, next(iter(system.presets)))
    for group in ("space", "strategy", *["supernet"] * (first.supernet is not None)):
        yield f"{group} settings, as in the first preset:"
        yield from _lines(first.groups[group])
    yield "search and final settings: the fields of a recipe"
    yield from _lines(fields_of(Recipe()))


def _lines(settings: dict[str, Setting]) -> Iterator[str]:
    from evonas.systems.settings import shown

    wide = max((len(f"{name}={shown(each.default)}") for name, each in settings.items()), default=0)
    wide = min(wide, 32)
    for name, each in settings.items():
        yield f"  {f'{name}={shown(each.default)}':<{wide}}  {each.help}".rstrip()


def _settings_json(settings: dict[str, Setting]) -> dict[str, Any]:
    from evonas.systems.settings import plain

    return {name: {"default": plain(each.default), "help": each.help} for name, each in settings.items()}


def _system_json(system: System) -> dict[str, Any]:
    from evonas.systems import registry

    presets = {name: registry.setup(system, name) for name in system.presets}
    return {
        "name": system.name,
        "about": system.about,
        "paper": system.paper,
        "strategy": system.strategy,
        "presets": {
            name: {"about": each.about, "evaluations": each.strategy.evaluations, "settings": each.settings()}
            for name, each in presets.items()
        },
    }


def _everything() -> dict[str, Any]:
    from evonas.data.sources import DATASETS
    from evonas.systems import registry
    from evonas.systems.settings import settings_of

    return {
        "systems": [_system_json(each) for each in registry.systems().values()],
        "spaces": list(registry.SPACES),
        "strategies": {name: _settings_json(registry.chosen(name).settings) for name in registry.STRATEGIES},
        "schedulers": {
            name: _settings_json(settings_of(registry.scheduler_class(name))) for name in registry.SCHEDULERS
        },
        "recipes": _recipes(),
        "data": [{"name": name, "about": about} for name, about in DATASETS.items()],
    }
