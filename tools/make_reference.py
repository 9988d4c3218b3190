"""Write docs/reference: one Markdown page for each part of moe_keras, from its docstrings.

A page shows what the part's `__all__` names, in that order, so a new name appears by itself.
"""

import importlib
import inspect
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
PARTS = (
    *("gates", "experts", "mixtures", "losses", "metrics"),
    *("inspection", "plots", "training", "data", "checks", "runs", "spark"),
)
LISTED = {"Args", "Attributes", "Call arguments", "Raises"}
SECTIONS = {*LISTED, "Returns", "Reference", "Example"}
NOTE = "<!-- Made from the docstrings by `make reference`: change those, not this page. -->"

EXAMPLES = "The examples take `import keras` and `from keras import ops` for granted."


def pages():
    """What the folder should hold: a mapping of file names to texts."""
    parts = {part: importlib.import_module(f"moe_keras.{part}") for part in PARTS}
    index = [NOTE, "# Reference", "All public names, part by part.", EXAMPLES]
    for part, module in parts.items():
        names = ", ".join(f"[`{name}`]({part}.md{place})" for name, place in anchors(module))
        index += [f"## [moe_keras.{part}]({part}.md)", summary(module), names]
    texts = {"README.md": index}
    texts |= {f"{part}.md": page(part, module) for part, module in parts.items()}
    return {name: "\n\n".join(blocks) + "\n" for name, blocks in texts.items()}


def page(part, module):
    """The blocks of one part's page."""
    rows = ["| name | |", "|---|---|"]
    for name, place in anchors(module):
        line = summary(getattr(module, name)).replace("|", "\\|")
        rows.append(f"| [`{name}`]({place}) | {line} |")
    blocks = [NOTE, f"# moe_keras.{part}", *rendered(module.__doc__), "\n".join(rows)]
    for name in module.__all__:
        blocks += [f"## {name}", *described(name, getattr(module, name), f"moe_keras.{part}")]
    return [*blocks, "[All parts](README.md)"]


def anchors(module):
    """Each name and the address of its heading; `Combine` and `combine` would have the same."""
    seen = []
    for name in module.__all__:
        earlier = seen.count(name.lower())
        seen.append(name.lower())
        yield name, f"#{name.lower()}-{earlier}" if earlier else f"#{name.lower()}"


def described(name, thing, module):
    """The blocks of one name, after its heading."""
    if not is_documented(thing):
        return (
            [holds(thing)] if isinstance(thing, dict) else [fenced(f"{name} = {thing!r}", "python")]
        )
    blocks = [fenced(f"{module}.{name}{signature(thing)}", "python")]
    blocks += rendered(inspect.getdoc(thing))
    if inspect.isclass(thing):
        blocks += methods(thing)
    source = Path(inspect.getsourcefile(thing)).relative_to(ROOT).as_posix()
    return [*blocks, f"[Source](../../{source})"]


def methods(thing):
    """What can be called on an object, one line each."""
    lines = [
        f"- `{name}{signature(function)}`: {summary(function)}"
        for name, function in vars(thing).items()
        if inspect.isfunction(function) and not name.startswith("_") and function.__doc__
    ]
    return ["**Methods**", "\n".join(lines)] if lines else []


def is_documented(thing):
    return inspect.isclass(thing) or inspect.isroutine(thing)


def holds(mapping):
    return f"A mapping with the keys {', '.join(f'`{key}`' for key in mapping)}."


def summary(thing):
    """The first paragraph of a docstring in one line; of a value, the value."""
    if not (is_documented(thing) or inspect.ismodule(thing)):
        return holds(thing) if isinstance(thing, dict) else f"`{thing!r}`"
    return prose((inspect.getdoc(thing) or "").split("\n\n")[0])


def signature(thing):
    """The arguments as they are written, one a line where they are many."""
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return ""
    if inspect.isclass(thing) and thing.__init__ is not object.__init__:
        thing = thing.__init__
    found = inspect.signature(thing)
    kept = [p.replace(annotation=p.empty) for p in found.parameters.values() if p.name != "self"]
    line = str(found.replace(parameters=kept, return_annotation=found.empty)).replace("'", '"')
    if len(line) < 70:
        return line
    # A comma within a default, such as (32, 64), has no name after it.
    return "(\n    " + re.sub(r", (?=[*A-Za-z_])", ",\n    ", line[1:-1]) + ",\n)"


def rendered(docstring):
    """A docstring as blocks of Markdown."""
    blocks, heading, lines = [], None, []
    for line in [*inspect.cleandoc(docstring or "").split("\n"), "Reference:"]:
        begins = re.fullmatch(r"([A-Z][a-z ]+):( .*)?", line)
        if begins and begins[1] in SECTIONS:
            blocks += section(heading, lines)
            heading, lines = begins[1], [begins[2].strip()] if begins[2] else []
        else:
            lines.append(line)
    return blocks


def section(heading, lines):
    text = inspect.cleandoc("\n" + "\n".join(lines)) if heading != "Example" else "\n".join(lines)
    if not text.strip():
        return []
    title = [f"**{heading}**"] if heading else []
    if heading == "Reference":
        return [*title, items(re.split(r"(?<=\.)\n", text))]
    if heading in LISTED:
        entries = re.split(r"\n(?=\S)", text)
        return [*title, items(named(entry) for entry in entries)]
    return [*title, *paragraphs(text)]


def items(entries):
    return "\n".join(f"- {prose(entry)}" for entry in entries)


def named(entry):
    """An argument's name, or several arguments' names, set as code."""
    names, colon, rest = entry.partition(":")
    return re.sub(r"(\*{0,2}\w+)", r"`\1`", names) + colon + rest


def paragraphs(text):
    """Prose in lines as long as they are, formulas and examples as code, lists as lists."""
    blocks = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        if block.lstrip().startswith(">>>"):
            blocks.append(fenced(inspect.cleandoc("\n" + block), "python"))
        elif block.startswith("    "):
            blocks.append(fenced(inspect.cleandoc("\n" + block), "text"))
        elif block.startswith("- "):
            blocks.append(items(entry[2:] for entry in re.split(r"\n(?=- )", block)))
        else:
            blocks.append(prose(block))
    return blocks


def fenced(text, language):
    return f"```{language}\n{text}\n```"


def prose(text):
    """One line, with what Markdown would take for a mark of its own escaped outside code."""
    pieces = re.split(r"(`+[^`]+`+)", " ".join(text.split()))
    pieces[::2] = [re.sub(r"([*$<])", r"\\\1", piece) for piece in pieces[::2]]
    return "".join(pieces)


def write():
    """Make the folder's pages anew, and remove those of parts that are no more."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
