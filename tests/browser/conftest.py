import shutil

import pytest


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
