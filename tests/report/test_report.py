"""The report and the scorecard: what they say, and how the report looks in a browser without a
network, in a desktop's window and in a phone's."""

from __future__ import annotations

import copy
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rungs.claims import claims, published
from rungs.claims.stated import stated
from rungs.figures import FIGURES
from rungs.paths import ROOT
from rungs.report import scorecard, seeds
from rungs.report.captions import captions
from rungs.report.claims import count
from rungs.report.seeds import compare
from rungs.study import profile
from rungs.study.documents import DOCUMENTS, document_name
from rungs.study.layout import Layout
from rungs.study.runs import Run, all_runs
from rungs.study.settings import resolve
from rungs.tables import TABLES
from rungs.tables.html import table_page

ENTRIES = {**FIGURES, **TABLES}
SIZES = {"desktop": (1400, 900), "phone": (390, 844)}
#: where screenshots are kept, to be looked at; by default the test's own folder
SCREENSHOTS = "RUNGS_SCREENSHOTS"
LARGEST = 25e6
BY_NAME = {claim.name: claim for claim in claims()}
LADDER_NETWORKS = {
    "depth": 5,
    "network": {"latent_sizes": [64, 32, 16, 8, 4], "hidden_sizes": [512, 256, 128, 64, 32]},
}


def row(**changes: str) -> scorecard.Row:
    """A row of the table of claims."""
    made = {
        "claim": "ladder.2",
        "document": "ladder",
        "dataset": "mnist",
        "statement": "Batch norm improves <the VAE> | deep",
        "part": "",
        "unit": "",
        "measured": "",
        "relation": "",
        "margin": "",
        "low": "",
        "high": "",
        "drift": "",
        "gap": "",
        "seeds": "3",
        "verdict": "reproduced",
        "leaning": "",
        "basis": "3 seeds",
        "sizes": "",
        "reason": "",
        "published": "",
        "published_basis": "",
        "runs": "a b",
    }
    return made | changes


def part(**changes: str) -> scorecard.Row:
    """A row of a part."""
    made = {
        "part": "gain",
        "statement": "L_k of VAE+BN less L_k of VAE | nats",
        "unit": "nats",
        "measured": "2.4171",
        "relation": ">",
        "margin": "0.2",
        "low": "2.209",
        "high": "2.631",
        "drift": "-0.12",
        "gap": "0.0",
        "sizes": "depth 5",
        "reason": "what another seed <changes>",
    }
    return row(**made | changes)


ORIGIN = scorecard.Origin("small", 2, ["mnist/vae/depth5/seed0"], ["abc"], ["one"])
LACKING = row(claim="vq.1", document="vq", basis="the profile lacks runs: vq", verdict="undecided")


# What is said.


def test_every_figure_and_table_has_a_caption_and_a_known_document() -> None:
    assert not FIGURES.keys() & TABLES.keys()
    for name, entry in ENTRIES.items():
        assert len(entry.look_for.split()) > 8, name
        assert entry.document is None or entry.document in DOCUMENTS, name


def test_every_claim_points_to_evidence_that_there_is() -> None:
    for claim in claims():
        assert claim.evidence, claim.name
        assert set(claim.evidence) <= ENTRIES.keys(), claim.name


def test_captions_tell_the_runs_of_the_configuration(smoke_config: dict[str, Any]) -> None:
    made = captions(smoke_config)
    assert made["figure"].keys() == FIGURES.keys()
    assert made["table"].keys() == TABLES.keys()
    assert "variants vae, lvae-bn-wu; depth" in made["figure"]["ladder_samples"]["runs"]
    assert "mnist5k" in made["table"]["loglik"]["runs"]
    smoke_config = smoke_config | {"experiments": {}}
    assert captions(smoke_config)["table"]["loglik"]["runs"] == "no run of this profile"


def of(claim: str, **runs: dict[str, Any]) -> tuple[float, str]:
    (found,) = BY_NAME[claim].parts
    return stated(found, runs)


def settings(variant: str, depth: int = 5, **changes: Any) -> dict[str, Any]:
    run = {"dataset": "omniglot", "variant": variant, "depth": depth}
    return LADDER_NETWORKS | run | changes


