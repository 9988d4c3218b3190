"""A headless Chromium for tests. Whatever keeps it from starting is a skip that says what to
install: most tests need none, and are worth running on a machine that has none."""

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

PLAYWRIGHT = "Playwright (python -m pip install playwright)"
CHROMIUM = "your system's package 'chromium'"


@contextmanager
def chromium(seconds=60):
    """Yield a browser, driven by Playwright, that has opened a page."""
    with _playwright(seconds) as playwright:
        browser = _launch(playwright, seconds)
        yield browser
        browser.close()


@contextmanager
def _playwright(seconds):
    # Playwright hides what its driver says as it ends, and waits without end for one that hangs.
    command = [sys.executable, "-m", "playwright", "--version"]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
        from playwright.sync_api import sync_playwright

        manager = sync_playwright()
        playwright = manager.__enter__()
    except subprocess.CalledProcessError as error:
        skip(PLAYWRIGHT, error.stderr)
    except Exception as error:
        skip(PLAYWRIGHT, str(error))
    try:
        yield playwright
    finally:
        manager.__exit__()


def _launch(playwright, seconds):
    path = shutil.which("chromium") or shutil.which("google-chrome")
    limit = {"timeout": 1000 * seconds}
    try:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], **limit)
        page = browser.new_page()
        page.set_content("<p>ready</p>", **limit)
        page.close()
    except Exception as error:
        skip(CHROMIUM, str(error))
    return browser


def skip(needed, complaint):
    """Skip the test that needs this; or a library, if that is what a program complains of."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()] or ["It ended."]
    missing = re.search(r"(lib[^\s/]+)\.so\.?(\d*)\S*: cannot open shared object", complaint)
    if missing:
        name, version = missing.groups()
        # Debian's packages of libraries are named so: libatomic1 holds libatomic.so.1.
        needed = f"the library {name} (Debian, Ubuntu: {name}{version})".replace("_", "-")
        lines = [line for line in lines if missing[0] in line]
    pytest.skip(f"Needs a browser. Install {needed}. {lines[-1 if needed == PLAYWRIGHT else 0]}")
