"""What statements change without giving it a name: parts of values, and objects by methods."""

import ast
import re
from collections import defaultdict

import numpy as np

from moe_labs.course.names import FUNCTIONS, at_once, names_of

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


class Changes:
    """What statements change without giving it a name: parts of values, and objects by methods.

    Args:
        nodes: all statements of a notebook; which names are modules, which functions change what
            they are given, and which names are parts of other values is read there.
    """

    def __init__(self, nodes):
        parts = [inner for node in nodes for inner in ast.walk(node)]
        imports = [inner for inner in parts if isinstance(inner, ast.Import | ast.ImportFrom)]
        assigned = [i for node in nodes for i in at_once(node) if isinstance(i, ast.Name)]
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
        changed = set().union(*map(self._by_one, at_once(node)))
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