def test_published_numbers_stand_beside_the_same_data_and_networks_only() -> None:
    runs = {"new": settings("vae-bn"), "old": settings("vae")}
    found, said = of("ladder.2", **runs)
    assert found == pytest.approx(110.46 - 105.45)
    assert said == "L5000 of Sonderby et al. 2016; recalled"
    assert of("ladder.1", new=settings("vae"), old=settings("vae", 2))[0] == pytest.approx(0.12)
    small = {"latent_sizes": [8] * 5, "hidden_sizes": [8] * 5}
    for other in ({"network": small}, {"dataset": "mnist5k"}, {"dataset": "mnist"}, {"depth": 10}):
        value, said = of("ladder.2", **runs | {"new": settings("vae-bn", **other)})
        assert math.isnan(value)
        assert said == ""
    assert math.isnan(of("ladder.2")[0])


def test_nothing_is_published_where_the_document_states_no_number() -> None:
    for name in ("ladder.7", "mixture.1", "moments.3", "vq.3"):
        run = settings("vae")
        assert math.isnan(of(name, new=run, old=run, vae=run, vq=run)[0])


def test_every_published_number_has_its_source() -> None:
    for number in published.rows():
        for column in (
            "document",
            "dataset",
            "model",
            "metric",
            "value",
            "citation",
            "url",
            "where",
        ):
            assert number[column], number
        assert number["checked"] in ("listing", "recalled", "second hand"), number
        assert number["how"], number
        assert number["url"].startswith("https://"), number
        assert number["binarisation"] in ("dynamic", "static", ""), number
        assert (number["binarisation"] == "") == (number["dataset"] == "cifar10"), number


def test_runs_of_another_recipe_or_binarisation_have_no_published_number() -> None:
    run = settings("lvae-bn-wu", dataset="mnist")
    assert published.beside(run, "L5000")["published"] == -82.12
    for variant in ("lvae-bn-wu-ft", "lvae-bn-wu-iw10", "gauss", "vamp"):
        other = published.beside(run | {"variant": variant}, "L5000")
        assert math.isnan(other["published"])


def test_importance_weighted_autoencoders_stand_beside_their_own_numbers() -> None:
    """Burda et al. 2016, table 1, on MNIST that is binarised anew every epoch."""
    config = profile.load([ROOT / "config" / "iwae.yaml"])
    found = {}
    for run in all_runs(config):
        own = resolve(config, run)
        found[run.variant] = published.beside(own, "L5000")["published"]
        small: Any = copy.deepcopy(own)
        small["network"]["hidden_sizes"][0] = 100
        assert math.isnan(published.beside(small, "L5000")["published"])
        leaky: Any = copy.deepcopy(own)
        leaky["network"]["activation"] = "leaky"
        assert math.isnan(published.beside(leaky, "L5000")["published"])
    assert found == {
        **{"iwae-k1": -86.76, "iwae-k5": -85.54, "iwae-k50": -84.78},
        **{"iwae2-k1": -85.33, "iwae2-k5": -83.89, "iwae2-k50": -82.9},
    }


def test_a_vampprior_stands_beside_the_release_with_its_networks_only() -> None:
    config = profile.load([ROOT / "config" / "quick.yaml"])
    numbers = {"gauss-release": -84.45, "vamp-release": -82.43}
    for variant, value in numbers.items():
        own: Any = resolve(config, Run("mnist", variant, 40, 0, "latent"))
        assert published.beside(own, "L5000")["published"] == value
        own = resolve(config, Run("mnist", variant, 10, 0, "latent"))
        assert math.isnan(published.beside(own, "L5000")["published"])
    own = resolve(config, Run("mnist", "vamp", 40, 0, "latent"))
    assert math.isnan(published.beside(own, "L5000")["published"])


def test_the_scorecard_in_plain_text() -> None:
    text = scorecard.to_text([row(), part(), LACKING])
    first, second = [line for line in text.splitlines() if line[:2] in ("la", "  ")]
    assert re.search(r"ladder.2 +mnist +reproduced +Batch norm", first)
    assert re.search(
        r"gain +2.42 \[2.21, 2.63\] nats +> 0.2 +depth 5; drift -0.120; 3 seeds", second
    )
    assert "no runs here for vq.1" in text
    assert "Claims: 1 reproduced, 0 not reproduced, 0 undecided" in text


def test_a_leaning_is_not_counted_as_a_verdict() -> None:
    leaning = {"verdict": "undecided", "leaning": "for", "basis": "1 seed", "seeds": "1"}
    rows = [row(**leaning), part(**leaning)]
    counted = "0 reproduced, 0 not reproduced, 1 undecided"
    assert count(rows) == counted
    text = scorecard.to_text(rows)
    assert counted in text
    assert "undecided, leaning for" in text
    page = scorecard.to_html(rows, ORIGIN, Layout("small"))
    assert counted in page
    assert 'class="verdict undecided">undecided, leaning for<' in page
    assert counted in scorecard.to_markdown(rows, ORIGIN)


