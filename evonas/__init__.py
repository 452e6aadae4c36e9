"""evonas: neural architecture search as evolutionary computation, on DEAP and PyTorch."""

import os as _os
import random as _random
import sys as _sys
from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

# In a checkout, `genomes/` and `operators/` stand beside this folder; installed, they lie inside it. When the working
# directory is the checkout, this folder hides an installed evonas, so the two must be found where they stand.
_parent = _os.path.dirname(_os.path.dirname(_os.path.abspath(__file__)))
if not _os.path.isdir(_os.path.join(__path__[0], "genomes")) and _os.path.isfile(
    _os.path.join(_parent, "genomes", "__init__.py")
):
    __path__.append(_parent)

# rich draws from Python's global generator as it is loaded, and torch and scikit-learn load it, within a search or an
# evaluation; loaded here, nothing is drawn later, neither in this process nor in a worker.
_state = _random.getstate()
_import_module("rich.style")
_random.setstate(_state)

if "IPython" in _sys.modules:
    _import_module("evonas.reports.networks").show_as_pictures()

__version__ = "0.1.0"

if TYPE_CHECKING:
    from evonas.api import open_run, search, train
    from evonas.comparison import compare
    from evonas.comparison.tau import tau
    from evonas.compression import compress
    from evonas.errors import RunError, UserError
    from evonas.estimator import NASClassifier
    from evonas.genomes.with_recipe import with_recipe
    from evonas.model.trained import TrainedNetwork

__all__ = ["NASClassifier", "RunError", "TrainedNetwork", "UserError", "compare", "compress", "open_run", "search",
           "tau", "train", "with_recipe"]  # fmt: skip


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str) -> _Any:
    """Public names are imported when they are used: `import evonas` costs next to nothing."""
    homes = {"RunError": "errors", "UserError": "errors", "TrainedNetwork": "model.trained"}
    homes |= {"NASClassifier": "estimator", "compress": "compression", "with_recipe": "genomes.with_recipe"}
    homes |= dict.fromkeys(("open_run", "search", "train"), "api") | {"compare": "comparison", "tau": "comparison.tau"}
    if name not in homes:
        raise AttributeError(f"module 'evonas' has no attribute {name!r}")
    return getattr(_import_module(f"evonas.{homes[name]}"), name)
