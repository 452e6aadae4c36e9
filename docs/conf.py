"""Sphinx with MyST: the pages are Markdown, and every code block of them is run by tests/test_docs.py."""

project = "evonas"
copyright = "the evonas authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
html_theme = "furo"
html_title = "evonas"
html_static_path = ["pictures"]
exclude_patterns = ["_build"]
myst_heading_anchors = 2
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
nitpicky = False
