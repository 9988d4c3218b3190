"""Formulas as MathML, which browsers set and screen readers read without a script.

docutils has the translator; Sphinx offers it to no builder, so this is the connection.
"""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator, node):
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(translator, node):
    formula = tex2mathml(node.astext(), as_block=True)
    translator.body.append(f'<div class="math-block">{formula}</div>\n')
    raise nodes.SkipNode
