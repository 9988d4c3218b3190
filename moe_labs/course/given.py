"""The notebook that students got, and which of its cells stand where in one that came back.

Editors and platforms take away some of what tells a cell: marks, ids, or both. So a cell is known
by its marks, else by its id, else by its text, else by the function that it defines, and what is
written in words by its place between cells that are known.
"""

import ast
import re
from collections import defaultdict

DEFINES = re.compile(r"^(?:def|class)\s+(\w+)", re.MULTILINE)


class Given:
    """The cells of a released notebook, in order.

    Args:
        notebook: as students got it, with ids and nbgrader's marks.
    """

    def __init__(self, notebook):
        self.cells = notebook.cells
        self.keys = [grade_id_of(cell) or f"id:{cell.id}" for cell in self.cells]
        self.cell_of = dict(zip(self.keys, self.cells, strict=True))
        self._by_id = {cell.id: key for key, cell in self.cell_of.items()}
        texts = defaultdict(list)
        for key, cell in self.cell_of.items():
            texts[squashed(cell.source)].append(key)
        # Text that stands twice tells nothing, and a stub is in every answer.
        self._by_text = {
            text: keys[0]
            for text, keys in texts.items()
            if len(keys) == 1 and text and not is_answer(self.cell_of[keys[0]])
        }
        self._by_name = {
            name: key
            for key, cell in self.cell_of.items()
            if is_answer(cell) and cell.cell_type == "code"
            for name in DEFINES.findall(cell.source)[:1]
        }

    def places(self, cells):
        """Which given cell each of the cells is: list of keys, None where it is none.

        One given cell may be there several times.
        """
        keys = [self._told_by_itself(cell) for cell in cells]
        taken = set(keys)
        for number, cell in enumerate(cells):
            if keys[number] is None and cell.cell_type == "code":
                names = DEFINES.findall(cell.source)
                found = [self._by_name[name] for name in names if name in self._by_name]
                if found and found[0] not in taken:
                    keys[number] = found[0]
        self._fill_gaps(cells, keys)
        return keys

    def known_in(self, notebook):
        """How many of the given cells are in a notebook."""
        return len(set(self.places(notebook.cells)) - {None})

    def answered_in(self, notebook):
        """How many answers in a notebook are no stubs."""
        keys = self.places(notebook.cells)
        return len(
            {
                key
                for key, cell in zip(keys, notebook.cells, strict=True)
                if key and is_answer(self.cell_of[key])
                and squashed(cell.source) != squashed(self.cell_of[key].source)
            }
        )  # fmt: skip

    def _told_by_itself(self, cell):
        grade_id = grade_id_of(cell)
        if grade_id in self.cell_of:
            return grade_id
        return self._by_id.get(cell.get("id")) or self._by_text.get(squashed(cell.source))

    def _fill_gaps(self, cells, keys):
        """Answers by their place: the last cell of their kind between their known neighbours."""
        place = {key: number for number, key in enumerate(keys) if key}
        for number, key in enumerate(self.keys):
            if key in place or not is_answer(self.cell_of[key]):
                continue
            before = [place[k] for k in self.keys[:number] if k in place]
            after = [place[k] for k in self.keys[number + 1 :] if k in place]
            start, end = max(before, default=-1), min(after, default=len(cells))
            kind = self.cell_of[key].cell_type
            free = [
                n
                for n in range(start + 1, end)
                if keys[n] is None and cells[n].cell_type == kind and cells[n].source.strip()
            ]
            if free and before and (after or kind == "markdown"):
                keys[free[-1]], place[key] = key, free[-1]


def grade_id_of(cell):
    """The cell's grade id, or None."""
    marks = cell.metadata.get("nbgrader")
    grade_id = marks.get("grade_id") if isinstance(marks, dict) else None
    return grade_id if isinstance(grade_id, str) else None


def is_answer(cell):
    """Whether a given cell is for a student to fill in."""
    marks = cell.metadata.get("nbgrader", {})
    return bool(marks.get("solution") or marks.get("task"))


def imports(cell):
    """Whether a cell imports what others need."""
    try:
        tree = ast.parse(cell.source)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)


def squashed(text):
    """A text without its spaces and ends of lines, which editors change."""
    return "".join(text.split())
