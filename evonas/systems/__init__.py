"""The systems of the literature: each a named combination of a space, a strategy and recipes. They import no torch.

settings.py    a constructor's signature as the schema of its settings
setup.py       a space, a strategy and two recipes, with all their settings
system.py      what a system is; a short file each beside it, with the values of its paper
registry.py    names of spaces, strategies and systems; own.py finds a user's own
"""
