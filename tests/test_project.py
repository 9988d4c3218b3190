import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import moe_keras
from moe_common.install import repository
from moe_labs.notebooks.catalogue import find_labs
from moe_labs.notebooks.readme import renew

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()


def requirements(extra=None):
    listed = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return [Requirement(line) for line in listed]


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {pin.name.lower().replace("_", "-"): pin for pin in pins}


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == moe_keras.__version__
    assert PROJECT["dynamic"] == ["version"]


def test_constraints_are_versions_without_addresses():
    for pin in constraints().values():
        assert pin.url is None
        assert re.fullmatch(r"==[^*]+", str(pin.specifier))


@pytest.mark.parametrize("extra", [None, *PROJECT["optional-dependencies"]])
def test_every_dependency_is_pinned_within_its_bounds(extra):
    pins = constraints()
    for requirement in requirements(extra):
        if requirement.name != PROJECT["name"]:
            (pin,) = pins[requirement.name].specifier
            assert requirement.specifier.contains(pin.version), requirement


def test_conda_takes_its_packages_from_pyproject():
    conda, pip = [], []
    for entry in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]:
        (pip.extend(entry["pip"]) if isinstance(entry, dict) else conda.append(entry))
    assert [re.match(r"\w+", package)[0] for package in conda] == ["python", "openjdk", "pip"]
    assert SpecifierSet(conda[0].removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    assert pip[0] == "--constraint constraints.txt"
    extras = re.fullmatch(r"--editable \.\[([\w,]+)\]", pip[1])[1].split(",")
    assert set(extras) <= PROJECT["optional-dependencies"].keys()
    assert len(pip) == 2


def imported(*folders):
    """The top-level modules that Python files under some folders import."""
    names = set()
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.partition(".")[0])
    return names


def distributions_of(modules):
    """The packages, as an index names them, that modules come from."""
    found = packages_distributions()
    return {
        distribution.lower().replace("_", "-")
        for module in modules
        for distribution in found.get(module, [])
    }


def test_the_library_is_all_that_the_base_is_for():
    base = {requirement.name for requirement in requirements()}
    assert base <= distributions_of(imported("moe_common", "moe_keras"))


def test_backends_are_extras():
    assert {
        name: [requirement.name for requirement in requirements(name)]
        for name in ("tensorflow", "jax", "torch")
    } == {"tensorflow": ["tensorflow"], "jax": ["jax"], "torch": ["torch"]}


def test_what_is_declared_is_used_and_what_is_used_is_declared():
    extras = (None, "tensorflow", "labs", "spark", "test")
    declared = {requirement.name for extra in extras for requirement in requirements(extra)}
    # Run rather than imported: the backend of Keras, programs, what pytest, pandas and Spark load,
    # and the browser, for which a test asks in its own way.
    run = {"tensorflow", "ipykernel", "jupyterlab", "ruff", "setuptools"}
    run |= {
        "pytest",
        "nbval",
        "pytest-random-order",
        "pytest-xdist",
        "playwright",
        "pyarrow",
        "hatchling",
    }
    run |= {"axe-playwright-python", "check-jsonschema"}
    used = distributions_of(imported("moe_common", "moe_keras", "moe_labs", "notebooks", "tests"))
    assert declared - used <= run
    # Their parts or companions come with what is declared.
    assert used - declared <= {
        *("moe-keras", "jinja2", "jsonschema", "packaging", "ipython", "pyzmq", "traitlets"),
        *("bleach", "click", "sqlalchemy", "py4j"),
    }


def tool(name):
    spec = spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_venv():
    return tool("make_venv")


def test_the_environment_wants_the_pythons_of_pyproject():
    module = make_venv()
    bounds = SpecifierSet(PROJECT["requires-python"])
    assert SpecifierSet(">={}.{},<{}.{}".format(*module.OLDEST, *module.BEYOND)) == bounds


@pytest.mark.parametrize("version", [(2, 7), (3, 10), (3, 14)])
def test_a_python_that_will_not_do_hears_so(version, monkeypatch):
    module = make_venv()
    monkeypatch.setattr(module, "version", lambda: version)
    with pytest.raises(SystemExit, match=r"Expected Python 3\.11 .*\n.*python\.org"):
        module.main()


def test_a_python_without_venv_hears_how_to_get_it(monkeypatch):
    module = make_venv()
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match=r"apt install python3\.\d+-venv"):
        module.main()


