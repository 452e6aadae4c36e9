"""What several commands share: kinds of values, and groups of options under their headings in the help."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from evonas.errors import UserError
from evonas.support.device import DEVICES, EXECUTORS, PRECISIONS


class Duration(click.ParamType):
    """90, 90s, 10m, 1h30m: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from evonas.run.budget import seconds_of

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
            self.fail(f"{value!r} is not a shape; write channels x height x width, such as 3x32x32", param, ctx)
        return tuple(map(int, value.split("x")))


class Place(click.ParamType):
    """The path of a file or folder."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from evonas.support.files import place

        return place(value)


def _latest_run() -> Path:
    """The directory of the run in runs/ that has been at work last."""
    journals = list(Path("runs").glob("*/journal.jsonl"))
    if not journals:
        raise click.UsageError("there are no runs in runs/; name the directory of one")
    found = max(journals, key=lambda journal: journal.stat().st_mtime).parent
    click.echo(f"{found}, the latest in runs/", err=True)
    return found


run_argument = click.argument("directory", type=Place(), required=False, default=_latest_run, metavar="[DIRECTORY]")


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


class Grouped(click.Command):
    """A command whose help shows its options under headings: an option of `group=...` stands under that one."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(HEADINGS.get(param.name or "", "Options"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


SLIP = 0.9  # likeness from which an unknown option is taken for a slip of the pen, and not for a setting


class Fields(Grouped):
    """A command that takes settings as options too: `--layers 20` is `--set layers=20`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {name for param in self.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
        read, waiting = [], list(args)
        while waiting:
            word = waiting.pop(0)
            name, equals, value = word.partition("=")
            if word == "--":
                read += [word, *waiting]
                break
            if word.startswith("--") and len(word) > 2 and name not in known:
                if meant := difflib.get_close_matches(name, known, 1, SLIP):
                    raise click.NoSuchOption(name, possibilities=meant, ctx=ctx)
                if not equals and not waiting:
                    raise click.UsageError(f"{name} wants a value", ctx)
                field = name[2:].replace("-", "_")
                read += ["--set", f"{field}={value if equals else waiting.pop(0)}"]
            else:
                read.append(word)
        return super().parse_args(ctx, read)


positive = click.IntRange(min=1)

# Under which heading an option stands in the help, by the name of its parameter.
HEADINGS = {
    name: heading
    for heading, names in {
        "What is searched": (
            "preset", "words", "decide", "supernet", "teacher", "strategy", "objectives", "max_parameters",
            "max_multiply_adds", "target_ms", "latencies", "init", "warm_start", "inherit", "baseline", "finalists",
            "genotype", "recipe",
        ),
        "Data": ("data", "data_dir", "validation", "size", "all_data"),
        "How long, and what a training may take": (
            "evaluations", "epochs", "seconds", "fidelity", "timeout", "memory", "accumulate", "weights_disk",
        ),
        "Where": (
            "workers", "executor", "hostfile", "ssh", "scheduler", "slurm", "workers_per_gpu", "threads", "device",
            "precision",
        ),
        "The run": ("out", "seed", "profile", "track", "resume"),
    }.items()
    for name in names
}  # fmt: skip

Decorator = Callable[[Any], Any]


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in this order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


settings_option = click.option(
    "--set", "words", cls=Words, multiple=True, metavar="NAME=VALUE ...",
    help="Change settings of the space, the strategy or the recipes; `evonas list NAME` shows them. Each is an option "
    "too: --layers 3, --strategy.population 20.",
)  # fmt: skip

data_options = together(
    click.option("--size", type=positive, help="Resize images to SIZE x SIZE."),
    click.option("--validation", type=float, default=0.2, show_default=True, metavar="SHARE",
                 help="Share of the training images that networks are judged on."),
    click.option("--data-dir", type=click.Path(), help="Where named data sets lie or are downloaded to."),
)  # fmt: skip

device_options = together(
    click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True),
    click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True,
                 help="auto: bfloat16 where the hardware has it."),
)  # fmt: skip

trust_option = click.option("--trust", is_flag=True, help="Run code of the user's own that the run names or has "
                            "recorded: its space, strategy, task and operations.")  # fmt: skip

track_option = click.option("--track", metavar="NAME[,NAME...]", help="What follows the run, live: tensorboard, "
                            "optuna, trackio, wandb; none: nothing any more.")  # fmt: skip

executor_options = together(
    click.option("--workers", type=positive,
                 help="Evaluations at a time. [default: one a core, or --workers-per-gpu on each GPU]"),
    click.option("--executor", type=click.Choice(EXECUTORS), help="What runs the workers. [default: processes]"),
    click.option("--hostfile", type=click.Path(),
                 help="Of scoop and mpi: a host a line, with its number of workers."),
    click.option("--ssh", default="ssh", show_default=True, help="Of scoop: how it reaches other hosts."),
    click.option("--scheduler", metavar="ADDRESS", help="Of dask; without it, dask starts workers on this host."),
    click.option("--slurm", metavar="NAME=VALUE,...", help="Of slurm: options of sbatch for each worker's job: "
                 "partition=gpu,time=1:00:00,mem=8G."),
)  # fmt: skip