def test_the_scorecard_as_markdown() -> None:
    text = scorecard.to_markdown([row(), part(), LACKING], ORIGIN)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", line) for line in lines]
    assert {len(each) for each in cells} == {13}
    claim, found = ([cell.strip() for cell in each] for each in cells[-2:])
    assert (claim[1], claim[10]) == ("**ladder.2**", "**reproduced**")
    assert found[4:9] == ["2.42", "[2.21, 2.63]", "nats", "> 0.2", "-0.120"]
    assert "1 reproduced, 0 not reproduced, 0 undecided" in text
    assert "2 runs, 1 of them not converged" in text


def test_the_front_page_escapes_text_and_links_evidence() -> None:
    page = scorecard.to_html([row(), part(), LACKING], ORIGIN, Layout("small"))
    assert "&lt;the VAE&gt;" in page
    assert "<the VAE>" not in page
    assert "another seed &lt;changes&gt;" in page
    assert "results/small/figures/ladder_ablation.png" in page
    assert "vq.1" in page.split("has no runs")[1]


def test_verdicts_of_other_seeds_stand_side_by_side() -> None:
    ours = [row(), part()]
    other = [row(verdict="undecided"), part(verdict="undecided", measured="0.3")]
    third = [row(verdict="not reproduced"), part(verdict="not reproduced")]
    found = compare({"quick": ours, "seeds 3, 4, 5": other})
    assert not found.flipped
    assert found.moved == [("ladder.2", "", "mnist"), ("ladder.2", "gain", "mnist")]
    text = seeds.to_markdown(found)
    assert re.search(
        r"ladder.2 +\| gain +\| mnist +\| reproduced \(2.42\) +\| undecided \(0.300\)", text
    )
    assert "Between reproduced and not reproduced: 0." in text
    assert "To or from undecided: 2 (ladder.2, ladder.2 gain)." in text
    found = compare({"quick": ours, "seeds 3, 4, 5": other, "seeds 6, 7, 8": third})
    assert len(found.flipped) == 2
    assert not found.moved


def test_table_pages_escape_align_and_leave_gaps_empty() -> None:
    table = pd.DataFrame({"<run>": ["a & b"], "value": [1.23456], "none": [np.nan], "ok": [True]})
    page = table_page(table, "T < U")
    assert "<title>T &lt; U</title>" in page
    assert "<th>&lt;run&gt;</th>" in page
    assert "<td>a &amp; b</td>" in page
    assert '<td class="number">1.235</td><td class="number"></td><td>True</td>' in page
    assert 'name="viewport"' in page
    assert not re.search(r"(src|href)=|@import|url\(", page)


# What the workflow made.


@pytest.fixture(scope="module")
def report(tiny_workflow: Path) -> Path:
    return tiny_workflow / "report.html"


@pytest.fixture(scope="module")
def embedded(report: Path) -> Callable[[str], dict[str, Any]]:
    """A variable of the report's script: ``results`` or ``categories``."""
    text = report.read_text(encoding="utf-8")

    def find(name: str) -> dict[str, Any]:
        head = re.search(rf'<script id="{name}">\s*var {name} = ', text)
        assert head, name
        found: dict[str, Any] = json.JSONDecoder().raw_decode(text, head.end())[0]
        return found

    return find


def test_everything_is_in_the_report_with_its_caption(
    report: Path, embedded: Callable[[str], dict[str, Any]]
) -> None:
    assert report.stat().st_size < LARGEST
    results, categories = embedded("results"), embedded("categories")
    layout = Layout("tiny")
    places = {
        **{layout.figure(name, ".png"): (FIGURES[name], "Figures") for name in FIGURES},
        **{layout.table(name, ".html"): (TABLES[name], "Tables") for name in TABLES},
    }
    assert results.keys() == places.keys()
    for path, (entry, kind) in places.items():
        caption = " ".join(re.sub(r"<[^>]+>", "", results[path]["caption"]).split())
        for said in (entry.title, entry.look_for[:30], document_name(entry.document), "Shown"):
            assert said in caption.replace("&lt;", "<"), path
        assert path in categories[document_name(entry.document)][kind]
    assert "2 runs: data mnist5k" in results[layout.figure("ladder_loglik", ".png")]["caption"]
    assert "no run of this profile" in results[layout.figure("vq_samples", ".png")]["caption"]


def test_the_second_snakemake_changes_nothing(tiny_workflow: Path) -> None:
    """It reads the configuration that the first froze, and makes none of its own."""
    folder = tiny_workflow / "clone" / "results" / "tiny"
    log = (folder / "logs/report.log").read_text()
    assert "Report created." in log
    assert "Missing metadata" not in log
    assert "rule train" not in log


