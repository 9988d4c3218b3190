"""Put a submitted notebook's marks in order, so that nbgrader finds every cell it looks for."""

from collections import Counter

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor

from moe_labs.course.given import Given, grade_id_of, imports, squashed
from moe_labs.course.tampering import touches_the_judge

DELETED = "This cell was deleted; the grading put it back."


class RestoreMarks(NbGraderPreprocessor):
    """Give every cell the marks that it has in the assignment, and put deleted ones back.

    nbgrader itself trusts what a submission says of its cells, and stumbles over a cell that is
    not there, or over one that is there twice. The last of several cells with one grade id counts;
    the others stay as cells without marks. Put back are cells with marks, and imports.

    Args:
        notes: a list; what was found goes there, a sentence each.
        released: the notebook that students got.
    """

    def __init__(self, notes, released, **kwargs):
        super().__init__(**kwargs)
        self.notes = notes
        self.given = Given(released)

    def preprocess(self, nb, resources):
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            self._read(gradebook.find_notebook(about["notebook"], about["assignment"]))
        keys = self.given.places(nb.cells)
        restored = []
        for cell, key in zip(nb.cells, keys, strict=True):
            if key in self.marks and grade_id_of(cell) != key:
                restored.append(key)
            cell.metadata.pop("nbgrader", None)
            if key in self.marks:
                cell.metadata.nbgrader = nbformat.from_dict(self.marks[key])
        self.notes += self._complaints(nb, keys, restored)
        keys = self._keep_the_last(nb, keys)
        for key in self._expected():
            if key not in keys:
                self._put_back(nb, keys, key)
        nb.nbformat, nb.nbformat_minor = 4, max(nb.nbformat_minor, 5)
        for index, cell in enumerate(nb.cells):
            cell.id = f"cell-{index}"
        return nb, resources

    def _read(self, assigned):
        """The assignment's marks and sources, from the gradebook: by grade id."""
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

    def _expected(self):
        """The cells that must be there, in the assignment's order."""
        order = [
            key
            for key, cell in self.given.cell_of.items()
            if key in self.marks or (cell.cell_type == "code" and imports(cell))
        ]
        return order + [key for key in self.marks if key not in order]

    def _complaints(self, nb, keys, restored):
        counts = Counter(keys)
        changed = {key for cell, key in zip(nb.cells, keys, strict=True) if self._edited(cell, key)}
        deleted = [key for key in self._expected() if key not in counts]
        for what, found in (
            ("deleted cells", [key.removeprefix("id:") for key in deleted]),
            ("duplicated grade ids", [k for k, n in counts.items() if k in self.marks and n > 1]),
            ("changed test cells", sorted(changed)),
            ("marks restored by cell id, text or place", restored),
        ):
            if found:
                yield f"{what}: {', '.join(dict.fromkeys(found))}"
        for index, (cell, key) in enumerate(zip(nb.cells, keys, strict=True), 1):
            if key and squashed(cell.source) == squashed(self.given.cell_of[key].source):
                continue
            locked = key in self.marks and self.marks[key]["locked"]
            if cell.cell_type == "code" and not locked and touches_the_judge(cell.source):
                yield f"to be read: cell {index} touches what judges it"

    def _edited(self, cell, key):
        """Whether a locked cell says something else than the student was given."""
        if key not in self.marks or not self.marks[key]["locked"]:
            return False
        cell_type, source = self.sources[key]
        given = nbformat.from_dict({"cell_type": cell_type, "source": source, "metadata": {}})
        given, _ = ClearHiddenTests(enforce_metadata=False).preprocess_cell(given, {}, 0)
        unedited = {squashed(source), squashed(given.source)}
        return cell.cell_type != cell_type or squashed(cell.source) not in unedited

    def _keep_the_last(self, nb, keys):
        """The keys, less those of marked cells that come again."""
        kept = [
            None if key in self.marks and key in keys[number + 1 :] else key
            for number, key in enumerate(keys)
        ]
        for cell, key in zip(nb.cells, kept, strict=True):
            if key is None:
                cell.metadata.pop("nbgrader", None)
        return kept

    def _put_back(self, nb, keys, key):
        """Insert a cell after the one that it follows in the assignment; the first at the start."""
        order = [*self.given.keys, *(name for name in self.marks if name not in self.given.keys)]
        before = set(order[: order.index(key)])
        place = max((n + 1 for n, known in enumerate(keys) if known in before), default=0)
        if key in self.marks:
            cell_type, source = self.sources[key]
            metadata = {"nbgrader": self.marks[key], "deleted": DELETED}
        else:
            cell_type, source = "code", self.given.cell_of[key].source
            metadata = {"deleted": DELETED}
        make = new_code_cell if cell_type == "code" else new_markdown_cell
        nb.cells.insert(place, make(source, metadata=nbformat.from_dict(metadata)))
        keys.insert(place, key)
