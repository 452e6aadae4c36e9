"""The command `evonas`. Help and lists answer without torch: what needs it is imported where it is used."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import click

from evonas import __version__
from evonas.errors import INTERRUPTED, RunError, UserError
from evonas.support.device import DEVICES, EXECUTORS, PRECISIONS


class Duration(click.ParamType):
    """90, 90s, 10m, 1h30m: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from evonas.api import seconds_of

        try:
            return value if isinstance(value, float) else seconds_of(value)
        except UserError as error:
            self.fail(str(error), param, ctx)


class Count(click.ParamType):
    """200000, 200k, 20M: a number."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from evonas.objectives import read_count

        try:
            return read_count(value)
        except UserError as error:
            self.fail(str(error), param, ctx)


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


positive = click.IntRange(min=1)


class Fields(click.Command):
    """A command that takes the settings of a system as options too: `--layers 20` is `--set layers=20`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {name for param in self.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
        read, waiting = [], list(args)
        while waiting:
            word = waiting.pop(0)
            name, equals, value = word.partition("=")
            if word.startswith("--") and len(word) > 2 and name not in known:
                if not equals and not waiting:
                    raise click.UsageError(f"{name} wants a value", ctx)
                field = name[2:].replace("-", "_")
                read += ["--set", f"{field}={value if equals else waiting.pop(0)}"]
            else:
                read.append(word)
        return super().parse_args(ctx, read)


def settings_option(function: Any) -> Any:
    return click.option(
        "--set", "words", cls=Words, multiple=True, metavar="NAME=VALUE ...",
        help="Change settings of the system, its space or its recipes; `evonas list` shows them.",
    )(function)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="evonas")
def cli() -> None:
    """Neural architecture search as evolutionary computation, on DEAP and PyTorch."""


def data_options(function: Any) -> Any:
    for option in (
        click.option("--data-dir", type=click.Path(), help="Where named data sets lie or are downloaded to."),
        click.option("--validation", type=float, default=0.2, show_default=True, metavar="SHARE",
                     help="Share of the training images that networks are judged on."),
        click.option("--size", type=positive, help="Resize images to SIZE x SIZE."),
    ):  # fmt: skip
        function = option(function)
    return function


def device_options(function: Any) -> Any:
    for option in (
        click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True,
                     help="auto: bfloat16 where the hardware has it."),
        click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True),
    ):  # fmt: skip
        function = option(function)
    return function


def executor_options(function: Any) -> Any:
    for option in (
        click.option("--scheduler", metavar="ADDRESS", help="Of dask; without it, dask starts workers on this host."),
        click.option("--ssh", default="ssh", show_default=True, help="Of scoop: how it reaches other hosts."),
        click.option("--hostfile", type=click.Path(path_type=Path),
                     help="Of scoop and mpi: a host a line, with its number of workers."),
        click.option("--executor", type=click.Choice(EXECUTORS),
                     help="What runs the workers. [default: processes]"),
        click.option("--workers", type=positive,
                     help="Evaluations at a time. [default: one a core, or --workers-per-gpu on each GPU]"),
    ):  # fmt: skip
        function = option(function)
    return function


@cli.command()
@click.argument("system")
@click.option("--data", default="digits", show_default=True, metavar="NAME|PATH",
              help="A data set by name, an .npz file, or a folder of images.")  # fmt: skip
@data_options
@click.option("--preset", help="A named set-up of the system; the default fits the size of the images.")
@settings_option
@click.option("--out", type=click.Path(path_type=Path), help="The run directory. [default: runs/SYSTEM-DATA-SEED]")
@click.option("--evaluations", type=positive, help="Stop after this many evaluations.")
@click.option("--epochs", "epochs", type=positive, help="Stop after this many epochs of training.")
@click.option("--time", "seconds", type=Duration(), help="Time for the search and the winner's final training: 10m.")
@click.option("--timeout", type=Duration(), help="Limit for one training; a network over it is a failure.")
@click.option("--memory", type=Count(), help="Bytes for one training: 2G; a network that needs more is a failure. "
              "[default: the device's, shared by the workers]")  # fmt: skip
@click.option("--accumulate", is_flag=True, help="Train what needs more memory with its batches in parts.")
@click.option("--objectives", help="accuracy, and what it is weighed against: accuracy,parameters [multiply_adds, "
              "latency]. Several: NSGA-II.")  # fmt: skip
