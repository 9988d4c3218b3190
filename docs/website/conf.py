"""How Sphinx builds the course's website; tools/make_site.py writes the pages and runs it.

Nothing that a page needs comes from elsewhere: no outside fonts, scripts or images, so that the
built site works from a folder without a network.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "moe_keras"
author = "moe_keras contributors"
copyright = author
language = "en"
smartquotes_action = "D"  # dashes alone: "train" and (B, ...) are code

exclude_patterns = ["downloads"]
extensions = [
    *("myst_nb", "mathml", "docstrings"),
    *("sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.autosummary", "sphinx.ext.viewcode"),
]
nb_execution_mode = "off"  # labs are shown as they ran
nb_merge_streams = True
nb_output_stderr = "remove"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

autodoc_default_options = {"member-order": "bysource", "no-value": True}
autodoc_inherit_docstrings = False  # else every layer would explain what Keras explains
autodoc_preserve_defaults = True
autodoc_typehints = "none"
autosummary_generate = False  # a page for each part, none for each name
napoleon_custom_sections = [("Call arguments", "params_style")]
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "moe_keras"
html_static_path = ["static"]
templates_path = ["templates"]
html_css_files = ["site.css"]
html_js_files = [("scroll.js", {"defer": "defer"})]
html_use_index = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": False}

# Both reach a contrast of 7:1.
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def setup(app):
    app.connect("html-page-context", _give_headings_a_level, priority=900)


def _give_headings_a_level(app, page, template, context, doctree):
    """Sphinx writes the sidebar's captions as headings, without the level that ARIA asks for."""
    key = "furo_navigation_tree"
    context[key] = context[key].replace('role="heading"', 'role="heading" aria-level="2"')
