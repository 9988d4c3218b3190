"""The statements of a notebook that some of its cells need: definitions, imports, and values."""

import ast
import builtins

from IPython.core.inputtransformer2 import TransformerManager

BUILTINS = set(dir(builtins))


def statements(source):
    """The statements of a cell, each as its text and its syntax tree; none if it does not run."""
    try:
        source = TransformerManager().transform_cell(source)
        tree = ast.parse(source)
    except Exception:  # the cell does not run, so it defines nothing
        return []
    return [(ast.unparse(node), node) for node in tree.body]


def closure(cells, wanted, forbidden=("moe_labs",)):
    """The texts of all statements that define what is wanted, and what these need, in order.

    Args:
        cells: list of lists of pairs, as `statements` gives them; later definitions count as well.
        wanted: names.
        forbidden: packages of which nothing is imported.

    Returns:
        List of texts.
    """
    everything = [pair for cell in cells for pair in cell]
    about = [(bound(node, forbidden), used(node)) for _, node in everything]
    needed, chosen, waiting = set(), set(), list(wanted)
    while waiting:
        name = waiting.pop()
        if name in needed or name in BUILTINS:
            continue
        needed.add(name)
        for number, (binds, uses) in enumerate(about):
            if name in binds and number not in chosen:
                chosen.add(number)
                waiting += uses
    return [_without(forbidden, *everything[number]) for number in sorted(chosen)]


def bound(node, forbidden=()):
    """The names that a statement gives a meaning to."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.ImportFrom) and _top(node.module) in forbidden:
        return set()
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {
            (alias.asname or alias.name).split(".")[0]
            for alias in node.names
            if isinstance(node, ast.ImportFrom) or _top(alias.name) not in forbidden
        }
    return {
        inner.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    } | {
        inner.name for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef | ast.ClassDef)
    }


def used(node):
    """The names that a statement looks up, also later, when what it defines is called."""
    return {
        inner.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
    }


def _without(forbidden, text, node):
    """An import, less what is forbidden."""
    if isinstance(node, ast.Import):
        names = [alias for alias in node.names if _top(alias.name) not in forbidden]
        return ast.unparse(ast.Import(names=names))
    return text


def _top(name):
    return (name or "").split(".")[0]
