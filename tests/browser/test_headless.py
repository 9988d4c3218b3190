"""A browser that does not start, in each of its ways, is a skip that says what to install."""

import sys
import types

import headless
import pytest

LIBRARY = "error while loading shared libraries: {}: cannot open shared object file"


@pytest.fixture
def skipped():
    """Function that gives the reason for which a test would be skipped."""

    def reason(seconds=60):
        with pytest.raises(pytest.skip.Exception) as found, headless.chromium(seconds):
            pass
        assert found.value.msg.startswith("Needs a browser. Install ")
        return found.value.msg.removeprefix("Needs a browser. Install ")

    return reason


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise ModuleNotFoundError('No module named playwright')", "No module named playwright"),
        ("raise ImportError('greenlet is broken')", "greenlet is broken"),
        ("import sys; sys.exit('includes no Node.js')", "includes no Node.js"),
        ("import os; os.abort()", "It ended."),
        ("import time; time.sleep(600)", "timed out after 1 seconds"),
    ],
    ids=["no package", "broken package", "no driver", "crash", "hangs"],
)
def test_playwright_that_does_not_start(code, expected, skipped, monkeypatch, tmp_path):
    fake = tmp_path / "packages" / "playwright"
    fake.mkdir(parents=True)
    (fake / "__init__.py").touch()
    (fake / "__main__.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(fake.parent))
    reason = skipped(seconds=1 if "sleep" in code else 60)
    assert reason.startswith("Playwright (python -m pip install playwright). ")
    assert expected in reason


@pytest.mark.parametrize(
    ("file", "package"),
    [
        ("libatomic.so.1", "libatomic1"),
        ("libstdc++.so.6", "libstdc++6"),
        ("libgcc_s.so.1", "libgcc-s1"),
        ("libnss3.so", "libnss3"),
    ],
)
def test_a_library_that_the_driver_lacks(file, package, skipped, monkeypatch, tmp_path):
    fake = tmp_path / "packages" / "playwright"
    fake.mkdir(parents=True)
    (fake / "__init__.py").touch()
    (fake / "__main__.py").write_text(f"import sys; sys.exit('node: {LIBRARY.format(file)}')")
    monkeypatch.setenv("PYTHONPATH", str(fake.parent))
    assert f"(Debian, Ubuntu: {package}). node: error while loading" in skipped()


def test_playwright_that_loses_its_driver(skipped, monkeypatch, tmp_path):
    """Asked for its version it answers; then the connection breaks."""

    class Broken:
        def __enter__(self):
            raise Exception("Connection closed while reading from the driver")

    api = types.SimpleNamespace(sync_playwright=Broken)
    monkeypatch.setitem(sys.modules, "playwright", types.ModuleType("playwright"))
    monkeypatch.setitem(sys.modules, "playwright.sync_api", api)
    monkeypatch.setattr(headless.subprocess, "run", lambda command, **options: None)
    assert skipped().endswith("playwright). Connection closed while reading from the driver")


@pytest.fixture(scope="module")
def playwright(tmp_path_factory):
    """Playwright in earnest, with no browser but what the tests put on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path_factory.mktemp("none")))
        with headless._playwright(60) as playwright:
            yield playwright


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (None, "chromium'. "),
        ("exit 1", "chromium'. "),
        ("echo 'No usable sandbox!' >&2; exit 1", "chromium'. "),
        ("kill -SEGV $$", "chromium'. "),
        ("exec /bin/sleep 600", "chromium'. "),
        (f"echo 'chromium: {LIBRARY.format('libasound.so.2')}' >&2; exit 127", "libasound2). "),
    ],
    ids=["none", "ends", "no sandbox", "crash", "hangs", "lacks a library"],
)
def test_chromium_that_does_not_start(script, expected, playwright, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    if script is not None:
        (tmp_path / "chromium").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "chromium").chmod(0o755)
    with pytest.raises(pytest.skip.Exception) as found:
        headless._launch(playwright, seconds=2 if "sleep" in str(script) else 60)
    assert expected in found.value.msg


def test_chromium_that_cannot_open_a_page():
    class Crashes:
        def launch(self, **options):
            return self

        def new_page(self):
            raise RuntimeError("Target crashed")

    with pytest.raises(pytest.skip.Exception, match=r"package 'chromium'. Target crashed"):
        headless._launch(types.SimpleNamespace(chromium=Crashes()), 1)
