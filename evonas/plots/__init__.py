"""Figures of a run and of a network: functions from plain values to a matplotlib Figure.

Nothing is shown or saved, and pyplot is not used. All figures except that of a network are as wide as a page.
"""

import os
import sys
from contextlib import suppress

if "MPLBACKEND" in os.environ and "matplotlib" not in sys.modules:
    # matplotlib refuses to be imported where that backend, of a notebook's kernel, is not installed; figures need none
    backend = os.environ.pop("MPLBACKEND")
    import matplotlib

    os.environ["MPLBACKEND"] = backend
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = backend

from evonas.plots.architecture import architecture
from evonas.plots.cells import cells
from evonas.plots.curves import curves
from evonas.plots.front import front
from evonas.plots.genealogy import genealogy
from evonas.plots.history import history, logbook
from evonas.plots.importance import importance
from evonas.plots.judgement import confusion, pictures
from evonas.plots.latencies import latencies
from evonas.plots.learning import learning
from evonas.plots.lineage import lineage
from evonas.plots.predictions import predictions
from evonas.plots.ranking import ranking
from evonas.plots.regret import regret
from evonas.plots.relaxation import relaxation
from evonas.plots.stopping import stopping
from evonas.plots.training import training_curve
from evonas.plots.utilisation import utilisation

__all__ = [
    "architecture",
    "cells",
    "confusion",
    "curves",
    "front",
    "genealogy",
    "history",
    "importance",
    "latencies",
    "learning",
    "lineage",
    "logbook",
    "pictures",
    "predictions",
    "ranking",
    "regret",
    "relaxation",
    "stopping",
    "training_curve",
    "utilisation",
]
