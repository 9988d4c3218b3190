"""The statements of a notebook's cell, each as its text and its syntax tree."""

import ast
import re

from IPython.core.inputtransformer2 import TransformerManager

# Magics that run the rest of their cell, or of their line, as if they were not there.
RUN_THEIR_BODY = {"time", "capture", "prun"}
OPTIONS = re.compile(r"\s*(?:-\S+\s+(?:\d+\s+)?)*")


def statements(source):
    """The statements of a cell, each as its text and its syntax tree; none if it does not run.

    What a magic such as ``%%time`` runs counts as if it stood there alone.
    """
    found, waiting = [], [source]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            waiting += reversed(_parts(part))
        else:
            found.append(part)
    return found


def magic(node):
    """What IPython made of a magic: its name, its line, and the cell below; None of all else."""
    match node:
        case ast.Call(
            func=ast.Attribute(
                value=ast.Call(func=ast.Name(id="get_ipython")),
                attr="run_line_magic" | "run_cell_magic" | "system" as kind,
            ),
            args=arguments,
        ) if all(isinstance(a, ast.Constant) and isinstance(a.value, str) for a in arguments):
            texts = ["!"] * (kind == "system") + [argument.value for argument in arguments]
            name, line, body = [*texts, "", "", ""][:3]
            return name, OPTIONS.sub("", line, count=1), body
    return None


def _parts(source):
    """The statements of a cell, as pairs, or as texts where a magic runs them."""
    try:
        text = TransformerManager().transform_cell(source)
        body = ast.parse(text).body
        lines = text.replace("\r\n", "\n").replace("\r", "\n").encode().split(b"\n")
    except Exception:  # the cell does not run, so it defines nothing
        return []
    parts = []
    for node in body:
        found = magic(node.value) if isinstance(node, ast.Expr) else None
        if found is None:
            parts.append(_with_magics_run(_text(lines, node), node))
        elif found[0] in RUN_THEIR_BODY:
            parts.append(found[2] or found[1])
    return parts


def _text(lines, node):
    """The text of a statement. (`ast.unparse` gives up where a sum has hundreds of terms.)"""
    start, column = node.lineno - 1, node.col_offset
    if decorators := getattr(node, "decorator_list", None):
        start, column = decorators[0].lineno - 1, 0
        while start and not lines[start].startswith(b"@"):
            start -= 1
    text = lines[start : node.end_lineno]
    text[-1] = text[-1][: node.end_col_offset]
    text[0] = text[0][column:]
    return b"\n".join(text).decode()


def _with_magics_run(text, node):
    """A statement in which what a magic runs stands in its place, as in ``x = %time f()``."""
    if "get_ipython" in text and any(magic(inner) for inner in ast.walk(node)):
        try:
            node = ast.fix_missing_locations(_RunMagics().visit(node))
            return ast.unparse(node), node
        except RecursionError:
            pass
    return text, node


class _RunMagics(ast.NodeTransformer):
    def visit_Expr(self, node):
        found = magic(node.value)
        if found is None:
            return self.generic_visit(node)
        inside = statements(found[2] or found[1]) if found[0] in RUN_THEIR_BODY else []
        return [inner for _, inner in inside] or ast.Pass()

    def visit_Call(self, node):
        found = magic(node)
        if found is not None and found[0] in RUN_THEIR_BODY:
            inside = statements(found[2] or found[1])
            if len(inside) == 1 and isinstance(inside[0][1], ast.Expr):
                return inside[0][1].value
        return self.generic_visit(node)
