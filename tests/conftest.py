"""What many tests use, and which files of this folder are not tests."""

import shutil

import pytest

# What the tests share. To look for doctests, pytest would import each a second time, by another
# name, and register its layers anew.
collect_ignore = [
    "colour_vision.py",
    "gradients.py",
    "distribution/two_devices.py",
    "layer_contract.py",
    "mutations.py",
    "peers/swiglu_experts.py",
    "public_layers.py",
    "spark/fit_once.py",
    "spark_blobs.py",
    "sparse_gate.py",
    "toy_course.py",
]


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium, driven by Playwright; tests are skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except sync_api.Error as error:
            reason = str(error).splitlines()[0]
            pytest.skip(f"Needs Chromium: install your system's package 'chromium'. {reason}")
        yield browser
        browser.close()


@pytest.fixture
def write_lab(tmp_path):
    """Function that writes a lab's source and returns the `Lab`."""
    from moe_keras.labs.catalogue import find_labs  # pulls in jupytext, which few tests need

    def write(text, name="01_sums"):
        path = tmp_path / "notebooks" / "source" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return next(lab for lab in find_labs(tmp_path / "notebooks") if lab.slug == name)

    return write


@pytest.fixture
def lab(write_lab, source):
    return write_lab(source)
