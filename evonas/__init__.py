"""evonas: neural architecture search as evolutionary computation, on DEAP and PyTorch."""

import os as _os

# In a checkout, `genomes/` and `operators/` stand beside this folder; installed, they lie inside it. When the working
# directory is the checkout, this folder hides an installed evonas, so the two must be found where they stand.
_parent = _os.path.dirname(_os.path.dirname(_os.path.abspath(__file__)))
if not _os.path.isdir(_os.path.join(__path__[0], "genomes")) and _os.path.isfile(
    _os.path.join(_parent, "genomes", "__init__.py")
):
    __path__.append(_parent)

__version__ = "0.1.0"
