"""The command `evonas`. Help and lists answer without torch: what needs it is imported where it is used."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import click

from evonas import __version__
from evonas.device import DEVICES, PRECISIONS, choose_device, choose_precision
from evonas.errors import RunError, UserError

INTERRUPTED = 130


class Duration(click.ParamType):
    """90, 90s, 10m, 1h30m: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", value.strip())
        if not found or not any(found.groups()):
            self.fail(f"{value!r} is no duration; write 90s, 10m or 1h30m", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        total = 3600 * hours + 60 * minutes + seconds
        if not total > 0:
            self.fail(f"{value!r} allows nothing; use more than 0", param, ctx)
        return total


class InputShape(click.ParamType):
    """channels x height x width, such as 3x32x32."""

    name = "CxHxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if not re.fullmatch(r"\d+x\d+x\d+", str(value)):
            self.fail(f"{value!r} is no shape; write channels x height x width, such as 3x32x32", param, ctx)
        return tuple(map(int, value.split("x")))


class Words(click.Option):
    """An option that takes every word up to the next option: `--set population=20 generations=4`."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        option = parser._long_opt[self.opts[0]]
        process = option.process

        def take_all(value: str, state: Any) -> None:
            process(value, state)
            while state.rargs and re.match(r"[\w.]+=", state.rargs[0]):
                process(state.rargs.pop(0), state)

        option.process = take_all


def settings_option(function: Any) -> Any:
    return click.option(
        "--set", "words", cls=Words, multiple=True, metavar="NAME=VALUE ...",
        help="Change settings of the system, its space or its recipes; `evonas list` shows them.",
    )(function)  # fmt: skip


positive = click.IntRange(min=1)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="evonas")
def cli() -> None:
    """Neural architecture search as evolutionary computation, on DEAP and PyTorch."""


@cli.command()
@click.argument("system")
@click.option("--data", default="digits", show_default=True, metavar="NAME|PATH",
              help="A data set by name, an .npz file, or a folder of images.")  # fmt: skip
@click.option("--size", type=positive, help="Resize images to SIZE x SIZE.")
@click.option("--validation", type=float, default=0.2, show_default=True, metavar="SHARE",
              help="Share of the training images that the search is judged on.")  # fmt: skip
@click.option("--data-dir", type=click.Path(), help="Where named data sets lie or are downloaded to.")
@click.option("--preset", help="A named set-up of the system; the default fits the size of the images.")
@settings_option
@click.option("--out", type=click.Path(path_type=Path), help="The run directory. [default: runs/SYSTEM-DATA-SEED]")
@click.option("--evaluations", type=positive, help="Stop after this many evaluations.")
@click.option("--epochs", "epochs", type=positive, help="Stop after this many epochs of training.")
@click.option("--time", "seconds", type=Duration(), help="Time for the search and the winner's final training: 10m.")
@click.option("--timeout", type=Duration(), help="Limit for one evaluation; a network over it is a failure.")
@click.option("--workers", type=positive, help="Evaluations at a time. [default: one a core, or one on a GPU]")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True,
              help="auto: bfloat16 where the hardware has it.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--baseline/--no-baseline", default=True, help="Also random search and a hand-written network.")
def search(
    system: str,
    data: str,
    size: int | None,
    validation: float,
    data_dir: str | None,
    preset: str | None,
    words: tuple[str, ...],
    out: Path | None,
    evaluations: int | None,
    epochs: int | None,
    seconds: float | None,
    timeout: float | None,
    workers: int | None,
    device: str,
    precision: str,
    seed: int,
    baseline: bool,
) -> None:
    """Search for a network by SYSTEM (such as genet), train the winner, and compare it."""
    from evonas.data import DATASETS, Source, load
    from evonas.loop import Budget
    from evonas.runs import Config, Run
    from evonas.systems import read_settings
    from evonas.systems import system as find

    known = find(system)
    settings = read_settings(words)
    if preset is not None:
        known.preset(preset)
    where = str(Path(data).resolve()) if data not in DATASETS and Path(data).exists() else data
    source = Source(where, size=size, validation=validation, seed=seed, root=data_dir)
    images = load(source)
    preset = preset or known.preset_for(images.input_shape)
    setup = known.preset(preset).fitted_having(images.input_shape, len(images.classes), settings)
    if seconds is None and epochs is None and evaluations is None:
        evaluations = setup.strategy.evaluations
    device = choose_device(device)
    config = Config(
        system=system,
        preset=preset,
        settings=setup.settings(),
        source=source,
        seed=seed,
        budgets=(Budget(evaluations, epochs, seconds),),
        workers=workers or (1 if device == "cuda" else os.cpu_count() or 1),
        device=device,
        precision=choose_precision(precision, device),
        timeout_s=timeout,
        baseline=baseline,
    )
    run = Run.new(out or _free(Path("runs") / f"{system}-{Path(data).stem}-{seed}"), config)
    sizes = (
        f"{len(images.y_train)} training, {len(images.y_validation)} validation and {len(images.y_test)} test images"
    )
    click.echo(
        f"{system} ({preset}) on {data}: {sizes} of {'x'.join(map(str, images.input_shape))}\n"
        f"{config.workers} worker{'s' * (config.workers > 1)} on {device} in {config.precision}; in {run.directory}"
    )
    _go(run)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--evaluations", type=positive, help="Go on to this many evaluations in all.")
@click.option("--time", "seconds", type=Duration(), help="Go on for this long.")
@click.option("--workers", type=positive, help="Evaluations at a time, from now on.")
def resume(directory: Path, evaluations: int | None, seconds: float | None, workers: int | None) -> None:
    """Go on with the run in DIRECTORY where it stopped, or take a finished one further."""
    from dataclasses import replace

    from evonas.runs import Run

    run = Run.open(directory)
    if evaluations is not None or seconds is not None:
        run = run.extended(evaluations=evaluations, seconds=seconds)
    elif run.finished():
        click.echo(f"{directory} is finished; to go on longer: evonas resume {directory} --evaluations N")
        return
    if workers is not None:
        run = Run(directory, replace(run.config, workers=workers))
    run.write_config()
    _go(run)


@cli.command()
@click.argument("system")
@click.argument("code")
@click.option("--preset", help="A named set-up of the system. [default: the first one]")
@settings_option
@click.option("--input", "input_shape", type=InputShape(), help="Shape of the images: 3x32x32.")
@click.option("--classes", type=click.IntRange(min=2), help="Number of classes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--png", type=click.Path(path_type=Path), help="Draw the network into this file.")
def decode(system: str, code: str, preset: str | None, words: tuple[str, ...], input_shape: tuple[int, ...] | None,
           classes: int | None, as_json: bool, png: Path | None) -> None:  # fmt: skip
    """Show the network that CODE means in SYSTEM's space."""
    from evonas.systems import read_settings
    from evonas.systems import system as find

    known = find(system)
    setup = known.preset(preset or next(iter(known.presets)))
    plain = setup.space.to_json()
    shape = input_shape or plain["input_shape"]
    setup = setup.fitted_having(shape, classes or plain["classes"], read_settings(words))
    genome = setup.space.parse(code)
    graph = setup.space.decode(genome)
    code = setup.space.format(genome)
    if png is not None:
        from evonas import plots

        try:
            plots.architecture(graph, title=code).savefig(png, format="png", dpi=150)
        except OSError as error:
            raise UserError(f"cannot write {png}: {error.strerror}; choose another file") from None
    if not as_json:
        click.echo(f"{code}\n{graph}")
        return
    nodes = [
        {"name": node.name, "ops": list(map(str, node.operations)), "inputs": [edge.source for edge in node.inputs]}
        for node in graph.nodes
    ]
    shown = {
        "space": setup.space.to_json(),
        "genome": list(genome),
        "code": code,
        "nodes": nodes,
        "parameters": graph.parameters,
        "multiply_adds": graph.multiply_adds,
        "digest": graph.digest(),
    }
    click.echo(json.dumps(shown, indent=2))


@cli.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """The systems with their presets and settings, and the data sets."""
    from evonas.data import DATASETS
    from evonas.systems import systems

    if as_json:
        shown = {
            "systems": [
                {
                    "name": each.name,
                    "about": each.about,
                    "paper": each.paper,
                    "presets": {
                        name: {"about": setup.about, "evaluations": setup.strategy.evaluations,
                               "settings": setup.settings()}
                        for name, setup in each.presets.items()
                    },
                }
                for each in systems().values()
            ],
            "data": [{"name": name, "about": about} for name, about in DATASETS.items()],
        }  # fmt: skip
        click.echo(json.dumps(shown, indent=2))
        return
    for each in systems().values():
        click.echo(f"{each.name}: {each.about}\n  {each.paper}")
        for name, setup in each.presets.items():
            click.echo(f"  preset {name}: {setup.about}")
        click.echo("  settings, as in the first preset:")
        for name, value in next(iter(each.presets.values())).settings().items():
            click.echo(f"    {name}={','.join(map(str, value)) if isinstance(value, list) else value}")
    click.echo("data:")
    for name, about in DATASETS.items():
        click.echo(f"  {name}: {about}")
    click.echo("  FILE.npz: x_train, y_train, x_test, y_test\n  FOLDER: one folder of images a class")


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
def plot(directory: Path) -> None:
    """Draw the pictures of the run in DIRECTORY anew, also while it goes on."""
    from evonas.runs import Run

    for path in Run.open(directory).plot():
        click.echo(path)


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 failed on the way, 2 wrong use, 130 interrupted."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        _leave(error.format_message(), 2 if isinstance(error, click.UsageError) else error.exit_code)
    except (UserError, RunError) as error:
        _leave(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _leave("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(message: str, code: int) -> None:
    click.echo("evonas: " + " ".join(message.split()), err=True)
    sys.exit(code)


def _go(run: Any) -> None:
    from rich.console import Console

    from evonas.progress import Progress

    signal.signal(signal.SIGTERM, _interrupt)
    console = Console() if sys.stdout.isatty() else Console(width=120)  # a file has no width of its own
    try:
        with Progress(console) as progress:
            summary = run.go(progress)
    except KeyboardInterrupt:
        _leave(f"interrupted; nothing told is lost: go on with 'evonas resume {run.directory}'", INTERRUPTED)
    except RunError as error:
        raise RunError(f"{error} (evonas resume {run.directory})") from error
    _show(console, summary, run.directory)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _show(console: Any, summary: dict[str, Any], directory: Path) -> None:
    from rich.table import Table

    table = Table(title=f"after {summary['evaluations']} evaluations in {summary['wall_s']:.0f} s")
    for column in ("", "code", "validation", "test", "parameters", "multiply-adds"):
        table.add_column(
            column, justify="left" if column in ("", "code") else "right", overflow="fold", no_wrap=column != "code"
        )
    for role in ("winner", "random_search", "reference"):
        if role in summary:
            row = summary[role]
            table.add_row(role.replace("_", " "), row["code"], _percent(row["validation_accuracy"]),
                          _percent(row["test_accuracy"]), f"{row['parameters']:,}",
                          f"{row['multiply_adds']:,}")  # fmt: skip
    console.print(table)
    if summary["failed"]:
        console.print(f"{summary['failed']} of the evaluations failed; journal.jsonl says why")
    console.print(f"the winner as PyTorch weights: {directory}/best; pictures: {directory}/plots", soft_wrap=True)


def _percent(fraction: float | None) -> str:
    return "failed" if fraction is None else f"{fraction:.2%}"


def _free(path: Path) -> Path:
    """This path, or with the first number after it that is not taken."""
    number = 2
    free = path
    while free.exists():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free
