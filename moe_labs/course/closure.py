"""The statements of a notebook that some of its cells need: definitions, imports, and values."""

import ast
import re
import symtable
from collections import defaultdict

import numpy as np
from IPython.core.inputtransformer2 import TransformerManager

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Magics that run the rest of their cell, or of their line, as if they were not there.
RUN_THEIR_BODY = {"time", "capture", "prun"}
OPTIONS = re.compile(r"\s*(?:-\S+\s+(?:\d+\s+)?)*")
# Methods that leave their object as it is; any other method may change it.
UNCHANGING = {name for kind in (str, tuple, frozenset, np.ndarray) for name in dir(kind)}
UNCHANGING |= {"get", "items", "keys", "values", "head", "describe", "numpy", "count_params"}
UNCHANGING |= {"evaluate", "predict", "summary", "map", "batch", "take", "prefetch", "cache"}
UNCHANGING -= {"byteswap", "fill", "itemset", "partition", "put", "resize", "setfield"}
UNCHANGING -= {"setflags", "sort"}
# Functions that change their first argument, whosever they are.
CHANGING = {"at", "copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"}
CHANGING |= {"shuffle", "heapify", "heappop", "heappush", "heapreplace", "insort"}
CHANGING |= {"insort_left", "insort_right", "setattr", "delattr", "setitem", "next"}
# Of a module's functions, those that set how it works from there on.
SETTING = re.compile(
    r"seed\b|set_|enable_|disable_|seterr\b|setrecursionlimit|simplefilter|filterwarnings"
)
EVERYTHING = "*"


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
    for inner in _at_once(node):
        if isinstance(inner, ast.ImportFrom) and _top(inner.module) in forbidden:
            continue
        if isinstance(inner, ast.Import):
            kept = [alias for alias in inner.names if _top(alias.name) not in forbidden]
            inner = ast.Import(names=kept)
        names |= names_of(inner)
    return names


def names_of(node):
    """The names that a node of a syntax tree gives a meaning to, without those inside it."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            return {name}
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return {name}
        case ast.ClassDef(name=name) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return {name}
        case ast.MatchMapping(rest=str(name)) | ast.ExceptHandler(name=str(name)):
            return {name}
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return {alias.asname or _top(alias.name) for alias in aliases}
    return set()


def used(text, node):
    """The global names that a statement looks up, also later, when what it defines is called."""
    parts = list(ast.walk(node))
    # In `n += 1` the name is looked up as well.
    added = [inner.target for inner in parts if isinstance(inner, ast.AugAssign)]
    names = {target.id for target in added if isinstance(target, ast.Name)}
    try:
        tables = [symtable.symtable(text, "<cell>", "exec")]
    except Exception:  # such as a `return` outside of any function: all names, then
        loads = [inner for inner in parts if isinstance(inner, ast.Name)]
        return names | {inner.id for inner in loads if isinstance(inner.ctx, ast.Load)}
    while tables:
        table = tables.pop()
        tables += table.get_children()
        # A class's own name may be looked up outside of it before it has one.
        outside = table.get_type() in ("module", "class")
        names |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (outside or symbol.is_global())
        }
    return names


class Changes:
    """What statements change without giving it a name: parts of values, and objects by methods.

    Args:
        nodes: all statements of a notebook; which names are modules, which functions change what
            they are given, and which names are parts of other values is read there.
    """

    def __init__(self, nodes):
        parts = [inner for node in nodes for inner in ast.walk(node)]
        imports = [inner for inner in parts if isinstance(inner, ast.Import | ast.ImportFrom)]
        assigned = [i for node in nodes for i in _at_once(node) if isinstance(i, ast.Name)]
        self.modules = set().union(*map(names_of, imports)) - set().union(*map(names_of, assigned))
        self.by_function = {}
        self.wholes = defaultdict(set)
        for inner in parts:
            if isinstance(inner, ast.Assign):
                for target in inner.targets:
                    self._note_parts(target, {root(inner.value)})
            elif isinstance(inner, ast.For | ast.AsyncFor):
                self._note_parts(inner.target, _values(inner.iter))
            elif isinstance(inner, FUNCTIONS):
                self.by_function[inner.name] = self._by_calling(inner)

    def of(self, node):
        """The names whose values a statement changes when it runs."""
        changed = set().union(*map(self._by_one, _at_once(node)))
        match node:
            # By itself: what trains a network in a loop begins with a seed as well.
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr=method) as function)):
                changed |= {root(function)} if SETTING.match(method) else set()
        waiting = list(changed)
        while waiting:
            new = self.wholes.get(waiting.pop(), set()) - changed
            changed |= new
            waiting += new
        return changed - {None}

    def _note_parts(self, target, wholes):
        for part in ast.walk(target):
            for name in names_of(part):
                self.wholes[name] |= wholes - self.modules - {None, name}

    def _by_calling(self, function):
        """A function's parameters in order, and what it changes: of these, and global names."""
        inside = list(ast.walk(function))
        given = function.args
        parameters = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        declared = {name for i in inside if isinstance(i, ast.Global) for name in i.names}
        changed = set().union(*map(self._by_one, inside), declared)
        local = set().union(*map(names_of, inside)) - {function.name} - declared
        return parameters, changed - local - {None}

    def _by_one(self, node):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                return {root(node)}
            case ast.Subscript(ctx=ast.Store() | ast.Del()):
                return {root(node)}
            case ast.FunctionDef() | ast.ClassDef():
                makers = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
                return set().union(*(self._by_function(root(maker)) for maker in makers))
            case ast.Call(func=ast.Name(id=name)):
                called = self._by_function(name, node.args, node.keywords)
                return called | _first(name, node.args)
            case ast.Call(func=ast.Attribute(attr=method)):
                owner = root(node.func)
                changes = owner not in self.modules and method not in UNCHANGING
                return ({owner} if changes else set()) | _first(method, node.args)
        return set()

    def _by_function(self, name, arguments=(), keywords=()):
        """What the notebook's own function changes when called: global names, and arguments."""
        parameters, changed = self.by_function.get(name, ((), set()))
        given = [*zip(parameters, arguments, strict=False)]
        given += [(keyword.arg, keyword.value) for keyword in keywords]
        found = {root(value) for parameter, value in given if parameter in changed}
        return found | changed - set(parameters)


def root(node):
    """The name whose value an expression is a part of, such as x in ``x.y[0].z()``, or None."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred | ast.Call):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Attribute):  # what it returns is new
                return None
            node = node.func
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _values(expression):
    """The names that an expression looks up, less the functions that it calls."""
    parts = list(ast.walk(expression))
    called = {id(part.func) for part in parts if isinstance(part, ast.Call)}
    return {part.id for part in parts if isinstance(part, ast.Name) and id(part) not in called}


def _first(function, arguments):
    return {root(arguments[0])} if function in CHANGING and arguments else set()


def _at_once(node):
    """The parts of a statement that run, and name something, when it runs itself."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        yield inner
        if isinstance(inner, ast.comprehension):  # its names are its own
            waiting += [inner.iter, *inner.ifs]
        elif not isinstance(inner, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(inner)


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


def _without(forbidden, text, node):
    """An import, less what is forbidden."""
    if isinstance(node, ast.Import):
        names = [alias for alias in node.names if _top(alias.name) not in forbidden]
        return ast.unparse(ast.Import(names=names))
    return text


def _top(name):
    return (name or "").split(".")[0]
