"""A headless browser, for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

SIZES = {"desktop": (1400, 900), "phone": (390, 844)}


@pytest.fixture(params=SIZES)
def browser(request: pytest.FixtureRequest) -> Iterator[tuple[str, Any]]:
    """A headless browser with the window of a device, and no way to any host."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: envs/dev.txt")
    from selenium.webdriver.chrome.service import Service

    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("no browser: install Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    width, height = SIZES[request.param]
    for argument in (
        *("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
        *("--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"),
        f"--window-size={width},{height}",
    ):
        options.add_argument(argument)
    if request.param == "phone":
        # a window cannot be so narrow
        metrics = {"width": width, "height": height, "pixelRatio": 2.0}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    # a path given keeps selenium from looking for a driver in the network
    running = webdriver.Chrome(options=options, service=Service(executable_path=driver))
    running.set_script_timeout(60)
    yield request.param, running
    running.quit()