@click.option("--max-parameters", type=Count(), help="No network above is trained: 200k.")
@click.option("--max-multiply-adds", type=Count(), help="No network above is trained, for one image: 20M.")
@click.option("--init", multiple=True, metavar="CODE|DIR", help="A network to begin with, or the best of another run.")
@executor_options
@click.option("--workers-per-gpu", type=positive, default=1, show_default=True, help="Workers that share a GPU.")
@click.option("--threads", type=positive, default=1, show_default=True, help="Threads of the CPU for each worker.")
@device_options
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--baseline/--no-baseline", default=True, help="Also random search and a hand-written network.")
@click.option("--inherit/--no-inherit", default=None, help="Children begin with their parents' weights. [default: as "
              "the system does]")  # fmt: skip
@click.option("--weights-disk", type=Count(), default="2G", show_default=True,
              help="Bytes on disk for the weights of those alive.")  # fmt: skip
@click.option("--profile", is_flag=True, help="Say where the time went.")
def search(
    system: str,
    data: str,
    words: tuple[str, ...],
    evaluations: int | None,
    epochs: int | None,
    seconds: float | None,
    **options: Any,
) -> None:
    """Search for a network by SYSTEM (such as genet, or my_space.py:MySpace), train the winner, and compare it."""
    from evonas.api import search as go
    from evonas.run.loop import Budget
    from evonas.systems import read_settings

    limited = evaluations is not None or epochs is not None or seconds is not None
    budget = Budget(evaluations, epochs, seconds) if limited else None
    _launched_if_needed(options)
    del options["ssh"]
    _show(go(system, data, budget=budget, settings=read_settings(words), **options))


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--evaluations", type=positive, help="Go on to this many evaluations in all.")
@click.option("--time", "seconds", type=Duration(), help="Go on for this long.")
@executor_options
@click.option("--profile", is_flag=True, help="Say where the time went, from now on.")
def resume(
    directory: Path,
    evaluations: int | None,
    seconds: float | None,
    workers: int | None,
    executor: str | None,
    hostfile: Path | None,
    scheduler: str | None,
    ssh: str,
    profile: bool,
) -> None:
    """Go on with the run in DIRECTORY where it stopped, or take a finished one further.

    Workers and executor are as they were, where nothing else is said.
    """
    from evonas.api import go_on
    from evonas.executors.workplace import workplace
    from evonas.run.store import Run

    run = Run.open(directory)
    if evaluations is not None or seconds is not None:
        run = run.extended(evaluations=evaluations, seconds=seconds)
    elif run.finished():
        script = "run its script with resume=True and a larger budget"
        how = script if run.config.by_script else f"evonas resume {directory} --evaluations N"
        click.echo(f"{directory} is finished; to go on longer: {how}")
        return
    was = run.config
    name = executor or (None if was.executor == "own" else was.executor)
    if name == "serial" and workers is not None and executor is None:
        name = None
    place: dict[str, Any] = {"executor": name, "workers": workers or was.workers, "device": was.device}
    place |= {"hostfile": hostfile, "scheduler": scheduler}
    if name == was.executor:
        place |= {"hostfile": hostfile or was.hostfile, "scheduler": scheduler or was.scheduler}
    _launched_if_needed(place | {"ssh": ssh})
    _show(go_on(run.moved(**workplace(**place), profile=profile or None)))


@cli.command(cls=Fields)
@click.argument("what", metavar="DIR|SYSTEM")
@click.argument("which", metavar="[ID|CODE]", required=False)
@click.option("--genotype", help="Of a SYSTEM, a published genotype by its name, in place of CODE.")
@click.option("--recipe", default="final", show_default=True,
              help="final or search, as the run or system has them, or genet-cifar10, resnet-cifar, ...")  # fmt: skip
