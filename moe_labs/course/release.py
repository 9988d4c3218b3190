"""What is handed out: the students' copies, open to all, and the solutions, under a password."""

from pathlib import Path

import nbformat

from moe_common.files import replacing
from moe_common.install import repository, requirement
from moe_common.stopping import keeping
from moe_labs.course.archive import write_encrypted_zip, write_zip
from moe_labs.course.environment import EXTRAS, pins
from moe_labs.course.leaks import find_leaks
from moe_labs.course.student_wheel import student_wheel
from moe_labs.notebooks.generate import committed_solution, same_cells, solution_copy, student_copy

STUDENT_ZIP, SOLUTIONS_ZIP = "moe_keras-labs.zip", "moe_keras-solutions.zip"
FOLDER = "moe_keras-labs"
SHORTEST_PASSWORD = 8

ENVIRONMENT = """\
# conda env create --file environment.yml && conda activate moe-keras-labs
name: moe-keras-labs
channels:
  - conda-forge
dependencies:
  - python>=3.11,<3.14
  - pip
  - pip:
      - --requirement requirements.txt
"""

README = """\
# Mixture of Experts in Keras: the labs

{labs}

Install Python 3.11, 3.12 or 3.13, then in this folder

    python -m venv .venv
    source .venv/bin/activate        # on Windows: .venv\\Scripts\\activate
    python -m pip install --requirement requirements.txt
    jupyter lab notebooks

or, with conda, `conda env create --file environment.yml`, `conda activate moe-keras-labs` and
`jupyter lab notebooks`.

Write your answers where a cell says `TODO` or "Your answer here." and leave the other cells as they
are; do not rename the notebook. The cell below each answer checks it and says what is missing.
Hand in the notebook, saved.
"""


def release(labs, folder, password, wheel=None, force=False):
    """Write the students' zip file and the encrypted one with the solutions.

    The students' holds their copies of the labs, the files of an environment with the versions
    installed here, and a README. It is scanned for leaks before anything is written. The solutions
    are the executed ones of a checkout where these are up to date, else not executed.

    The students' file is the same, byte for byte, whenever it is made again from the same labs in
    the same environment; the other differs by the salt of its encryption.

    Args:
        labs: list of `Lab`.
        folder: where the two files go.
        password: of the solutions, at least 8 characters.
        wheel: a wheel of the package for the students to install, of which the labs' sources are
            left out. Default: they install it from the repository's address.
        force: whether files there may be replaced.

    Returns:
        The paths of the two files: the students' and the solutions'.

    Raises:
        FileExistsError: if one of the files is there.
        ValueError: if the password is too short, if there is neither a wheel nor an address, or if
            something in the students' file would give an answer away; then nothing is written.
    """
    students, solutions = (Path(folder) / name for name in (STUDENT_ZIP, SOLUTIONS_ZIP))
    require_password(password)
    present = [str(path) for path in (students, solutions) if path.exists()]
    if present and not force:
        raise FileExistsError(
            f"Expected a folder without a release. Received: {', '.join(present)} "
            "(Nothing was changed: name another folder, or give --force to replace them.)"
        )
    handed_out = student_files(labs, wheel)
    leaks = find_leaks(labs, handed_out)
    if leaks:
        raise ValueError("Expected files without answers. Received:\n" + "\n".join(leaks))
    with (
        keeping(lambda: "Nothing was handed out; files there before are as they were."),
        replacing(students) as open_part,
        replacing(solutions) as secret_part,
    ):
        write_zip(open_part, handed_out)
        write_encrypted_zip(secret_part, solution_files(labs), password)
    return students, solutions


def student_files(labs, wheel=None):
    """What students get: a dictionary from a file's name to its bytes."""
    files = {f"notebooks/{lab.slug}.ipynb": _notebook(student_copy(lab)) for lab in labs}
    address = repository(labs[0].notebooks.parent)
    if wheel is not None:
        files[Path(wheel).name] = student_wheel(wheel)
        package = f"./{Path(wheel).name}[{','.join(EXTRAS)}]"
    elif address:
        package = requirement(*EXTRAS, address=address)
    else:
        raise ValueError(
            "Expected something for students to install: a wheel of the package, or the "
            "repository's address in pyproject.toml. Received: neither. In a clone of the "
            "repository, `python -m pip wheel --no-deps --wheel-dir dist .` makes a wheel: name it "
            "with --wheel."
        )
    listed = "\n".join(
        f"- `notebooks/{lab.slug}.ipynb`: {lab.title}, about {lab.minutes} minutes to run"
        for lab in labs
    )
    texts = {
        "README.md": README.format(labs=listed),
        "constraints.txt": pins(),
        "environment.yml": ENVIRONMENT,
        "requirements.txt": f"--constraint constraints.txt\n{package}\n",
    }
    files |= {name: text.encode() for name, text in texts.items()}
    return {f"{FOLDER}/{name}": content for name, content in files.items()}


def solution_files(labs):
    """The labs with answers and hidden tests: a dictionary from a file's name to its bytes."""
    notebooks = {}
    for lab in labs:
        executed = committed_solution(lab)
        current = executed if same_cells(lab, executed) else solution_copy(lab)
        notebooks[f"{FOLDER}/solutions/{lab.slug}.ipynb"] = _notebook(current)
    return notebooks


def require_password(password):
    """Refuse a password that is too short to keep anything.

    Raises:
        ValueError: if it has fewer than 8 characters.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise ValueError(
            f"Expected a password of at least {SHORTEST_PASSWORD} characters. "
            f"Received: one of {len(password)}"
        )


def _notebook(notebook):
    return f"{nbformat.writes(notebook)}\n".encode()
