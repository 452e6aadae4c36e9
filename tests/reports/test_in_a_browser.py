"""The report of a run in a real browser."""

import shutil

import pytest

import evonas

TINY = {"population": 3, "epochs": 1, "final.epochs": 1}
ROWS = (
    "return [...document.querySelectorAll('table.sortable tbody tr')].map(row => row.cells[arguments[0]].textContent)"
)
PRESS = "document.querySelectorAll('table.sortable th button')[arguments[0]].click()"


@pytest.fixture
def browser(tmp_path):
    """A headless Chromium, and a function that gives a page a width."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("Chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
                 "disable-background-networking", "disable-component-update", "disable-sync",
                 f"user-data-dir={tmp_path / 'browser'}"):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


def narrowed(browser, width):
    """The width of a window on a small screen is that of the device: a headless window has a least width."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def shown(browser, column):
    """The numbers in a column of the table of candidates."""
    return [int(text.replace(",", "")) for text in browser.execute_script(ROWS, column)]


@pytest.mark.slow
def test_a_report_is_as_wide_as_its_window_and_its_table_sorts(tmp_path, browser):
    run = evonas.search("genet", "digits", budget=6, settings=TINY, executor="serial", out=tmp_path / "run",
                        baseline=True, progress=False)  # fmt: skip
    for width in (1280, 420):
        narrowed(browser, width)
        browser.get((run.directory / "report.html").as_uri())
        inner, needed, longest = browser.execute_script(
            "return [innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth]"
        )
        assert inner == width
        assert max(needed, longest) <= width
        pictures = browser.execute_script("return [...document.images].map(each => each.naturalWidth)")
        assert len(pictures) == len(list((run.directory / "plots").iterdir()))
        assert min(pictures) > 0
    heads = browser.execute_script("return [...document.querySelectorAll('table.sortable th')].map(e => e.textContent)")
    for column in (heads.index("id"), heads.index("parameters")):
        numbers = sorted(shown(browser, column))
        assert len(set(numbers)) > 1
        for order in (numbers[::-1], numbers):
            browser.execute_script(PRESS, column)
            assert shown(browser, column) == order
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
