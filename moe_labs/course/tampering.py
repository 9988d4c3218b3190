"""What an honest answer has no reason to do: a hint for the lecturer, not a lock."""

import ast
import re

from IPython.core.inputtransformer2 import TransformerManager

from moe_labs.course.names import names_of
from moe_labs.course.statements import magic
from moe_labs.exercises.exercise import COURSE_WORD

LAB = re.compile(r"lab\d\d\Z")
# All of an exercise that decides what it says of an answer.
OF_A_JUDGE = {
    *("status", "require", "check", "marks", "cases", "function", "reference", "mistakes"),
    *("is_right", "ways", "properties", "returns", "_judge", "_answer", "_verify", "_in_form"),
    *("grade", "earned", "draws", "_share", "_seeds", "_checks", "__call__", "__class__"),
    *("__bases__", "__init__", "__getattribute__", "__getattr__"),
}
INSIDES = {"require", "_judge", "_answer", "_verify", "_in_form", "_share", "_seeds"}
OF_PYTHON = {"__globals__", "__closure__", "__code__", "f_back", "f_globals", "gi_frame"}
OF_PYTHON |= {"run_cell", "input_transformers_post", "input_transformers_cleanup"}
OF_PYTHON |= {"ast_transformers", "_getframe", "get_objects", "get_referrers", "modules"}
OF_PYTHON |= {"__setattr__", "__delattr__", "__builtins__", "settrace", "setprofile", "user_ns"}
PACKAGES = {"gc", "ctypes", "inspect", "importlib", "threading", "_thread", "base64", "marshal"}
PACKAGES |= {"builtins", "unittest", "mock", "runpy", "pkgutil"}
CALLS = {"exec", "eval", "compile", "__import__", "setattr", "delattr", "globals", "locals", "vars"}
CALLS |= {"__builtins__", "__loader__", "__spec__"}
# The sources of the cells that were run, hidden tests among them.
RUN_BEFORE = {"In", "_ih", "_i", "_ii", "_iii"}
OF_A_SHELL = {"system", "getoutput", "run_line_magic", "run_cell_magic", "magic", "__class__"}
ITSELF = {"self", "cls"}  # what a class does with its own attributes is its own business
ALIASES = 10  # names of names of names that are followed


def touches_the_judge(source):
    """Whether code changes or opens what judges it, as far as reading it shows.

    Read is also what a magic runs. Comments and texts do not count, nor do names of one's own, such
    as ``check = 3``.
    """
    waiting = [source]
    while waiting:
        try:
            tree = ast.parse(TransformerManager().transform_cell(waiting.pop()))
        except Exception:  # it will not run either
            continue
        names = _Names(tree)
        for node in ast.walk(tree):
            if _suspicious(node, names):
                return True
            name, *run = magic(node) or "!"
            waiting += [] if name == "!" else filter(None, run)
    return False


class _Names:
    """What the names of a cell stand for.

    Attributes:
        imported: those that were imported, which only their makers change.
        judges: those of labs, and of what is a part of one.
        ours: these, and all that comes from `moe_labs`.
        shells: those of IPython's shell.
        own: those that the cell gives a meaning to.
    """

    def __init__(self, tree):
        nodes = list(ast.walk(tree))
        imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        self.own = set().union(*map(names_of, nodes))
        self.imported = set().union(*map(names_of, imports)) | {"np", "keras", "ops", "tf"}
        self.ours, self.judges, self.shells = {"Exercise", "WrongAnswer"}, set(), set()
        for node in imports:
            for alias in node.names:
                name = getattr(node, "module", None) or alias.name
                if name.split(".")[0] == "moe_labs":
                    self.ours |= names_of(ast.Import([alias]))
                    self.judges |= {alias.asname} if LAB.match(alias.name) else set()
        self.judges -= {None}
        given = [node for node in nodes if isinstance(node, ast.Assign)]
        for _ in range(ALIASES):
            for node in given:
                targets = set().union(*map(names_of, node.targets))
                self.judges |= targets if self.is_judge(_origin(node.value)) else set()
                self.ours |= targets if self.is_ours(_origin(node.value)) else set()
                self.shells |= targets if self.is_shell(node.value) else set()

    def is_judge(self, name):
        return bool(name) and (name in self.judges or bool(LAB.match(name)))

    def is_ours(self, name):
        return name in self.ours or self.is_judge(name)

    def is_shell(self, node):
        if isinstance(node, ast.Call):
            return "get_ipython" in (getattr(node.func, "id", ""), getattr(node.func, "attr", ""))
        return isinstance(node, ast.Name) and node.id in self.shells


def _suspicious(node, names):
    match node:
        case ast.Attribute(ctx=ast.Load()):
            opens = names.is_judge(_root(node)) and isinstance(node.value, ast.Attribute)
            return (
                node.attr in OF_PYTHON | INSIDES
                or (opens and node.attr not in {"check", "hint", "solution"})
                or (names.is_shell(node.value) and node.attr not in OF_A_SHELL)
            )
        case ast.Attribute():
            owner = _root(node)
            decides = node.attr in OF_A_JUDGE | OF_PYTHON or _of_a_kind(node.value)
            given = owner in names.imported or names.is_ours(owner)
            return given or names.is_shell(node.value) or (decides and owner not in ITSELF)
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            owner = _root(node)
            return names.is_ours(owner) or (_of_a_kind(node.value) and owner not in ITSELF)
        case ast.Name(ctx=ast.Load()):
            return node.id in CALLS | RUN_BEFORE and node.id not in names.own
        case ast.Name(ctx=ast.Del()):
            return bool(LAB.match(node.id))
        case ast.Call(func=ast.Name(id=name)):
            return name in CALLS
        case ast.Constant(value=str(text)):
            return COURSE_WORD in text
        case ast.Import():
            packages = [alias.name for alias in node.names]
            return any(map(_package, packages)) or _takes_a_labs_name(node)
        case ast.ImportFrom():
            return _package(node.module or "") or _takes_a_labs_name(node)
    return any(map(LAB.match, names_of(node)))


def _package(name):
    top, *below = name.split(".")
    return top in PACKAGES or (top == "moe_labs" and below != ["exercises"])


def _takes_a_labs_name(node):
    """Whether an import calls something lab01 that is not this lab."""
    is_one = getattr(node, "module", "") == "moe_labs.exercises"
    return any(
        LAB.match(alias.asname or alias.name)
        and not (is_one and alias.asname in {None, alias.name})
        for alias in node.names
    )


def _of_a_kind(node):
    """Whether an expression leads to a class, or to a dictionary of attributes, of something."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Call):
            if getattr(node.func, "id", "") in {"type", "vars"}:
                return True
            node = node.func
        else:
            if getattr(node, "attr", "") in {"__class__", "__dict__", "__mro__"}:
                return True
            node = node.value
    return False


def _root(node):
    """The name that an expression begins with: that of x in ``x.y[0]`` and in ``type(x).y``."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "type" and node.args:
            node = node.args[0]
        else:
            node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _origin(node):
    """The same of a value that is a part of what is named so; None of what a call returns."""
    part = node
    while isinstance(part, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(part, ast.Call):
            if getattr(part.func, "id", "") != "type":
                return None
            part = part.args[0] if part.args else part.func
        else:
            part = part.value
    return part.id if isinstance(part, ast.Name) else None
