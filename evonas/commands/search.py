"""evonas search"""

from __future__ import annotations

from typing import Any

import click

from evonas.commands.options import (
    Count,
    Duration,
    Fields,
    Place,
    Words,
    data_options,
    device_options,
    executor_options,
    positive,
    settings_option,
    track_option,
)


@click.command(cls=Fields)
@click.argument("system", metavar="[SYSTEM|SPACE]", default="evonas")
@click.option("--preset", help="A named set-up of the system; the default fits the size of the images.")
@settings_option
@click.option("--supernet", metavar="POLICY|DIR", help="Judge candidates by the weights of a supernet, trained by "
              "a policy (uniform, fair:mean=true...; `evonas list` shows them), or by another run.")  # fmt: skip
@click.option("--decide", cls=Words, multiple=True, metavar="FIELD=VALUE,VALUE ...", help="Search for fields of the "
              "recipe together with the network: learning_rate=0.05,0.02 batch_size=32,64.")  # fmt: skip
@click.option("--teacher", metavar="DIR", help="The finished run whose winner teaches where recipes distil "
              "(--search.distill 1); a space that begins with a network begins with it.")  # fmt: skip
@click.option("--strategy", "--then", "strategy", metavar="NAME[:SETTING=VALUE,...]", help="In place of the system's: "
              "aging:population=20, or my.py:NAME; `evonas list` shows them.")  # fmt: skip
@click.option("--objectives", help="The task's metric, and what it is weighed against: accuracy,parameters "
              "[multiply_adds, latency]. Several: NSGA-II.")  # fmt: skip
@click.option("--max-parameters", type=Count(), help="Train no network with more parameters: 200k.")
@click.option("--max-multiply-adds", type=Count(), help="Train no network with more multiply-adds for one image: 20M.")
@click.option("--target-ms", type=float, help="Train no network that takes more milliseconds, by the table of")
@click.option("--latencies", type=Place(), metavar="FILE", help="this file, which evonas measure makes. "
              "[default: measured at first]")  # fmt: skip
@click.option("--init", multiple=True, metavar="CODE|DIR", help="A network to begin with, or the best of "
              "another run; none: not those of the system.")  # fmt: skip
@click.option("--warm-start", metavar="SCORE[+SCORE...]:NETWORKS", help="Begin with the best of so many random "
              "networks by training-free scores: naswot:1000, synflow+jacov+naswot:1000.")  # fmt: skip
@click.option("--inherit/--no-inherit", default=None, help="Children begin with their parents' weights. "
              "[default: the system's own]")  # fmt: skip
@click.option("--baseline/--no-baseline", default=True, help="Also random search and a hand-written network.")
@click.option("--finalists", type=positive, default=1, show_default=True, help="Train so many of the best by the final "
              "recipe, and take the one that is best on the validation images.")  # fmt: skip
@click.option("--data", default="digits", show_default=True, metavar="NAME|PATH",
              help="A data set by name, an .npz file, a folder of images, or a task of your own: "
              "FILE.py:TASK.")  # fmt: skip
@data_options
@click.option("--evaluations", type=positive, help="Stop after this many evaluations.")
@click.option("--epochs", "epochs", type=positive, help="Stop after this many epochs of training.")
@click.option(
    "--time",
    "seconds",
    type=Duration(),
    help="Time for everything: search, random search, final trainings, pictures. 10m.",
)
@click.option("--fidelity", metavar="NAME[:SETTING=VALUE,...]", help="Stop trainings that promise little: "
              "asha:eta=3,least=4, halving, hyperband, median, baker...; `evonas list` shows them.")  # fmt: skip
@click.option(
    "--timeout", type=Duration(), help="Limit for one training: a network that takes longer counts as a failure."
)
@click.option("--memory", type=Count(), help="Bytes for one training: 2G; a network that needs more is a failure. "
              "[default: the device's, shared by the workers]")  # fmt: skip
@click.option("--accumulate", is_flag=True, help="Train what needs more memory with its batches in parts.")
@click.option("--weights-disk", type=Count(), default="2G", show_default=True,
              help="Bytes on disk for the weights of the living population, where children inherit them.")  # fmt: skip
@executor_options
@click.option("--workers-per-gpu", type=positive, default=1, show_default=True, help="Workers that share a GPU.")
@click.option("--threads", type=positive, default=1, show_default=True, help="Threads of the CPU for each worker.")
@device_options
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--out", type=click.Path(), help="The run directory. [default: runs/SYSTEM-DATA-SEED]")
@click.option("--profile", is_flag=True, help="Say where the time went.")
@track_option
def command(
    system: str,
    data: str,
    words: tuple[str, ...],
    decide: tuple[str, ...],
    evaluations: int | None,
    epochs: int | None,
    seconds: float | None,
    **options: Any,
) -> None:
    """Search for a network by SYSTEM (evonas, our own, where none is named; such as genet) or over a SPACE (such as
    my_space.py:MySpace), train the winner, and compare it."""
    from evonas.api import search
    from evonas.commands.launching import launched_if_needed
    from evonas.commands.output import show_end
    from evonas.run.budget import Budget
    from evonas.systems.settings import read_words

    limited = evaluations is not None or epochs is not None or seconds is not None
    budget = Budget(evaluations, epochs, seconds) if limited else None
    launched_if_needed(options)
    del options["ssh"]
    show_end(search(system, data, budget=budget, settings=read_words(words), decide=read_words(decide), **options))