def test_the_scorecard_is_printed_at_the_end(tiny_workflow: Path) -> None:
    printed = (tiny_workflow / "printed.txt").read_text()
    end = printed[printed.index("Claims: ") :]
    assert re.search(r"ladder\.5 +mnist5k .*undecided", end)
    assert "results/tiny/report.html" in end
    page = (tiny_workflow / "clone/results/tiny/scorecard.md").read_text()
    assert "| **ladder.5** | mnist5k |" in page
    assert "2 runs, 2 of them not converged" in page


# How it looks.


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


def requests(browser: Any) -> list[str]:
    """The addresses that the page asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def test_the_report_in_a_browser(report: Path, browser: tuple[str, Any], tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    device, page = browser
    folder = Path(os.environ.get(SCREENSHOTS, tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def find(selector: str) -> Any:
        return WebDriverWait(page, 20).until(
            lambda p: next(iter(p.find_elements(By.CSS_SELECTOR, selector)), None)
        )

    def shown(selector: str) -> Any:
        """The element, of which the middle must not be covered or outside of the window."""
        element = find(selector)
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        inside = page.execute_script(
            "const box = arguments[0].getBoundingClientRect();"
            "const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);"
            "return arguments[0].contains(top) && box.left >= 0 && box.right <= innerWidth + 1",
            element,
        )
        assert inside, f"{selector} cannot be seen"
        return element

    def picture(name: str) -> None:
        page.save_screenshot(str(folder / f"{device}-{name}.png"))

    page.get(report.as_uri())
    claim = shown("[id='ladder.5-mnist5k']")
    assert "undecided" in claim.text
    assert "active" in claim.text
    find("[id='ladder.7-mnist5k']")
    front = find(".front").text
    assert "Which claims hold? Profile tiny" in front
    assert "2 runs, 2 of them not converged" in front
    assert "mixture.1" in front
    page.execute_script("arguments[0].scrollIntoView()", find(".front"))
    picture("front")
    # nothing is wider than the window
    wide = "return document.documentElement.scrollWidth - innerWidth"
    assert page.execute_script(wide) <= 0
    overflow = "const box = document.querySelector('.front').closest('.overflow-auto');"
    assert page.execute_script(f"{overflow} return box.scrollWidth - box.clientWidth") <= 0

    # a claim's evidence opens by a click, with its caption
    shown("[id='ladder.7-mnist5k'] a").click()
    figure = find("#app .h-screen > div > img")
    WebDriverWait(page, 20).until(lambda p: figure.get_property("naturalWidth") > 0)
    assert "k-nearest" in find("nav").text or "Classes that lie apart" in find("nav").text
    picture("evidence")

    # and a figure from the menu
    find("nav nav a").click()
    for name in (document_name("ladder"), "ladder_loglik"):
        path = (
            f"//nav//a[span[text()='{name}']]"
            if name in DOCUMENTS.values()
            else f"//nav//tr[td[text()='{name}']]//a[1]"
        )
        WebDriverWait(page, 20).until(lambda p, x=path: p.find_elements(By.XPATH, x))[0].click()
        picture(f"menu-{len(name)}")
    figure = find("#app .h-screen > div > img")
    WebDriverWait(page, 20).until(lambda p: figure.get_property("naturalWidth") > 0)
    box = figure.rect
    assert 0.5 * box["width"] < SIZES[device][0]

    # every figure loads
    sizes = page.execute_async_script(
        "const done = arguments[0];"
        "const load = async ([path, result]) => { const image = new Image();"
        "  image.src = result.data_uri; await image.decode(); return [path, image.naturalWidth]; };"
        "Promise.all(Object.entries(results).filter(([p, r]) => r.mime_type == 'image/png').map(load))"
        ".then(found => done(Object.fromEntries(found)), error => done({error: String(error)}))"
    )
    assert sizes.keys() == {Layout("tiny").figure(name, ".png") for name in FIGURES}
    assert min(sizes.values()) > 100

    # a table scrolls within itself
    find("nav nav a").click()
    shown(".front > p:last-child a").click()
    frame = find("iframe")
    WebDriverWait(page, 20).until(lambda p: frame.rect["height"] > 100)
    picture("table")
    page.switch_to.frame(frame)
    assert "ladder.5" in find("tbody").text
    assert page.execute_script(wide) <= 0
    page.switch_to.default_content()

    asked = requests(page)
    assert report.as_uri() in asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    severe = [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