@click.option("--epochs", type=positive, help="Train this long; milestones keep their share.")
@click.option("--data", metavar="NAME|PATH", help="[default: the run's; of a system: digits]")
@data_options
@click.option("--preset", help="Of a SYSTEM; the default fits the size of the images.")
@settings_option
@click.option("--all-data", is_flag=True, help="Train on the validation images too, and keep the last epoch.")
@click.option("--out", type=click.Path(path_type=Path), help="[default: DIR/trained/ID, or trained/SYSTEM-DATA-SEED]")
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="[default: the run's; of a system: 0]")
@device_options
def train(what: str, which: str | None, genotype: str | None, data: str | None, words: tuple[str, ...],
          out: Path | None, **options: Any) -> None:  # fmt: skip
    """Train one network to the end: the winner of the run in DIR (or individual ID), or CODE of a SYSTEM.

    After every epoch there is a checkpoint; --resume goes on from it. The epoch with the best validation accuracy is
    kept, and the test images are read once, at the end.
    """
    from evonas.api import train as go
    from evonas.systems import read_settings

    if which is not None and genotype is not None:
        raise UserError("give a code, or --genotype NAME, and not both")
    which = which or genotype
    epochs = 0

    def tell(row: Any) -> None:
        nonlocal epochs
        epochs = row.epoch
        accuracy = "" if row.accuracy is None else f", validation accuracy {row.accuracy:.2%}"
        click.echo(f"epoch {row.epoch}: loss {row.loss:.4f}{accuracy}")

    try:
        trained = go(what, which, data=data, settings=read_settings(words), out=out, on_epoch=tell, **options)
    except KeyboardInterrupt:
        _leave(f"interrupted after epoch {epochs}; go on with the same command and --resume", INTERRUPTED)
    facts = trained.facts
    kept = f"epoch {facts['epoch']} of {facts['epochs']} kept, test accuracy {facts['test_accuracy']:.2%}"
    click.echo(f"{facts['code']}: {kept}\nto take it away: evonas export {trained.folder} --to FOLDER")


@cli.command()
@click.argument("what", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("which", metavar="[ID]", required=False, type=click.IntRange(0))
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="The folder to make.")
@click.option("--onnx", is_flag=True, help="Also network.onnx (pip install 'evonas[onnx]').")
def export(what: Path, which: int | None, folder: Path, onnx: bool) -> None:
    """Write a trained network as plain PyTorch: the winner of the run in DIR, its individual ID, or the trained network
    in the folder DIR. The folder needs torch and safetensors only."""
    from evonas.model.export import export as go
    from evonas.model.trained import TrainedNetwork

    alone = which is None and (TrainedNetwork.exists(what) or (what / "request.json").exists())
    trained = TrainedNetwork.open(what) if alone else _found(what, which).trained()
    difference = go(trained, folder, onnx=onnx)
    click.echo(f"ok: the exported network gives the same outputs (largest difference {difference:.1g})")
    click.echo(f"weights of {trained.folder}, {trained.test_accuracy:.2%} test accuracy")
    if trained.preprocessing["pixel"] is None:
        click.echo("the training images went below 0: say in `read` of network.py how pixels become such values")
    for path in sorted(folder.iterdir()):
        click.echo(path)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As one JSON object a line.")
@click.option("--follow", is_flag=True, help="Again every two seconds, until the run ends.")
def status(directory: Path, as_json: bool, follow: bool) -> None:
    """How the run in DIRECTORY stands: workers, evaluations in flight, failures, throughput, the best so far."""
    import time

    from evonas.reports.status import lines
    from evonas.reports.status import status as status_of
    from evonas.run.store import Run

    while True:
        run = Run.open(directory)
        found = status_of(run)
        click.echo(json.dumps(found) if as_json else "\n".join(lines(run, found)))
        if not follow or found["state"] != "running":
            return
        time.sleep(2)
        if not as_json:
            click.echo()


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("which", metavar="[ID]", required=False, type=click.IntRange(0))
@click.option("--top", type=positive, help="The best so many networks of the search.")
@click.option("--front", is_flag=True, help="The networks that no other one beats in all objectives.")
@click.option("--csv", "as_csv", is_flag=True, help="Every evaluation as CSV.")
@click.option("--png", type=click.Path(path_type=Path), help="Draw the individual's network into this file.")
def show(directory: Path, which: int | None, top: int | None, front: bool, as_csv: bool, png: Path | None) -> None:
    """What the run in DIRECTORY has found so far, or all about its individual ID."""
    from evonas.reports.progress import new_console
    from evonas.reports.tables import csv_text, fact_lines, individual_lines, network_rows, picture, summary_rows
    from evonas.reports.tables import top as best_of
    from evonas.run.store import Run

    run = Run.open(directory)
    if as_csv:
        click.echo(csv_text(run.rows()), nl=False)
        return
    if which is not None:
        for line in individual_lines(run[which]):
            click.echo(line)
        if png is not None:
            picture(run[which], png)
        return
    if png is not None:
        raise UserError("--png draws one individual; say which: evonas show DIR ID --png FILE")
    console = new_console()
    if front:
        records = [found.record for found in run.front]
        _print_table(console, network_rows(records, run.config.objectives), f"the Pareto front of {directory}")
        return
    if top is None:
        for name, text in fact_lines(run):
            console.print(f"{name}: {text}", highlight=False, markup=False, soft_wrap=True)
        _print_table(console, summary_rows(run.summary, run.config.objectives), "")
    _print_table(console, network_rows(best_of(run, top or 5), run.config.objectives), f"the best of {directory}")


