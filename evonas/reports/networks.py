"""A notebook shows a network as its picture. `evonas.graph` knows nothing of pictures, so IPython is told here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evonas.support.kernel import shell

if TYPE_CHECKING:
    from evonas.graph import Graph


def show_as_pictures() -> None:
    """Where this process is the kernel of a notebook."""
    kernel = shell()
    if kernel is not None:
        formatter = kernel.display_formatter.formatters["image/png"]
        formatter.for_type_by_name("evonas.graph", "Graph", _picture)


def _picture(graph: Graph) -> Any:
    from evonas.plots.architecture import architecture  # and matplotlib, when there is something to be drawn

    return architecture(graph)._repr_png_()
