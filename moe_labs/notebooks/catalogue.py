"""The labs of a checkout."""

import re
from dataclasses import dataclass
from pathlib import Path

import jupytext

SOURCE_NAME = re.compile(r"(?P<number>\d\d)_(?P<name>\w+)\.py")


@dataclass(frozen=True)
class Lab:
    """One lab: what it is called and where its source and its two copies lie."""

    number: str
    name: str
    title: str
    minutes: int
    outcomes: str
    notebooks: Path

    @property
    def slug(self):
        return f"{self.number}_{self.name}"

    @property
    def source(self):
        return self.notebooks / "source" / f"{self.slug}.py"

    @property
    def student_copy(self):
        return self.notebooks / f"{self.slug}.ipynb"

    @property
    def solution(self):
        return self.notebooks / "solutions" / f"{self.slug}.ipynb"


def find_labs(notebooks=None, numbers=()):
    """The labs under a folder, in order.

    Args:
        notebooks: the folder ``notebooks`` of a checkout. Default: that of the checkout around the
            current folder.
        numbers: numbers of the labs wanted, such as ``["01"]`` or ``["1"]``. Default: all.

    Returns:
        List of `Lab`.

    Raises:
        FileNotFoundError: if there is no such folder or no lab in it.
        ValueError: if a number names no lab, or a source lacks what a lab must say about itself.
    """
    notebooks = _checkout_notebooks() if notebooks is None else Path(notebooks).resolve()
    labs = [
        _read(path)
        for path in sorted(notebooks.glob("source/*.py"))
        if SOURCE_NAME.match(path.name)
    ]
    if not labs:
        raise FileNotFoundError(
            f"Expected labs such as {notebooks / 'source' / '01_name.py'}. Received: a folder "
            "without any."
        )
    wanted = {f"{number:0>2}" for number in numbers}
    there = {lab.number for lab in labs}
    if not wanted <= there:
        raise ValueError(
            f"Expected numbers of labs that are here: {', '.join(sorted(there))}. "
            f"Received: {', '.join(sorted(wanted - there))}"
        )
    return [lab for lab in labs if not wanted or lab.number in wanted]


def installed_labs(numbers=()):
    """The labs that this installation of moe_keras brings along, wherever one is.

    An installed wheel has their sources beside this module; a checkout and an editable
    installation of one have them in the checkout's ``notebooks``. Of an installed lab there is
    only the source: its copies are made from it (`moe_labs.notebooks.generate`).

    Args:
        numbers: numbers of the labs wanted, as in `find_labs`. Default: all.

    Returns:
        List of `Lab`.

    Raises:
        FileNotFoundError: if the installation has no labs.
        ValueError: if a number names no lab.
    """
    here = Path(__file__).resolve().parent
    packaged = (here / "source").is_dir()
    return find_labs(here if packaged else here.parents[1] / "notebooks", numbers)


def _checkout_notebooks():
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks" / "source").is_dir():
            return folder / "notebooks"
    raise FileNotFoundError(
        "Expected to be inside a checkout of moe_keras, where the folder notebooks/source is. "
        f"Received: {here}\nChange into the checkout, or name its notebooks with --notebooks DIR."
    )


def _read(path):
    notebook = jupytext.read(path, fmt="py:percent")
    about = notebook.metadata.get("moe_keras", {})
    title = next(
        (
            line.removeprefix("# ")
            for cell in notebook.cells
            if cell.cell_type == "markdown"
            for line in cell.source.splitlines()
            if line.startswith("# ")
        ),
        None,
    )
    if title is None or not {"minutes", "outcomes"} <= about.keys():
        raise ValueError(
            f"{path}: expected a first heading '# Lab NN: title' and, in the jupytext header, the "
            "key 'moe_keras' with 'minutes' and 'outcomes'. "
            f"Received: heading {title!r}, {dict(about)}"
        )
    return Lab(
        **SOURCE_NAME.match(path.name).groupdict(),
        title=title.partition(": ")[2] or title,
        minutes=about["minutes"],
        outcomes=about["outcomes"],
        notebooks=path.parent.parent,
    )
