"""What must not reach a student, looked for in the files that are about to be handed out."""

import io
import json
import re
import zipfile
from pathlib import PurePosixPath

from moe_labs.notebooks.generate import MARKER, STUB, TEXT_STUB, solution_copy

REGION = re.compile(
    r"^[^\n]*BEGIN (SOLUTION|HIDDEN TESTS)[^\n]*\n(.*?)^[^\n]*END \1[^\n]*$", re.DOTALL | re.M
)
# Shorter lines, such as "return y", stand in many places and give nothing away.
SHORTEST = 12
KINDS = {".ipynb", ".md", ".txt", ".yml", ".whl"}
WHEEL_SOURCES = "moe_labs/notebooks/source/"


def find_leaks(labs, files):
    """Everything in a release that gives an answer away.

    Looked for are: markers of solutions and hidden tests; lines of them, however they are indented
    or wrapped; answers left standing where a stub belongs; outputs; the labs' sources in a wheel;
    kinds of files that a release has no use for. A line counts if a student's notebook has it more
    often than the parts of its source that are open to students.

    Args:
        labs: list of the `Lab` that the release is made of.
        files: dictionary from a file's name to its bytes; a lab's notebook is called
            ``LAB.ipynb``, in whatever folder.

    Returns:
        List of sentences, empty if nothing was found.
    """
    by_name = {f"{lab.slug}.ipynb": lab for lab in labs}
    secrets = {lab.slug: _secrets(lab) for lab in labs}
    everything = {line for lines, _ in secrets.values() for line in lines}
    found = []
    for name, content in sorted(files.items()):
        path = PurePosixPath(name)
        if path.suffix not in KINDS:
            found.append(f"{name}: a kind of file that a release has no use for.")
        elif path.suffix == ".whl":
            found += [f"{name}: holds {inner}." for inner in _sources_in(content)]
        elif path.suffix != ".ipynb":
            text = content.decode("utf-8")
            found += _in_text(name, text, everything, "")
        elif path.name not in by_name:
            found.append(f"{name}: a notebook of no lab of this release.")
        else:
            lines, open_text = secrets[by_name[path.name].slug]
            notebook = json.loads(content)
            found += _in_text(name, "\n".join(_texts(notebook)), lines, open_text)
            found += _in_cells(name, notebook["cells"])
    return found


def _secrets(lab):
    """The lines that a student must not see, and all the text of the lab that may be seen."""
    lines, seen = set(), []
    for cell in solution_copy(lab).cells:
        marks = cell.metadata.get("nbgrader", {})
        regions = [match[2] for match in REGION.finditer(cell.source)]
        if marks.get("solution") and not regions:
            lines.update(cell.source.splitlines())
        else:
            lines.update(line for region in regions for line in region.splitlines())
            seen.append(REGION.sub("", cell.source))
    return {line.strip() for line in lines if len(_squashed(line)) >= SHORTEST}, "\n".join(seen)


def _in_text(name, text, lines, open_text):
    found = []
    if marker := MARKER.search(text):
        found.append(f"{name}: a marker, {marker[0]!r}.")
    text, open_text = _squashed(text), _squashed(open_text)
    found += [
        f"{name}: a line of a solution or of a hidden test, {line!r}."
        for line in sorted(lines)
        if text.count(_squashed(line)) > open_text.count(_squashed(line))
    ]
    return found


def _in_cells(name, cells):
    found = []
    for number, cell in enumerate(cells, 1):
        source = "".join(cell["source"])
        if cell.get("outputs") or cell.get("execution_count"):
            found.append(f"{name}, cell {number}: an output, or the mark of an execution.")
        if cell.get("attachments"):
            found.append(f"{name}, cell {number}: an attachment.")
        marks = cell["metadata"].get("nbgrader", {})
        stub = STUB.splitlines()[0] if cell["cell_type"] == "code" else TEXT_STUB
        if marks.get("solution") and stub not in source:
            found.append(f"{name}, cell {number}: an answer cell without its stub.")
    return found


def _sources_in(wheel):
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return [name for name in archive.namelist() if name.startswith(WHEEL_SOURCES)]


def _texts(value):
    """All texts in a notebook, wherever they stand; lines of a list belong together."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield "".join(value)
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _squashed(text):
    return "".join(text.split())
