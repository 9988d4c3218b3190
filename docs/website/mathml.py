"""Formulas as MathML, which browsers set and screen readers read without a script.

docutils has the translator; Sphinx offers it to no builder, so this is the connection.
"""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml

# What docutils knows by another name alone.
SYNONYMS = {r"\\([Bb]igg?)(?![A-Za-z])": r"\\\1l", r"\\dots(?![A-Za-z])": r"\\ldots"}


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator, node):
    translator.body.append(_mathml(node))
    raise nodes.SkipNode


def _block(translator, node):
    translator.body.append(f'<div class="math-block">{_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def _mathml(node, **options):
    formula = node.astext()
    for name, known in SYNONYMS.items():
        formula = re.sub(name, known, formula)
    try:
        return tex2mathml(formula, **options)
    except MathError as error:
        raise ValueError(
            f"Expected a formula that docutils can set. Received: {formula}\n{error}"
        ) from error
