"""Sphinx: furo, MyST; warnings are errors in CI."""

from __future__ import annotations

from importlib.metadata import version as _version

project = "aiobpf"
author = "the aiobpf maintainers"
copyright = "2026, the aiobpf maintainers"  # noqa: A001 - Sphinx's own name
release = _version("aiobpf")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "aiobpf"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Type variables and the standard library have no page here to refer to.
nitpick_ignore_regex = [("py:.*", ".*")]
