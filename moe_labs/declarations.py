"""What the text of a lab's module says of its exercises, without running it.

The labs' copies are made from it, also where Keras cannot be imported.
"""

import ast
import textwrap
from pathlib import Path

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
EXERCISES = Path(__file__).parent / "exercises"


class Declaration:
    """What the text of a lab's module says of one exercise, without running it.

    Attributes:
        name: the exercise's name.
        marks: what it is worth.
        code: its solution, between nbgrader's marks.
    """

    def __init__(self, node, lines):
        self.name = node.name
        (call,) = node.decorator_list
        self.marks = next(ast.literal_eval(k.value) for k in call.keywords if k.arg == "marks")
        self.code = _marked(node, lines)


def declarations(module):
    """The exercises that the text of a module declares: name to `Declaration`, in order."""
    lines = module.splitlines()
    return {
        node.name: Declaration(node, lines)
        for node in ast.parse(module).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and _is_exercise(node)
    }


def _is_exercise(node):
    return any(
        isinstance(call, ast.Call) and getattr(call.func, "id", None) == "exercise"
        for call in node.decorator_list
    )


def _marked(node, lines):
    """A function's lines; all below its docstring is the solution, unless marks say what is."""
    end = node.end_lineno
    while end < len(lines) and lines[end].startswith(" "):  # a comment is no part of the node
        end += 1
    code = lines[node.lineno - 1 : end]
    if any(BEGIN in line for line in code):
        return "\n".join(code)
    has_docstring = ast.get_docstring(node) is not None
    first = node.body[1 if has_docstring else 0].lineno - node.lineno
    indent = " " * node.body[0].col_offset
    # A comment above the first statement belongs to the solution.
    while code[first - 1].strip().startswith("#"):
        first -= 1
    while not code[first - 1].strip():
        del code[first - 1]
        first -= 1
    body = [*code[:first], f"{indent}{BEGIN}", *code[first:], f"{indent}{END}"]
    return textwrap.dedent("\n".join(body))
