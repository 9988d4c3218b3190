"""Our docstrings, made ready for napoleon: Markdown's marks become those of reStructuredText.

In a docstring, code stands between single backticks, an indented block in the prose is a formula,
and a `Reference` section has one paper after another.
"""

import inspect
import re

from sphinx.util.inspect import signature as signature_of
from sphinx.util.inspect import stringify_signature

HEADING = re.compile(r"([A-Z][a-z]*(?: [a-z]+)*):")
CODE = re.compile(r"(`+[^`]+`+)")


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    # Before napoleon, which has the priority 500.
    app.connect("autodoc-process-docstring", _docstring, priority=400)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _docstring(app, what, name, thing, options, lines):
    text = described(thing) if what == "data" else converted("\n".join(lines))
    lines[:] = (text + overview(thing) if what == "module" else text).split("\n")


def _signature(app, what, name, thing, options, signature, returns):
    """Keras's layers and metrics are made by a `__new__` that takes anything."""
    if what == "class" and signature == "(*args, **kwargs)":
        found = signature_of(thing.__init__, bound_method=True)
        return stringify_signature(found, show_annotation=False), None


def overview(module):
    """A table of a module's names, and its constants, which automodule takes for undocumented."""
    constants = [name for name in module.__all__ if is_constant(getattr(module, name))]
    table = ["", "", ".. autosummary::", "   :nosignatures:", ""]
    table += [f"   {name}" for name in module.__all__]
    return "\n".join([*table, *(f"\n.. autodata:: {name}" for name in constants)])


def is_constant(thing):
    return not (inspect.isclass(thing) or inspect.isroutine(thing))


def described(constant):
    if isinstance(constant, dict):
        return f"A mapping with the keys {', '.join(f'``{key}``' for key in constant)}."
    return f"``{constant!r}``"


def converted(docstring):
    """A docstring in reStructuredText, with napoleon's sections left to napoleon."""
    blocks, section = [], None
    for block in re.split(r"\n{2,}", docstring.strip("\n")):
        first, _, rest = block.partition("\n")
        heading = HEADING.fullmatch(first)
        if heading and (rest.startswith("    ") or not rest):
            section = heading[1]
        if block.startswith(">>> "):
            blocks.append(block)
        elif block.startswith("    ") and section in (None, "Example"):
            blocks.append(f".. code-block:: text\n\n{block}")
        elif heading and section == "Example":
            blocks += [".. rubric:: Example", converted(inspect.cleandoc(f"\n{rest}"))]
        elif heading and section == "Returns":
            # A field as it is: napoleon would take the words before a colon for a type.
            blocks.append(f":Returns:\n{_marked(rest)}")
        elif heading and section == "Reference":
            blocks.append(f":Reference:\n{_marked(_papers(rest))}")
        else:
            blocks.append(_marked(block))
    return "\n\n".join(filter(None, blocks))


def _papers(text):
    """A list: a paper ends with a full stop at the end of a line."""
    papers = re.split(r"(?<=\.)\n", inspect.cleandoc(f"\n{text}"))
    return "\n".join("    - " + paper.replace("\n", "\n      ") for paper in papers)


def _marked(text):
    """Prose, with what reStructuredText would take for a mark of its own escaped outside code."""
    pieces = CODE.split(text)
    pieces[::2] = [_escaped(piece) for piece in pieces[::2]]
    pieces[1::2] = [_code(piece.strip("`")) for piece in pieces[1::2]]
    return "".join(pieces)


def _escaped(prose):
    # The stars before an argument's name are napoleon's to escape.
    return re.sub(r"(?m)^ {4}\*+\w+:|[*|\\]|(?<=\w)_(?!\w)", _escape, prose)


def _escape(found):
    return found[0] if found[0].endswith(":") else "\\" + found[0]


def _code(code):
    """A name is a link where it has a page: a class anywhere, anything else within its part."""
    if re.fullmatch(r"[A-Z]\w*[a-z]\w*", code):
        return f":py:obj:`.{code}`"
    return f":py:obj:`{code}`" if re.fullmatch(r"[A-Za-z_][\w.]*", code) else f"``{code}``"
