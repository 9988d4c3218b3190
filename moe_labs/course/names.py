"""The names that a statement gives a meaning to, and those that it looks up."""

import ast
import symtable

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


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
            return {alias.asname or top_package(alias.name) for alias in aliases}
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


def at_once(node):
    """The parts of a statement that run, and name something, when it runs itself."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        yield inner
        if isinstance(inner, ast.comprehension):  # its names are its own
            waiting += [inner.iter, *inner.ifs]
        elif not isinstance(inner, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(inner)


def top_package(name):
    """Of a module's name, what comes before the first dot."""
    return (name or "").split(".")[0]
