"""The statements of a notebook that some of its cells need: definitions, imports, and values."""

import ast
from collections import defaultdict

from moe_labs.course.changes import Changes
from moe_labs.course.names import at_once, names_of, top_package, used

EVERYTHING = "*"


def closure(cells, wanted, forbidden=("moe_labs",)):
    """The texts of all statements that define what is wanted, and what these need, in order.

    Args:
        cells: list of lists of pairs, as `statements` gives them; later definitions count as well,
            and what changes a value, such as ``table["a"] = 1`` or ``table.update(b=2)``.
        wanted: names.
        forbidden: packages of which nothing is imported.

    Returns:
        List of texts.
    """
    everything = [pair for cell in cells for pair in cell]
    changes = Changes([node for _, node in everything])
    defining = defaultdict(list)
    for number, (_, node) in enumerate(everything):
        for name in bound(node, forbidden) | changes.of(node):
            defining[name].append(number)
    needed, chosen, waiting = set(), set(), [EVERYTHING, *wanted]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        for number in defining[name]:
            if number not in chosen:
                chosen.add(number)
                waiting += used(*everything[number])
    return [_without(forbidden, *everything[number]) for number in sorted(chosen)]


def bound(node, forbidden=()):
    """The names that a statement gives a meaning to; `EVERYTHING` where it may be any."""
    names = set()
    for inner in at_once(node):
        if isinstance(inner, ast.ImportFrom) and top_package(inner.module) in forbidden:
            continue
        if isinstance(inner, ast.Import):
            kept = [alias for alias in inner.names if top_package(alias.name) not in forbidden]
            inner = ast.Import(names=kept)
        names |= names_of(inner)
    return names


def _without(forbidden, text, node):
    """An import, less what is forbidden."""
    if isinstance(node, ast.Import):
        names = [alias for alias in node.names if top_package(alias.name) not in forbidden]
        return ast.unparse(ast.Import(names=names))
    return text
