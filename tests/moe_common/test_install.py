"""Every line that says how to install the package works as it stands."""

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from moe_common import install
from moe_common.install import install_advice, install_line, repository, requirement

ROOT = Path(__file__).parents[2]
ADDRESS = "https://example.org/moe"
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]
LINE = re.compile(r"\bpip3? install\b(?P<wanted>[^\n|]*)")
CLONE = re.compile(r"""(?<![\w/])\.(?:\[(?P<extras>[\w,]+)\])?(?![\w./])""")
PACKAGE = re.compile(r"\bmoe[-_]keras\b(?!-\*?\d?\S*\.whl)(?:\[[\w,]*\])?\s*(?P<rest>@\s*\S+)?")


def wrong(line, address):
    """What is wrong with what a line gives to pip, or None."""
    for package in PACKAGE.finditer(line):
        place = re.sub(r"^@\s*|[\"'`\\]+$", "", package["rest"] or "")
        if address is None or place != f"git+{address}":
            return f"{package[0]} is not to be had"
    for clone in CLONE.finditer(line):
        unknown = set((clone["extras"] or "").split(",")) - EXTRAS.keys() - {""}
        if unknown:
            return f"no extra {unknown}"
    return None


@pytest.mark.parametrize(
    ("line", "works"),
    [
        (" moe-keras", (False, False)),
        (' "moe-keras[labs]"', (False, False)),
        (" 'moe_keras[spark]==0.1'", (False, False)),
        (" moe-keras[parquet] brings both", (False, False)),
        (f' "moe-keras[labs] @ git+{ADDRESS}"', (False, True)),
        (' "moe-keras @ git+https://example.org/other"', (False, False)),
        (' ".[labs]"', (True, True)),
        (" .", (True, True)),
        (" --editable '.[dev]' --constraint constraints.txt", (True, True)),
        (' ".[laps]"', (False, False)),
        (" --requirement requirements.txt", (True, True)),
        (" hatchling", (True, True)),
    ],
)
def test_the_rule_itself(line, works):
    assert (wrong(line, None) is None, wrong(line, ADDRESS) is None) == works


def files():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.splitlines() or pytest.skip("needs a clone made by git")
    for name in names:
        # Tests have addresses of their own; weights and figures are no text.
        if not name.startswith("tests/") and not name.endswith((".npz", ".png")):
            yield name, (ROOT / name).read_text("utf-8")


def test_no_line_of_the_checkout_asks_for_what_is_not_there():
    found, bad = 0, []
    for name, text in files():
        for line in LINE.finditer(text):
            found += 1
            problem = wrong(line["wanted"], repository(ROOT))
            if problem:
                bad.append(f"{name}: {line[0]}: {problem}")
    assert bad == []
    assert found > 10


@pytest.fixture
def checkout(tmp_path):
    """A folder whose pyproject.toml has an address or none."""

    def checkout(address):
        urls = f'[project.urls]\nRepository = "{address}"\n' if address else ""
        (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\n{urls}')
        return tmp_path

    return checkout


def test_a_checkout_says_where_it_is(checkout):
    assert repository(checkout(ADDRESS)) == ADDRESS
    assert repository(checkout(None)) is None


def test_an_installed_package_knows_what_it_was_built_with(tmp_path, monkeypatch):
    class Metadata:
        def get_all(self, key):
            assert key == "Project-URL"
            return ["Docs, https://example.org/docs", f"Repository, {ADDRESS}"]

    def missing(name):
        raise PackageNotFoundError

    monkeypatch.setattr(install, "metadata", lambda name: Metadata())
    assert repository(tmp_path) == ADDRESS
    monkeypatch.setattr(install, "metadata", missing)
    assert repository(tmp_path) is None


@pytest.mark.parametrize(
    ("address", "extras", "line", "advice"),
    [
        (None, (), "python -m pip install .", " in a clone of the repository"),
        (None, ("a", "b"), 'python -m pip install ".[a,b]"', " in a clone of the repository"),
        (ADDRESS, (), f'python -m pip install "moe-keras @ git+{ADDRESS}"', ""),
        (ADDRESS, ("a",), f'python -m pip install "moe-keras[a] @ git+{ADDRESS}"', ""),
    ],
)
def test_one_setting_decides_every_line(address, extras, line, advice, monkeypatch):
    monkeypatch.setattr(install, "repository", lambda: address)
    assert install_line(*extras) == line
    assert install_advice(*extras) == f"`{line}`{advice}"
    assert requirement(*extras) in line