@cli.command(cls=Fields)
@click.argument("system")
@click.argument("code", required=False)
@click.option("--genotype", help="A published genotype by its name, in place of CODE.")
@click.option("--open", "is_open", is_flag=True, help="All choices left open, in place of CODE: the supernet.")
@click.option("--preset", help="A named set-up of the system. [default: the first one]")
@settings_option
@click.option("--input", "input_shape", type=InputShape(), help="Shape of the images: 3x32x32.")
@click.option("--classes", type=click.IntRange(min=2), help="Number of classes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--png", type=click.Path(path_type=Path), help="Draw the network, or its cells, into this file.")
def decode(
    system: str,
    code: str | None,
    genotype: str | None,
    is_open: bool,
    preset: str | None,
    words: tuple[str, ...],
    input_shape: tuple[int, ...] | None,
    classes: int | None,
    as_json: bool,
    png: Path | None,
) -> None:
    """Show the network that CODE means in SYSTEM's space.

    Fields of the space are options: --layers 20 --channels 36.
    """
    from evonas.systems import read_settings
    from evonas.systems import system as find

    known = find(system)
    setup = known.preset(preset or next(iter(known.presets)))
    plain = setup.space.to_json()
    shape = input_shape or plain["input_shape"]
    setup = setup.fitted_having(shape, classes or plain["classes"], read_settings(words))
    if (code is not None) + (genotype is not None) + is_open != 1:
        raise UserError("give a code, or --genotype NAME, or --open, and only one of them")
    space = setup.space.supernet if is_open else setup.space
    given = code or genotype or ""
    code, graph = ("open", space.decode(space.open())) if is_open else space.read(given)
    if png is not None:
        from evonas import plots

        cells = None if is_open else space.cells_of(given)
        figure = plots.architecture(graph, title=code) if cells is None else plots.cells(cells, title=given)
        try:
            figure.savefig(png, format="png", dpi=150)
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
        "space": space.to_json(),
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
    from evonas.data.sources import DATASETS
    from evonas.recipe import RECIPES
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
            "recipes": {name: recipe.to_json() for name, recipe in RECIPES.items()},
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
    click.echo(f"recipes: final and search, as the run or system has them; {', '.join(RECIPES)}\ndata:")
    for name, about in DATASETS.items():
        click.echo(f"  {name}: {about}")
    click.echo("  FILE.npz: x_train, y_train, x_test, y_test\n  FOLDER: one folder of images a class")


@cli.command()
@click.option(
    "--space", required=True, help="nasbench201 or nasbench-macro with a --table; or a system, such as genet."
)
@click.option("--table", type=click.Path(path_type=Path), help="A table of trained networks; without one, networks are "
              "trained.")  # fmt: skip
@click.option("--data", help="cifar10, cifar100 or imagenet16 of a table; any data for training. [default: cifar10, or "
              "digits]")  # fmt: skip
@click.option("--strategies", default="random,aging,local", show_default=True, metavar="NAME[:SETTING=VALUE,...],...",
              help="Of random, aging, local, nsga2, reinforce, ppo, q-learning: aging:sample=10.")  # fmt: skip
@click.option("--seeds", type=positive, default=100, show_default=True, help="Trials of each strategy.")
@click.option("--first-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Choose settings on "
              "others than those of a published table.")  # fmt: skip
