"""What GitHub is told to do with the website."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text("utf-8"))


def test_only_the_last_step_may_publish():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in WORKFLOW["jobs"]["build"]
    assert WORKFLOW["jobs"]["deploy"]["permissions"] == {"pages": "write", "id-token": "write"}


def test_it_uploads_what_make_site_builds():
    build = WORKFLOW["jobs"]["build"]["steps"]
    assert {"run": "make site"} in build
    assert build[-1]["with"] == {"path": "build/site"}


def test_actions_are_pinned():
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert len(used) == 4
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", action) for action in used)
