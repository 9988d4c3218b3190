"""What a student meets in JupyterLab: a copy that runs, and checks that answer what is typed."""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from moe_labs.notebooks.catalogue import find_labs
from moe_labs.notebooks.generate import student_copy, write_notebook

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
START_SECONDS = 90
CELL_MILLISECONDS = 120_000  # the first cell imports TensorFlow
SETTINGS = {
    # Every cell stays in the page, in sight or not; nothing asks for news.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def first_exercise(folder):
    """The student's copy of lab 06, from its top to its first check, and its last cell."""
    (lab,) = find_labs(ROOT / "notebooks", ["06"])
    notebook = student_copy(lab)
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]
    summary = next(cell for cell in notebook.cells if cell.source.startswith("summary("))
    notebook.cells = [*notebook.cells[: names.index("check-dispatch_weights") + 1], summary]
    write_notebook(notebook, folder / "lab.ipynb")


def free_port():
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(folder):
    """That of a student whose home is an empty folder: no settings or secrets of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    own = {"HOME": folder, "PYTHONPATH": ROOT, "MOE_KERAS_LAB": "quick"}
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        own[f"JUPYTER_{name}"] = folder / "jupyter" / name
    own |= {"IPYTHONDIR": folder / "ipython", "JUPYTERLAB_SETTINGS_DIR": folder / "settings"}
    own |= {"JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces", "TF_CPP_MIN_LOG_LEVEL": 3}
    own |= {"HTTPS_PROXY": "http://127.0.0.1:9"}  # nothing is downloaded: the stand-in will do
    return kept | {name: str(value) for name, value in own.items()}


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory):
    """Function that gives the address of a notebook, on a server of this test's own."""
    folder = tmp_path_factory.mktemp("student")
    for name, values in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    (folder / "work").mkdir()
    first_exercise(folder / "work")
    port, token = free_port(), secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder / 'work'}"),
    ]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment(folder), stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/api/status?token={token}", server, folder / "log")
        yield f"{address}/lab/tree/lab.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address, server, log):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            return urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def cell_with(page, code):
    return page.locator(".jp-CodeCell", has_text=code)


def output_of(page, code):
    return cell_with(page, code).locator(".jp-OutputArea-output").first


def answer(page, lines):
    """Write a function as a student does, key by key, and run it and its check."""
    cell_with(page, "def dispatch_weights").locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.type(lines)  # the editor indents after the colon
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")


def test_a_student_answers_the_first_exercise(chromium, jupyterlab, tmp_path):
    from playwright.sync_api import expect

    expect.set_options(timeout=CELL_MILLISECONDS)
    page = chromium.new_page(viewport={"width": 1200, "height": 1400})
    page.goto(jupyterlab, timeout=CELL_MILLISECONDS)
    check, progress = "dispatch_weights.check(", "summary(lab06)"
    # Cells that are run before there is a kernel are forgotten.
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    expect(cell_with(page, check)).to_be_visible()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    judged = output_of(page, check)
    expect(judged).to_contain_text('Exercise "dispatch_weights": not attempted.')
    expect(judged).to_contain_text("The lab goes on with a reference answer")
    expect(output_of(page, progress)).to_contain_text("0 of 4 exercises attempted")
    expect(cell_with(page, "plots.image_grid").locator("img")).to_be_visible()
    page.screenshot(path=tmp_path / "1-not-attempted.png")

    answer(page, "def dispatch_weights(logits):\nreturn ops.softmax(logits)")
    expect(judged).to_contain_text(re.compile("not right yet.*last axis"))
    page.screenshot(path=tmp_path / "2-not-right-yet.png")

    answer(page, "def dispatch_weights(logits):\nreturn ops.softmax(logits, axis=1)")
    expect(judged).to_contain_text('Exercise "dispatch_weights": right. (2 of 2 marks)')
    cell_with(page, progress).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(output_of(page, progress)).to_contain_text("1 right, 2 of 10 marks")
    page.screenshot(path=tmp_path / "3-right.png")
    page.close()
