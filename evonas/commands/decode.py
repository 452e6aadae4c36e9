"""evonas decode"""

from __future__ import annotations

import json
from pathlib import Path

import click

from evonas.commands.options import Fields, InputShape, Place, settings_option
from evonas.errors import UserError


@click.command(cls=Fields)
@click.argument("system", metavar="SYSTEM|SPACE")
@click.argument("code", required=False)
@click.option("--genotype", help="A published genotype by its name, in place of CODE.")
@click.option("--open", "is_open", is_flag=True, help="All choices left open, in place of CODE: the supernet.")
@click.option("--preset", help="A named set-up of the system. [default: the first one]")
@settings_option
@click.option("--input", "input_shape", type=InputShape(), help="Shape of the images: 3x32x32.")
@click.option("--outputs", type=click.IntRange(min=1), help="Number of outputs, such as classes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--png", type=Place(), help="Draw the network, or its cells, into this file.")
def command(
    system: str,
    code: str | None,
    genotype: str | None,
    is_open: bool,
    preset: str | None,
    words: tuple[str, ...],
    input_shape: tuple[int, ...] | None,
    outputs: int | None,
    as_json: bool,
    png: Path | None,
) -> None:
    """Show the network that CODE means in SYSTEM's space.

    Fields of the space are options: --layers 20 --channels 36.
    """
    from evonas.systems import registry
    from evonas.systems.own import resolved
    from evonas.systems.settings import read_words

    if (code is not None) + (genotype is not None) + is_open != 1:
        raise UserError("give a code, or --genotype NAME, or --open, and only one of them")
    known = registry.system(resolved(system))
    setup = registry.setup(known, preset or next(iter(known.presets)))
    plain = setup.space.to_json()
    shapes = {"input_shape": input_shape or plain.get("input_shape"), "outputs": outputs or plain.get("outputs")}
    own = setup.having(read_words(words), **{name: value for name, value in shapes.items() if value is not None}).space
    space = own.supernet if is_open else own
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
