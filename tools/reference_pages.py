"""The reference's pages: stubs from which Sphinx makes a page for each part with public names.

A page shows what the part's `__all__` names, in that order, so a new name appears by itself.
"""

import importlib
import inspect

PARTS = (
    *("moe_keras.gates", "moe_keras.experts", "moe_keras.mixtures", "moe_keras.ops"),
    "moe_keras.losses",
    *("moe_keras.metrics", "moe_keras.routing", "moe_keras.evaluation", "moe_keras.plots"),
    *("moe_keras.training", "moe_keras.data", "moe_keras.runs", "moe_keras.spark"),
    "moe_labs.exercises",
)

INDEX = """\
# Reference

All public names, part by part, with formula, shapes, example and paper. The examples take
`import keras` and `from keras import ops` for granted.

{parts}
```{{toctree}}
:hidden:

{contents}
```
"""
PAGE = """\
{part}
{line}

.. automodule:: {part}
   :members:
"""


def reference_pages():
    """The pages' sources: a mapping of file names to texts, the index first."""
    parts = "\n".join(map(index_entry, PARTS))
    contents = "\n".join(map(file_of, PARTS))
    pages = {file_of(part): PAGE.format(part=part, line="=" * len(part)) for part in PARTS}
    return {"index.md": INDEX.format(parts=parts, contents=contents), **pages}


def index_entry(part):
    module = importlib.import_module(part)
    summary = inspect.getdoc(module).partition("\n\n")[0]
    names = ", ".join(f"{{py:obj}}`~{part}.{name}`" for name in module.__all__)
    return f"## [{part}]({file_of(part)})\n\n{summary}\n\n{names}\n"


def package_pages():
    """What a link to a package of the checkout leads to: a mapping of folders to pages."""
    pages = {part.replace(".", "/"): f"reference/{file_of(part)}" for part in PARTS}
    return {"moe_keras": "reference/index.md", **pages}


def file_of(part):
    return part.rpartition(".")[2] + ".rst"
