"""A lab as a page of the website: the lab as it ran, its answers left open or shown."""

from copy import deepcopy

from nbformat.v4 import new_code_cell, new_markdown_cell

from moe_labs.notebooks.generate import MARKER, committed_solution, student_copy


def lab_page(lab, about, solutions=False):
    """The notebook to show.

    Args:
        lab: a `Lab`.
        about: Markdown that goes below the first cell, which holds the title.
        solutions: whether to show the answers; otherwise each is the stub that a student gets.

    Raises:
        ValueError: if the executed solution is missing or belongs to another source.
    """
    page = committed_solution(lab)
    student = student_copy(lab)
    if page is None or [cell.id for cell in page.cells] != [cell.id for cell in student.cells]:
        raise ValueError(
            f"Expected the executed solution of {lab.source.name}. Received: none, or an older "
            "one's. Run: make notebooks"
        )
    cells = []
    for solved, open_cell in zip(page.cells, student.cells, strict=True):
        if solutions:
            solved.source = _without_markers(solved.source)
        elif solved.source != open_cell.source:
            solved.source = open_cell.source
            if solved.metadata.get("nbgrader", {}).get("solution"):
                solved.outputs = []
        cells += _by_image(solved)
    page.cells = [cells[0], new_markdown_cell(about), *cells[1:]]
    return page


def _without_markers(source):
    return "\n".join(line for line in source.split("\n") if not MARKER.search(line))


def _by_image(cell):
    """A cell cut so that each piece has one image at most, with its alternative text.

    myst-nb takes that text from a cell's metadata, for all of its images alike.
    """
    if cell.cell_type != "code":
        cell.pop("outputs", None)
        return [cell]
    pieces = [[]]
    for output in cell.outputs:
        if _alt(output) and any(map(_alt, pieces[-1])):
            pieces.append([])
        pieces[-1].append(output)
    cells = []
    for outputs in pieces:
        piece = deepcopy(cell) if not cells else new_code_cell(metadata={"tags": ["remove-input"]})
        piece.outputs = outputs
        alts = [alt for alt in map(_alt, outputs) if alt]
        if alts:
            piece.metadata["mystnb"] = {"image": {"alt": alts[0]}}
        cells.append(piece)
    return cells


def _alt(output):
    return output.get("metadata", {}).get("image/png", {}).get("alt")
