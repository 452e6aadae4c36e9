"""Changes of a network that keep what it has learnt: rewrites of its graph, each with a map of its weights.

>>> str(parsed("widen:stage1/block1/residual.conv:32"))
'widen:stage1/block1/residual.conv:32'
"""

from __future__ import annotations

from evonas.morphisms.branches import AddCopies, ConcatCopies, ConcatSplit
from evonas.morphisms.channels import MorphismError
from evonas.morphisms.morphism import Deepen, Extend, Morphism, Pad, Widen
from evonas.morphisms.paths import Insert, Replace
from evonas.morphisms.rewrite import Heritage, Rewrite
from evonas.morphisms.skips import AddSkip, ConcatSkip

KINDS = {each.kind: each for each in (Widen, Extend, Pad, Deepen, AddSkip, ConcatSkip, AddCopies, ConcatCopies,
                                      ConcatSplit, Insert, Replace)}  # fmt: skip
EXACT = tuple(kind for kind in KINDS if kind != Pad.kind)  # after whose offers a network computes what it did

__all__ = ["EXACT", "KINDS", "Heritage", "Morphism", "MorphismError", "Rewrite", "parsed"]


def parsed(text: str) -> Morphism:
    """The morphism of a text, KIND:PLACE:VALUE. Raises MorphismError for any other text."""
    kind, _, rest = text.partition(":")
    place, colon, value = rest.rpartition(":")
    if kind not in KINDS or not colon:
        raise MorphismError(f"{text!r} is no change of a network; write KIND:PLACE:VALUE, with one of the kinds "
                            f"{', '.join(KINDS)}")  # fmt: skip
    return KINDS[kind].read(place, value)
