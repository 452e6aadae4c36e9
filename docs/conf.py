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


def setup(app):
    app.connect("autodoc-process-docstring", as_written)


def as_written(app, what, name, obj, options, lines):
    """Docstrings are plain text with aligned columns: their first sentence is prose, the rest is shown as it stands."""
    while lines and not lines[-1].strip():
        lines.pop()
    rest = lines[1:]
    if rest and not rest[0].strip():
        lines[1:] = ["", "::", "", *(f"    {line}" for line in rest[1:]), ""]
    elif rest:
        lines[:] = ["::", "", *(f"    {line}" for line in lines), ""]
