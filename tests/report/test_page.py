"""The report: what it says, and how it looks and answers in a browser without a network, in a desktop's
window and in a phone's."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import made_profile
import pandas as pd
import pytest
from browsers import SIZES, browser  # noqa: F401, a fixture
from pages import Read, read

from rungs.errors import StoreError
from rungs.figures import FIGURES
from rungs.report import page, plots
from rungs.report.pictures import embed
from rungs.report.sheets import sheet
from rungs.study import profile
from rungs.tables import TABLES

#: where screenshots are kept, to be looked at; by default the test's own folder
SCREENSHOTS = "RUNGS_SCREENSHOTS"
LARGEST = 8e6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The report of the made profile."""
    folder = tmp_path_factory.mktemp("made")
    with contextlib.chdir(folder):
        yield folder / page.write(made_profile.make(folder))


@pytest.fixture(scope="module")
def found(made: Path) -> Read:
    return read(made.read_text(encoding="utf-8"))


# --- what it says ---------------------------------------------------------------------------------


def test_it_begins_with_what_was_run_and_how_claims_came_out(found: Read) -> None:
    front = found.text[: found.text.index("How a claim is decided")]
    assert "2 runs: data mnist5k; variants vae, lvae-bn-wu; depth 5; seed 0." in front
    assert (
        "They took 4.0 core-hours; the longest job took 120 minutes, the largest 1,234 MB." in front
    )
    assert "on one & two, from commit abc<1>" in front
    assert "1 reproduced 0 not reproduced 1 undecided" in front
    assert "Every claim is undecided" not in front
    assert "0 of 0 have converged, 2 have no continuation that could tell" in front


def test_a_claim_shows_its_parts_with_the_digits_of_their_intervals(found: Read) -> None:
    assert "ladder.7 mnist5k A <b>claim</b>. ladder_pca" in found.text
    assert "gain: of gain" in found.text
    assert "2.42 nats[2.21, 2.63]" in found.text
    assert "undecided, leaning for" in found.text
    assert "The profile has no runs for: vq.1." in found.text


def test_every_address_is_unique_and_every_link_leads_somewhere(made: Path, found: Read) -> None:
    assert len(set(found.ids)) == len(found.ids)
    wanted = {*FIGURES, *(f"table-{name}" for name in TABLES if name != "claims")}
    wanted |= {"ladder", "ladder.7", "ladder.7-mnist5k", "ladder_pca-large", "configuration"}
    assert wanted <= {*found.ids}
    for link in found.links:
        if link.startswith("#"):
            assert link[1:] in found.ids, link
        elif link not in ("scorecard.md", "ro-crate-metadata.json"):
            assert (made.parent / link).exists(), link


def test_it_needs_nothing_from_elsewhere(made: Path, found: Read) -> None:
    assert made.stat().st_size < LARGEST
    assert all(source.startswith("data:image/webp;base64,") for source in found.sources)
    assert all(re.match(r"#|[\w.-]+(/|$)", link) for link in found.links)
    text = made.read_text(encoding="utf-8")
    assert not re.search(r"@import|url\(|https?:", text)
    assert text.endswith("</html>\n")


def test_a_figure_stands_with_caption_claims_and_files(found: Read) -> None:
    number = 1 + made_profile.DRAWN.index("ladder_pca")
    start = found.text.index(f"Figure {number}. First two principal components")
    caption = found.text[start : start + 900]
    assert FIGURES["ladder_pca"].look_for in caption
    assert "2 runs: data mnist5k; variants vae, lvae-bn-wu; depth 5; seed 0" in caption
    assert "Claims that rest on it: ladder.7" in caption
    assert "variants: - vae - lvae-bn-wu" in caption
    assert {"figures/ladder_pca.pdf", "tables/loglik.csv"} <= {*found.links}


def test_a_blank_figure_is_a_line_that_says_which_runs_it_needs(found: Read) -> None:
    assert (
        "One latent varied at a time: latent_traversal is not drawn: it needs a run of a VAE with one "
        "stochastic layer, such as variant gauss with latents: [10], in the section vae of experiments."
    ) in found.text
    drawn = [source for source in found.sources if source]
    assert len(drawn) == 2 * len(made_profile.DRAWN)


def test_the_same_results_give_the_same_page(made: Path) -> None:
    config = profile.load([made.parents[2] / "tiny.yaml"])
    with contextlib.chdir(made.parents[2]):
        assert page.render(config) == made.read_text(encoding="utf-8")


