"""What an honest answer has no reason to do: a hint for the lecturer, not a lock."""

import ast
import re

from IPython.core.inputtransformer2 import TransformerManager

LAB = re.compile(r"lab\d\d\Z")
OF_A_JUDGE = {
    *("status", "require", "check", "marks", "cases", "function", "reference", "mistakes"),
    *("is_right", "ways", "properties", "returns", "_judge", "_answer", "_verify", "_in_form"),
}
INSIDES = {"require", "_judge", "_answer", "_verify", "_in_form"}
OF_PYTHON = {"__globals__", "__closure__", "__code__", "f_back", "f_globals", "gi_frame"}
OF_PYTHON |= {"run_cell", "input_transformers_post", "input_transformers_cleanup"}
OF_PYTHON |= {"ast_transformers", "_getframe", "get_objects", "get_referrers", "modules"}
PACKAGES = {"gc", "ctypes", "inspect", "importlib", "threading", "_thread", "base64", "marshal"}
CALLS = {"exec", "eval", "compile", "__import__", "setattr", "delattr", "globals"}


def touches_the_judge(source):
    """Whether code changes or opens what judges it, as far as reading it shows.

    Comments and texts do not count, nor do names of one's own, such as ``check = 3``.
    """
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except Exception:  # it will not run either
        return False
    modules = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {"np", "keras", "ops", "tf"}
    return any(_suspicious(node, modules) for node in ast.walk(tree))


def _suspicious(node, modules):
    if isinstance(node, ast.Attribute):
        root = _root(node)
        if isinstance(node.ctx, ast.Store | ast.Del):
            ours = node.attr in OF_A_JUDGE | OF_PYTHON and root != "self"
            return ours or root in modules or _is_lab(root)
        is_labs = _is_lab(root) and isinstance(node.value, ast.Attribute)
        return (
            node.attr in OF_PYTHON
            or node.attr in INSIDES
            or (is_labs and node.attr not in {"check", "hint", "solution"})
        )
    if isinstance(node, ast.Name):
        return _is_lab(node.id) and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in CALLS
    if isinstance(node, ast.Import):
        return any(_package(alias.name) for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return _package(node.module or "")
    return False


def _package(name):
    top, *below = name.split(".")
    return top in PACKAGES or (top == "moe_labs" and below != ["exercises"])


def _is_lab(name):
    return bool(name and LAB.match(name))


def _root(node):
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None