def test_an_interrupted_installation_says_how_to_go_on(monkeypatch, tmp_path):
    module = make_venv()
    monkeypatch.setattr(module.subprocess, "call", lambda command, **options: 1)
    with pytest.raises(SystemExit, match="virtual environment failed"):
        module.main(str(tmp_path))
    monkeypatch.setattr(module, "works", lambda python: True)
    with pytest.raises(SystemExit, match=r"network \(pip downloads from PyPI"):
        module.main(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_environment_made_elsewhere_is_made_anew(tmp_path):
    module = make_venv()
    stamp = tmp_path / module.STAMP
    assert not module.moved(stamp)
    stamp.write_text("elsewhere")
    assert module.moved(stamp)
    stamp.write_text(os.getcwd())
    assert not module.moved(stamp)


def test_make_lists_its_targets():
    listed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    shown = listed.stdout
    for target in (
        *("labs", "lab", "test", "test-fast", "notebooks", "mistakes", "outcomes"),
        *("constraints", "clean"),
    ):
        assert re.search(rf"^  {target} +\w", shown, re.MULTILINE)


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().endswith("exec make test\n")
    test = workflow("ci.yml")["jobs"]["test"]
    assert {"run": ".ci/run"} in test["steps"]
    for version in test["strategy"]["matrix"]["python"]:
        assert version in SpecifierSet(PROJECT["requires-python"])


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())


def test_ci_takes_the_newest_keras_once_a_week():
    newest = workflow("newest.yml")
    (schedule,) = newest[True]["schedule"]  # YAML reads `on` as true
    minute, hour, day, month, weekday = schedule["cron"].split()
    assert (day, month) == ("*", "*") and all(x.isdigit() for x in (minute, hour, weekday))
    commands = [step.get("run", "") for step in newest["jobs"]["newest"]["steps"]]
    assert not any("constraint" in command or "make " in command for command in commands)
    (install,) = (command for command in commands if "pip install" in command)
    assert "--upgrade-strategy eager" in install
    assert "python -m pytest tests/test_private_names.py" in commands


def test_ci_checks_a_tag():
    ci = workflow("ci.yml")
    assert ci[True]["push"]["tags"] == ["v*"]
    steps = ci["jobs"]["release"]["steps"]
    assert {"run": 'python3 tools/check_release.py "$GITHUB_REF_NAME"'} in steps


CHANGES = "# Changelog\n\n## [Unreleased]\n{}\n## [0.2.0] - 2030-01-31\n\n- More.\n"


@pytest.fixture
def released(tmp_path):
    """A checkout in little, ready to be tagged v0.2.0."""
    (tmp_path / "moe_keras").mkdir()
    (tmp_path / "moe_keras" / "__init__.py").write_text('__version__ = "0.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 0.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES.format(""))
    return tmp_path


def test_a_release_that_agrees_with_its_tag(released):
    assert tool("check_release").problems("v0.2.0", released) == []


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("moe_keras/__init__.py", '__version__ = "0.1.0"\n', "version 0.2.0. Received: 0.1.0"),
        ("CITATION.cff", "version: 0.2.0rc1\n", "Received: 0.2.0rc1"),
        ("CHANGELOG.md", "## [Unreleased]\n", "Received: none"),
        ("CHANGELOG.md", CHANGES.format("\n- Later.\n"), "an empty heading"),
    ],
)
def test_a_release_that_does_not(released, file, text, message):
    (released / file).write_text(text)
    (problem,) = tool("check_release").problems("v0.2.0", released)
    assert problem.startswith(file) and message in problem


def test_the_readme_lists_the_labs_as_they_are():
    assert renew(README, find_labs(ROOT / "notebooks"), repository(ROOT)) == README


def test_the_readme_links_to_files_that_exist():
    links = re.findall(r"\]\(([^)]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert {"docs/mixture.svg", "docs/routing.png"} <= set(local)
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_the_readme_is_short_and_begins_with_a_picture_of_a_lab():
    assert len(README.splitlines()) <= 150
    start, _, _ = README.partition("\n## Labs\n")
    assert re.search(r"!\[From lab \d\d: .{40,}\]\(docs/routing\.png\)", start)
    for door in ("**Student.**", "**Lecturer.**", "**Keras user.**", "make lab", "pip install"):
        assert door in start


def test_the_picture_is_the_one_that_the_lab_drew():
    made = tool("make_picture")
    assert made.PICTURE.read_bytes() == made.picture(), "run tools/make_picture.py"


def test_the_model_in_the_readme_trains(monkeypatch):
    training, looking, trained = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    images = np.random.default_rng(0).integers(256, size=(32, 28, 28, 1), dtype=np.uint8)
    labels = np.arange(32, dtype=np.int32) % 10
    few = SimpleNamespace(
        **{f"x_{part}": images for part in ("train", "validation", "test")},
        **{f"y_{part}": labels for part in ("train", "validation", "test")},
    )
    monkeypatch.setattr(moe_keras.data, "load", lambda name: few, raising=False)
    scope = {}
    exec(compile(training, "README.md", "exec"), scope)
    sums = scope["model"].predict(images, verbose=0).sum(axis=1)
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    # Of 32 images an expert may well get none: a warning, and no error.
    exec(compile(looking, "README.md", "exec"), scope)
    exec(compile(trained, "README.md", "exec"), scope)
    assert scope["expert"].layer.output_shape == (None, 6)
