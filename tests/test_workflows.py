"""What GitHub is told to do: valid, with actions that stay as they are, and few rights."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {file.stem: yaml.safe_load(file.read_text("utf-8")) for file in FILES}
EACH = pytest.mark.parametrize("name", WORKFLOWS)


def steps(name):
    return [step for job in WORKFLOWS[name]["jobs"].values() for step in job["steps"]]


@pytest.mark.skipif(not find_spec("check_jsonschema"), reason="needs check-jsonschema")
def test_all_are_valid():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    checked = subprocess.run(
        [*command, "vendor.github-workflows", *map(str, FILES)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@EACH
def test_actions_are_pinned_to_a_commit_whose_version_is_told(name):
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8")
    lines = re.findall(r"uses: (.+)", text)
    assert len(lines) == sum("uses" in step for step in steps(name)) > 0
    for line in lines:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line)


def test_an_action_is_the_same_version_everywhere():
    used = {step["uses"] for name in WORKFLOWS for step in steps(name) if "uses" in step}
    assert len(used) == len({action.partition("@")[0] for action in used})


@EACH
def test_every_job_ends_in_time(name):
    assert all("timeout-minutes" in job for job in WORKFLOWS[name]["jobs"].values())


@EACH
def test_every_target_of_make_exists(name):
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"))
    called = [
        step["run"].split()[1] for step in steps(name) if step.get("run", "").startswith("make ")
    ]
    assert set(called) <= set(targets)


@EACH
def test_only_the_last_step_of_the_website_may_write(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    allowed = {
        job: given["permissions"]
        for job, given in WORKFLOWS[name]["jobs"].items()
        if "permissions" in given
    }
    assert allowed == (
        {"deploy": {"pages": "write", "id-token": "write"}} if name == "site" else {}
    )


def test_the_website_is_what_make_site_builds():
    build = WORKFLOWS["site"]["jobs"]["build"]["steps"]
    assert {"run": "make site"} in build
    assert build[-1]["with"] == {"path": "build/site"}