def test_a_damaged_figure_is_named(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes((made.parent / "figures/ladder_pca.png").read_bytes()[:-400])
    with pytest.raises(StoreError, match=r"figure.png: cannot be read"):
        embed(path)
    with pytest.raises(StoreError, match=r"missing.png: cannot be read"):
        embed(tmp_path / "missing.png")


# --- tables ---------------------------------------------------------------------------------------


def test_a_table_shows_first_what_was_measured_with_its_error(made: Path) -> None:
    shown = sheet("loglik", made.parent / "tables/loglik.csv")
    names = [column.name for column in shown.columns]
    assert names == ["run", "test_lk", "test_elbo", "converged", "parameters"]
    assert [cell.text for cell in shown.rows[0]][1:] == ["-103.42 ± 0.43", "-104.12", "yes", "100"]
    assert shown.rows[0][1].sort == "-103.4217"
    assert [column.fixed for column in shown.columns] == [True, False, False, False, False]
    assert shown.left_out == ["seed", "published"]


def test_a_table_is_summarised_as_its_page_is(tmp_path: Path) -> None:
    rows = {
        **{"run": "r", "layer": 1, "how": "exact", "prior": "other", "active": [True, False]},
        **{"mean": [0.5, -2.0], "second_moment_sum": [1.25, 9.0], "kurtosis": [3.0, 9.0]},
        **{"train_second_moment_sum": 1.0, "r": 0.0, "unit": [1, 2]},
    }
    pd.DataFrame(rows).to_csv(tmp_path / "moments.csv", index=False)
    shown = sheet("moments", tmp_path / "moments.csv")
    (cells,) = shown.rows
    told = {c.name: cell.text for c, cell in zip(shown.columns, cells, strict=True)}
    assert told["latents"] == "2"
    assert told["second_moment_sum"] == "1.25"


# --- the plots of intervals -----------------------------------------------------------------------


def plotted(**values: str) -> plots.Plot:
    row = dict.fromkeys(("measured", "low", "high", "published", "relation", "margin"), "")
    found = plots.plot(row | values)
    assert found
    return found


def test_a_plot_keeps_the_order_and_the_proportions_of_its_numbers() -> None:
    found = plotted(measured="3", low="2", high="4", margin="1", relation=">", published="5")
    assert found.published
    x = [found.margins[0], found.low, found.measured, found.high, found.published]
    steps = [right - left for left, right in pairwise(x)]
    assert steps == pytest.approx([steps[0]] * 4, abs=0.11)
    assert found.holds == (found.margins[0], plots.WIDTH)
    assert "holds if > 1; published 5.00" in found.says


def test_a_plot_of_within_holds_between_two_margins_and_marks_zero() -> None:
    found = plotted(measured="0.2", low="0.1", high="0.3", margin="0.5", relation="within")
    assert found.holds == found.margins
    assert found.zero == pytest.approx(sum(found.margins) / 2, abs=0.1)
    below = plotted(measured="-3", low="-4", high="-2", margin="1", relation="<")
    assert below.holds == (0.0, below.margins[0])
    assert below.zero is not None
    assert below.high < below.zero < below.margins[0]


def test_an_interval_without_an_end_reaches_the_edge() -> None:
    found = plotted(measured="1", low="0.5", high="inf", margin="2", relation="<")
    assert (found.open_low, found.open_high) == (False, True)
    assert found.high > found.margins[0]


def test_nothing_measured_is_nothing_plotted() -> None:
    row = dict.fromkeys(("measured", "low", "high", "published"), "")
    assert plots.plot(row | {"relation": ">", "margin": "1"}) is None
    assert plots.plot(row | {"relation": ">", "margin": "1", "measured": "nan"}) is None


# --- what the workflow makes ----------------------------------------------------------------------


def test_everything_of_a_workflow_is_in_its_report(tiny_workflow: Path) -> None:
    found = read((tiny_workflow / "report.html").read_text(encoding="utf-8"))
    assert {*FIGURES} <= {*found.ids}
    assert {"ladder.5-mnist5k", "table-loglik"} <= {*found.ids}
    results = tiny_workflow / "clone/results/tiny"
    missing = [
        link for link in found.links if not link.startswith("#") and not (results / link).exists()
    ]
    assert missing == []
    # which is made on request only
    assert "workflow_report" not in (tiny_workflow / "printed.txt").read_text()


# --- in a browser ---------------------------------------------------------------------------------


def requests(at: Any) -> list[str]:
    """The addresses that the page asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in at.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


SHOWN = """
const box = document.querySelector(arguments[0]).getBoundingClientRect();
return box.width > 0 && box.top < innerHeight && box.bottom > 0;
"""


def test_the_page_in_a_browser(
    made: Path,
    browser: tuple[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    device, at = browser
    folder = Path(os.environ.get(SCREENSHOTS, tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def find(selector: str) -> Any:
        return at.find_element("css selector", selector)

    def click(selector: str) -> None:
        at.execute_script("document.querySelector(arguments[0]).click()", selector)

    def wait(condition: Callable[[], bool]) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(at, 20).until(lambda _: condition())

    def hash_is(name: str) -> bool:
        return bool(at.execute_script("return location.hash") == name)

    at.get(made.as_uri())
    at.save_screenshot(str(folder / f"{device}-front.png"))
    wide = "return document.documentElement.scrollWidth - innerWidth"
    assert at.execute_script(wide) <= 0
    images = "return [...document.images].every(each => each.decode && each.naturalWidth > 0)"
    at.execute_script("for (const each of document.images) each.loading = 'eager'")
    wait(lambda: at.execute_script(images))

    # evidence opens at its address, a picture opens large, and Back returns step by step
    click("[id='ladder.7-mnist5k'] .evidence a")
    assert hash_is("#ladder_pca")
    wait(lambda: at.execute_script(SHOWN, "#ladder_pca img"))
    at.save_screenshot(str(folder / f"{device}-figure.png"))
    box = at.execute_script("return document.querySelector('#ladder_pca img').clientWidth")
    assert box <= SIZES[device][0]
    click("#ladder_pca .zoom")
    assert hash_is("#ladder_pca-large")
    assert at.execute_script("return document.querySelector('#ladder_pca img').clientWidth") >= box
    assert find("#ladder_pca .close").is_displayed()
    at.save_screenshot(str(folder / f"{device}-large.png"))
    click("#ladder_pca .close")
    wait(lambda: hash_is("#ladder_pca"))
    at.back()
    wait(lambda: hash_is(""))

    # claims of one verdict; an address shows what was hidden
    click(".count.undecided")
    assert not find("[id='ladder.7-mnist5k']").is_displayed()
    at.execute_script("location.hash = 'ladder.7'")
    wait(lambda: find("[id='ladder.7-mnist5k']").is_displayed())

    # a table is sorted by numbers, gaps last, and filtered
    def column() -> list[str]:
        rows = "return [...document.querySelectorAll('#table-loglik tbody tr:not([hidden])')]"
        return at.execute_script(f"{rows}.map(row => row.cells[4].textContent)")

    click("#table-loglik thead th:nth-child(5) button")
    assert column() == ["9", "100"]
    click("#table-loglik thead th:nth-child(5) button")
    assert column() == ["100", "9"]
    at.execute_script(
        "const box = document.querySelector('#table-loglik .filter'); box.value = 'lvae';"
        "box.dispatchEvent(new Event('input'))"
    )
    assert column() == ["9"]

    # search finds captions, claims and rows
    for asked, address in (("principal", "#ladder_pca"), ("103.42", "#table-loglik")):
        at.execute_script(
            "const box = document.getElementById('search'); box.value = arguments[0];"
            "box.dispatchEvent(new Event('input'))",
            asked,
        )
        hits = "return [...document.querySelectorAll('#found a')].map(link => link.hash)"
        assert address in at.execute_script(hits)
    click("#found a")
    assert not find("#found").is_displayed()

    # dark, when the system is
    def background() -> str:
        return str(at.execute_script("return getComputedStyle(document.body).backgroundColor"))

    light = background()
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    at.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    assert background() != light
    at.save_screenshot(str(folder / f"{device}-dark.png"))

    # printed, tables are whole and what cannot be used on paper is away
    at.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    assert not find("#bar").is_displayed()
    assert (
        at.execute_script("return getComputedStyle(document.querySelector('.scroll')).overflow")
        == "visible"
    )

    asked = requests(at)
    assert made.as_uri() in asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert [entry for entry in at.get_log("browser") if entry["level"] == "SEVERE"] == []
