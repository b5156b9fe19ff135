"""The page in a headless Chromium."""

import io
import itertools
import runpy
from pathlib import Path

import pytest
from rich.console import Console

from bench.report import page, report
from bench.report.content import Content
from transfer.board.leaderboard import leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries, lay, sample, sweep = (_shared[name] for name in ("made", "entries", "lay", "sample", "sweep"))
HOSTILE = "<img src=x onerror=alert(1)></script><b>&amp; 'x\" `c`"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report of the sample and of a row with a hostile name, with the files a run folder has."""
    out = tmp_path_factory.mktemp("out")
    names = {"aug": HOSTILE, "data": HOSTILE}
    hostile = [made(command=HOSTILE, **names), made("representation", {"Linv": 0.7}, kind="measure", **names)]
    for path in lay([*sample(), *hostile, made(HOSTILE, {HOSTILE: 3.0}, **names)], out / "runs"):
        for name in ("config.yaml", "log.txt", "command.txt"):
            (path.parent / name).write_text(f"{name} of {path.parent.name}\n", encoding="utf-8")
    report([out / "runs"], out, Console(file=io.StringIO()))
    return out


@pytest.fixture
def opened(browser, folder):
    browser.open("about:blank")
    browser.console.clear()
    browser.requests.clear()
    browser.size(1280, 900)
    browser.dark(False)
    browser.open(f"file://{folder}/leaderboard.html")
    return browser


NAMES = "[...document.querySelectorAll('#board tbody th')].map((th) => th.firstChild.textContent)"
NONE, CUTMIX, UNTRAINED = "mocov2 · none", "mocov2 · cutmix", "random (untrained)"


def _names(browser):
    return [name for name in browser.run(NAMES) if "<img" not in name]


def _short(names):
    return [next(known for known in (NONE, CUTMIX, UNTRAINED) if name.startswith(known)) for name in names]


def _click(browser, selector, text):
    browser.run(f"[...document.querySelectorAll({selector!r})].find((e) => e.textContent === {text!r}).click()")


def _choose(browser, name, text):
    select = f"document.querySelector('select[name={name}]')"
    value = f"[...{select}.options].find((o) => o.textContent === '{text}').value"
    browser.run(f"{select}.value = {value}; {select}.dispatchEvent(new Event('change'))")


def test_the_page_loads_without_a_console_error_or_a_network_request(opened):
    for place in ("#predicts", "#cost"):
        opened.run(f"document.querySelector('{place}').scrollIntoView()")
    opened.wait("document.querySelectorAll('[data-drawn=yes] svg .point').length > 3")
    assert opened.console == []
    assert [url for url in opened.requests if not url.startswith("file:")] == []
    assert opened.run("performance.getEntriesByType('resource').length") == 0
    axes = opened.run("[...document.querySelectorAll('#pareto .xtitle, #pareto .ytitle')].map((t) => t.textContent)")
    assert axes == ["pre-training, device hours", "linear top1 (%)"]


def test_a_heading_sorts_best_first_and_then_the_other_way_with_absent_values_last(opened):
    assert _short(_names(opened)) == [UNTRAINED, NONE, CUTMIX]
    _click(opened, "#board th button", "knn")
    assert _short(_names(opened)) == [CUTMIX, NONE, UNTRAINED]
    assert opened.run("document.querySelector('#board [aria-sort=descending] button').textContent") == "knn"
    _click(opened, "#board th button", "knn")
    assert _short(_names(opened)) == [UNTRAINED, NONE, CUTMIX]
    assert opened.run("document.querySelectorAll('#board [aria-sort]:not([aria-sort=none])').length") == 1
    assert "<img" in opened.run(NAMES)[-1]  # it has no kNN


def test_the_table_filters_to_one_augmentation_and_by_words(opened):
    _choose(opened, "aug", "cutmix")
    assert _short(_names(opened)) == [CUTMIX]
    assert opened.run("document.getElementById('count').textContent") == "1 of 4 rows."
    _choose(opened, "aug", "all")
    find = "document.querySelector('input[name=words]')"
    opened.run(f"{find}.value = 'untrained'; {find}.dispatchEvent(new Event('input'))")
    assert _short(_names(opened)) == [UNTRAINED]


def test_a_column_hides_and_its_group_with_it(opened):
    heads = "[...document.querySelectorAll('#board thead a')].map((a) => a.textContent)"
    assert "knn" in opened.run(heads)
    cells = opened.run("document.querySelector('#board tbody tr').cells.length")
    opened.run(
        "[...document.querySelectorAll('.menu label')].find((l) => l.textContent.trim() === 'knn')"
        ".querySelector('input').click()"
    )
    assert "knn" not in opened.run(heads)
    assert opened.run("document.querySelector('#board tbody tr').cells.length") == cells - 1


@pytest.mark.parametrize(("word", "file"), [("log", "log.txt"), ("command", "command.txt")])
def test_a_number_leads_to_its_runs_command_config_and_log(opened, folder, word, file):
    opened.run("document.querySelector('#board tbody tr td a').click()")
    opened.wait("document.querySelector('dialog').open")
    assert "bench transfer --task linear" in opened.run("document.querySelector('dialog pre').textContent")
    name = opened.run("document.querySelector('dialog h3 .small').textContent")
    config = opened.run("document.querySelector('dialog .links a').href")  # a browser may save YAML instead of showing it
    assert config == f"file://{folder}/runs/{name}/config.yaml"
    opened.run(f"[...document.querySelectorAll('dialog .links a')].find((a) => a.textContent === '{word}').click()")
    opened.wait("location.pathname.includes('/runs/')")
    opened.wait("document.readyState === 'complete'")
    assert opened.run("document.body.textContent").strip() == f"{file} of {name}"


def test_a_record_kept_alone_says_what_is_not_there_and_every_link_of_it_leads_somewhere(browser, tmp_path):
    (path,) = lay([made()], tmp_path / "results" / "set")
    report([tmp_path / "results"], tmp_path, Console(file=io.StringIO()))
    browser.open(f"file://{tmp_path}/leaderboard.html")
    browser.run("document.querySelector('#board tbody td a').click()")
    browser.wait("document.querySelector('dialog').open")
    links = browser.run("[...document.querySelectorAll('dialog .links a')].map((a) => a.href)")
    assert links == [f"file://{path}", f"file://{path.parent}/"]
    words = browser.run("[...document.querySelectorAll('dialog .links .absent')].map((e) => e.textContent)")
    assert words == ["no config", "no log", "no command"]
    assert "bench transfer --task linear" in browser.run("document.querySelector('dialog pre').textContent")


def test_the_invariance_curves_are_drawn_with_their_bars_axes_and_legend(browser, tmp_path):
    (tmp_path / "page.html").write_text(page.render(Content(leaderboard(entries(sweep()))), tmp_path), encoding="utf-8")
    browser.console.clear()
    browser.open(f"file://{tmp_path}/page.html")
    browser.run("document.querySelector('#curves').scrollIntoView()")
    browser.wait("document.querySelector('#curves').dataset.drawn === 'yes'")
    texts = "[...document.querySelectorAll('#curves {}')].map((t) => t.textContent)".format
    assert browser.run(texts(".xtitle")) == ["cutout side (share of the shorter side)"]
    assert browser.run(texts("[class$=title]:is(.ytitle, .y2title)")) == [
        "Linv (cosine, ↑ invariant)",
        "Ldiv (cosine, ↓ diverse)",
    ]
    assert browser.run(texts(".legendtext")) == [NONE, CUTMIX]
    assert browser.run("document.querySelectorAll('#curves .errorbar').length") == 8
    assert browser.run("document.querySelectorAll('#curves .cartesianlayer .js-line').length") == 4
    assert browser.console == []


def test_the_scatter_shows_strata_by_shape_augmentations_by_colour_and_no_line(browser, tmp_path):
    records = []
    for arch, aug in itertools.product(("resnet18", "resnet50"), ("none", "cutout", "mixup", "cutmix")):
        records.append(made(arch=arch, aug=aug))
        records.append(made("representation", {"Linv": 0.5 + len(aug) / 100}, kind="measure", arch=arch, aug=aug))
    (tmp_path / "page.html").write_text(page.render(Content(leaderboard(entries(records))), tmp_path), encoding="utf-8")
    browser.console.clear()
    browser.open(f"file://{tmp_path}/page.html")
    browser.run("document.querySelector('#scatter').scrollIntoView()")
    browser.wait("document.querySelector('#scatter').dataset.drawn === 'yes'")
    traces = "document.getElementById('scatter').data"
    shapes = browser.run(f"{traces}.slice(0, 4).map((t) => t.marker.symbol.join())")
    assert shapes == ["circle,square"] * 4
    assert len(set(browser.run(f"{traces}.slice(0, 4).map((t) => t.marker.color)"))) == 4
    assert browser.run(f"{traces}.map((t) => t.mode).every((mode) => mode === 'markers')")
    names = browser.run(f"{traces}.slice(4).map((t) => t.name)")
    assert [("resnet18" in name, "resnet50" in name) for name in names] == [(True, False), (False, True)]
    assert "Compare within a shape alone" in browser.run("document.getElementById('scatter-says').textContent")
    assert browser.console == []


def test_the_keyboard_sorts_opens_and_closes(opened):
    opened.run("document.querySelector('#board th button').focus()")
    opened.press("Enter")
    assert _short(_names(opened))[0] == CUTMIX
    opened.run("document.querySelector('#board tbody td a').focus()")
    opened.press("Enter")
    opened.wait("document.querySelector('dialog').open")
    opened.press("Escape")
    opened.wait("!document.querySelector('dialog').open")
    opened.wait("location.hash === ''")


def test_a_hostile_name_is_text_on_the_page_and_in_the_dialog(opened):
    assert any(HOSTILE.split("`")[0] in name for name in opened.run(NAMES))
    opened.run(
        "[...document.querySelectorAll('#board tbody tr')].find((r) => r.textContent.includes('<img'))"
        ".querySelector('td a').click()"
    )
    opened.wait("document.querySelector('dialog').open")
    assert opened.run("document.querySelector('dialog pre').textContent") == HOSTILE
    assert opened.run("document.querySelectorAll('img, dialog b, #board b').length") == 0
    opened.run("document.querySelector('dialog').close(); document.querySelector('#predicts').scrollIntoView()")
    opened.wait("document.querySelector('#scatter').dataset.drawn === 'yes'")
    assert HOSTILE in opened.run("[...document.querySelectorAll('#scatter .legendtext')].map((t) => t.textContent)")
    assert opened.console == []


def test_a_phone_scrolls_the_table_and_not_the_page_and_dark_mode_is_dark(opened):
    opened.size(390, 844)
    opened.wait("innerWidth === 390")
    assert opened.run("document.documentElement.scrollWidth") == 390
    opened.dark(True)
    assert opened.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 29)"


def test_a_thousand_rows_are_drawn_as_one_scrolls_and_sort_as_one(browser, tmp_path):
    records = [made(metrics={"top1": place / 20, "top5": 50.0}, aug=f"a{place:04d}") for place in range(1000)]
    board = leaderboard(entries(records))
    (tmp_path / "page.html").write_text(page.render(Content(board), tmp_path), encoding="utf-8")
    browser.open(f"file://{tmp_path}/page.html")
    assert len(browser.run(NAMES)) == 100
    browser.run("document.querySelector('#board th button').click()")
    assert browser.run(NAMES)[0] == "mocov2 · a0999"
    browser.run("document.getElementById('frame').scrollTop = 1e6")
    browser.wait("document.querySelectorAll('#board tbody tr').length > 100")
