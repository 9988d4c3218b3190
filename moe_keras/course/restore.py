"""Put a submitted notebook's marks in order, so that nbgrader finds every cell it looks for."""

from collections import Counter

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor

DELETED = "This cell was deleted; the grading put it back."


class RestoreMarks(NbGraderPreprocessor):
    """Give every cell the marks that it has in the assignment, and put deleted ones back.

    nbgrader itself trusts what a submission says of its cells, and stumbles over a cell that is
    not there, or over one that is there twice. The last of several cells with one grade id counts;
    the others stay as cells without marks.

    Args:
        notes: a list; what was found goes there, a sentence each.
    """

    def __init__(self, notes, **kwargs):
        super().__init__(**kwargs)
        self.notes = notes

    def preprocess(self, nb, resources):
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            assigned = gradebook.find_notebook(about["notebook"], about["assignment"])
            graded = {cell.name: cell for cell in assigned.grade_cells}
            tasks = {cell.name: cell for cell in assigned.task_cells}
            solutions = {cell.name for cell in assigned.solution_cells}
            self.marks, self.sources = {}, {}
            for cell in assigned.source_cells:
                points = {**graded, **tasks}.get(cell.name)
                self.marks[cell.name] = {
                    "grade_id": cell.name,
                    "grade": cell.name in graded,
                    "solution": cell.name in solutions,
                    "task": cell.name in tasks,
                    "locked": cell.locked,
                    "schema_version": 3,
                    **({"points": points.max_score} if points else {}),
                }
                self.sources[cell.name] = (cell.cell_type, cell.source)
        counts = Counter(self._settle(cell) for cell in nb.cells)
        self.notes += self._complaints(nb, counts)
        _keep_the_last(nb)
        for grade_id in self.marks:
            if grade_id not in counts:
                self._put_back(nb, grade_id)
        nb.nbformat, nb.nbformat_minor = 4, max(nb.nbformat_minor, 5)
        for index, cell in enumerate(nb.cells):
            cell.id = f"cell-{index}"
        return nb, resources

    def _settle(self, cell):
        """The cell's grade id, its marks set right; None, and no marks, if it has no known one."""
        marks = cell.metadata.pop("nbgrader", None)
        grade_id = marks.get("grade_id") if isinstance(marks, dict) else None
        if not isinstance(grade_id, str) or grade_id not in self.marks:
            return None
        cell.metadata.nbgrader = nbformat.from_dict(self.marks[grade_id])
        return grade_id

    def _complaints(self, nb, counts):
        deleted = [grade_id for grade_id in self.marks if grade_id not in counts]
        doubled = [grade_id for grade_id, count in counts.items() if grade_id and count > 1]
        changed = sorted(
            {cell.metadata.nbgrader.grade_id for cell in nb.cells if self._edited(cell)}
        )
        for what, grade_ids in (
            ("deleted cells", deleted),
            ("duplicated grade ids", doubled),
            ("changed test cells", changed),
        ):
            if grade_ids:
                yield f"{what}: {', '.join(grade_ids)}"

    def _edited(self, cell):
        """Whether a locked cell says something else than the student was given."""
        marks = cell.metadata.get("nbgrader")
        if not marks or not marks.locked:
            return False
        cell_type, source = self.sources[marks.grade_id]
        given = nbformat.from_dict({"cell_type": cell_type, "source": source, "metadata": {}})
        given, _ = ClearHiddenTests(enforce_metadata=False).preprocess_cell(given, {}, 0)
        return (cell.cell_type, cell.source.strip()) != (cell_type, given.source.strip())

    def _put_back(self, nb, grade_id):
        """Insert a cell after the one that it follows in the assignment."""
        places = {
            cell.metadata.nbgrader.grade_id: index
            for index, cell in enumerate(nb.cells)
            if "nbgrader" in cell.metadata
        }
        order = list(self.marks)
        before = [places[name] for name in order[: order.index(grade_id)] if name in places]
        cell_type, source = self.sources[grade_id]
        make = nbformat.v4.new_code_cell if cell_type == "code" else nbformat.v4.new_markdown_cell
        cell = make(source, metadata={"nbgrader": self.marks[grade_id], "deleted": DELETED})
        nb.cells.insert(before[-1] + 1 if before else len(nb.cells), cell)


def _keep_the_last(nb):
    seen = set()
    for cell in reversed(nb.cells):
        marks = cell.metadata.get("nbgrader")
        if marks and marks.grade_id in seen:
            del cell.metadata["nbgrader"]
        elif marks:
            seen.add(marks.grade_id)
