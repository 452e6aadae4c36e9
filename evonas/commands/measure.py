"""evonas measure"""

from __future__ import annotations

from pathlib import Path

import click

from evonas.commands.options import Fields, InputShape, Place, device_options, positive, settings_option


@click.command(cls=Fields)
@click.argument("system", metavar="[SYSTEM|SPACE]", default="evonas")
@click.option("--preset", help="A named set-up of the system. [default: the first one]")
@settings_option
@click.option("--input", "input_shape", type=InputShape(), help="Shape of the images: 3x32x32.")
@click.option("--outputs", type=positive, help="Number of outputs, such as classes.")
@click.option("--max-multiply-adds", help="Only of networks with at most so many: 20M. [default: the system's own]")
@click.option("--networks", type=positive, default=300, show_default=True,
              help="Random networks whose operations are measured.")  # fmt: skip
@click.option("--batch", type=positive, default=1, show_default=True, help="Images of a forward pass.")
@click.option("--threads", type=positive, default=1, show_default=True, help="Threads of the CPU.")
@device_options
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--to", type=Place(), default="latency.json", show_default=True, help="The file of the table.")
def command(
    system: str,
    preset: str | None,
    words: tuple[str, ...],
    input_shape: tuple[int, ...] | None,
    outputs: int | None,
    max_multiply_adds: str | None,
    networks: int,
    batch: int,
    threads: int,
    device: str,
    precision: str,
    seed: int,
    to: Path,
) -> None:
    """Measure what the operations of a SPACE take on this machine, for `evonas search --target-ms`.

    The table is checked by whole networks, and says how well it predicts them.
    """
    from evonas.evaluation.limits import Limits
    from evonas.reports.progress import passing
    from evonas.run.latencies import table_of
    from evonas.support.device import choose_device
    from evonas.systems import registry
    from evonas.systems.own import resolved
    from evonas.systems.settings import read_words

    known = registry.system(resolved(system))
    setup = registry.setup(known, preset or next(iter(known.presets)))
    shapes = {"input_shape": input_shape, "outputs": outputs}
    setup = setup.having(read_words(words), **{name: value for name, value in shapes.items() if value is not None})
    limits = Limits.read(None, max_multiply_adds, usual=known.most(setup.space))
    with passing() as show:
        table = table_of(
            setup, limits, networks=networks, seed=seed, device=choose_device(device), batch=batch, threads=threads,
            precision="float32" if precision == "auto" else precision,
            on_step=lambda done, of: show(f"measured {done} of {of} operations"),
        )  # fmt: skip
    table.write(to)
    click.echo(f"{to}: {len(table.ms):,} operations of {networks} networks on {table.machine} ({table.device}, "
               f"{table.precision}, {threads} threads, batches of {batch})\n{table}")  # fmt: skip