@click.option("--budget", default="200", show_default=True, metavar="N|Ns", help="Queries, or seconds of evaluation "
              "(simulated, of a table).")  # fmt: skip
@click.option("--regret", type=float, help="Count queries until the incumbent is this close to the best (points).")
@click.option("--free-repeats", is_flag=True, help="A network that was met before costs nothing.")
@click.option("--workers", type=positive, help="[default: one a core]")
@settings_option
@click.option("--out", type=click.Path(path_type=Path), help="[default: comparisons/SPACE-DATA]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--png", type=click.Path(path_type=Path), help="Draw the regret over queries into this file.")
def compare(
    space: str,
    table: Path | None,
    data: str | None,
    words: tuple[str, ...],
    as_json: bool,
    png: Path | None,
    **options: Any,
) -> None:
    """Strategies beside each other, over many seeds: on a table of trained networks, or by training."""
    from evonas.api import compare as go
    from evonas.reports.progress import new_console
    from evonas.support.files import write_bytes
    from evonas.systems import read_settings

    found = go(space, table=table, data=data, settings=read_settings(words), **options)
    if png is not None:
        from evonas.reports.pictures import png as drawn

        write_bytes(png, drawn(found.figure()))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    console = new_console()
    _print_table(console, found.rows(), found.title)
    console.print(f"all of it: {found.directory}", soft_wrap=True)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
def plot(directory: Path) -> None:
    """Draw the pictures and report.html of the run in DIRECTORY anew, also while it goes on."""
    from evonas.run.store import Run

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


def _launched_if_needed(options: dict[str, Any]) -> None:
    """Where SCOOP or MPI is asked for and has not started this process, it starts the same command; its end is ours."""
    from evonas.executors.launch import launch, to_be_launched
    from evonas.executors.workplace import workplace
    from evonas.support.device import choose_device

    if to_be_launched(options["executor"]):
        names = ("executor", "workers", "hostfile", "scheduler", "workers_per_gpu")
        place = {name: options[name] for name in names if name in options}
        found = workplace(**place, device=choose_device(options["device"]))
        hostfile = options["hostfile"]
        sys.exit(launch(found["executor"], sys.argv[1:], workers=found["workers"], ssh=options["ssh"],
                        hostfile=None if hostfile is None else Path(hostfile)))  # fmt: skip


def _leave(message: str, code: int) -> None:
    click.echo("evonas: " + " ".join(message.split()), err=True)
    sys.exit(code)


def _found(directory: Path, which: int | None) -> Any:
    from evonas.run.store import Run

    run = Run.open(directory)
    return run.best if which is None else run[which]


def _show(run: Any) -> None:
    """The end of a search: a table, or how to go on."""
    from evonas.reports.profile import inside, steering
    from evonas.reports.progress import new_console
    from evonas.reports.tables import summary_rows
    from evonas.support.files import read_json

    if run.interrupted:
        _leave(f"interrupted; nothing told is lost: go on with 'evonas resume {run.directory}'", INTERRUPTED)
    console, summary = new_console(), run.summary
    title = f"after {summary['evaluations']} evaluations in {summary['wall_s']:.0f} s"
    _print_table(console, summary_rows(summary, run.config.objectives), title)
    if summary["failed"]:
        console.print(f"{summary['failed']} of the evaluations failed; journal.jsonl says why")
    if run.config.profile:
        found = read_json(run.directory / "profile.json")
        _print_table(console, inside(found), f"inside {found['evaluations']} evaluations")
        _print_table(console, steering(found), "the process that steers")
        console.print(f"workers were in evaluations for {found['utilisation']:.1%} of the time, starting them included")
    if run.config.limits:
        console.print(f"{summary['rejected']} networks were over the limits and not trained")
    if len(run.config.objectives) > 1:
        console.print(
            f"{len(run.front)} networks on the Pareto front: evonas show {run.directory} --front", soft_wrap=True
        )
    console.print(f"the winner as PyTorch weights: {run.directory}/best; all pictures: {run.directory}/report.html",
                  soft_wrap=True)  # fmt: skip


def _print_table(console: Any, rows: Any, title: str) -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table(title=title)
    for column in rows[0]:
        words = column in ("", "code", "made by", "parents")
        table.add_column(column, justify="left" if words else "right", overflow="fold", no_wrap=column != "code")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
