"""Sphinx settings. The build needs no network: links lead to this project's own pages."""

import importlib.metadata

project = "ffi"
author = "the ffi maintainers"
copyright = author
try:
    release = importlib.metadata.version("ffi")
except importlib.metadata.PackageNotFoundError:
    release = ""

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
# `name` is a link if it is a name of ffi, and set in italics if not.
default_role = "autolink"
nitpicky = True
nitpick_ignore_regex = [
    # Python's and NumPy's.
    ("py:.*", r"(numpy|sys)\..*"),
    ("py:.*", r"(Buffer|Exception|NotImplemented|OS|Overflow|Reference|Type|Value)(Error)?"),
    # Parameters that are attributes too.
    ("py:obj", "cif|function"),
]

autodoc_typehints = "none"
numpydoc_show_class_members = False
# What a docstring must have; the build fails if it has not.
numpydoc_validation_checks = {
    "GL01", "GL02", "GL03", "GL06", "GL07", "GL08", "GL09", "GL10",
    "PR01", "PR03", "PR04", "PR05", "PR06", "PR07", "PR08", "PR09", "PR10",
    "RT03", "RT04", "RT05", "SS01", "SS03", "SS04", "SS05", "SS06",
}  # fmt: skip
numpydoc_validation_exclude = {r"\.Table\.", r"\.Measure\."}

html_theme = "pydata_sphinx_theme"
html_title = "ffi"
html_show_sourcelink = False
html_sidebars = {"**": []}
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
