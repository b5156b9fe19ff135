"""The page's rows in a headless Chromium: repetitions, copies, heads in view, without scripts, on paper."""

import base64
import re
import runpy
from pathlib import Path

import pytest

from bench.report import markdown, page, tex
from bench.report.content import Content
from transfer.board.leaderboard import leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries, sample = (_shared[name] for name in ("made", "entries", "sample"))
SPECIAL = "c&d_50% #{x} ~a|b*"
"""A name that LaTeX and Markdown would read as more than its letters."""
TRIALS = (61.0, 63.0)


@pytest.fixture(scope="module")
def content():
    trials = [made("linear", {"top1": top1, "top5": 80.0}, aug="mixup", run_seed=trial) for trial, top1 in enumerate(TRIALS)]
    return Content(leaderboard(entries([*sample(), *trials, made("linear", {"top1": 9.0}, aug=SPECIAL)])))


@pytest.fixture
def opened(browser, content, tmp_path):
    (tmp_path / "page.html").write_text(page.render(content, tmp_path), encoding="utf-8")
    browser.size(1280, 900)
    browser.open("about:blank")
    browser.console.clear()
    browser.open(f"file://{tmp_path}/page.html")
    return browser


def _row(name):
    return f"[...document.querySelectorAll('#board tbody tr')].find((r) => r.cells[0].textContent.startsWith('{name}'))"


def _texts(browser, name):
    """The names and first numbers of a row and of those below it."""
    parts = "[r.className, r.cells[0].firstChild.textContent, r.cells[1].textContent]"
    rows = browser.run(f"[...document.querySelectorAll('#board tbody tr')].map((r) => {parts})")
    start = next(at for at, row in enumerate(rows) if row[1].startswith(name)) + 1
    end = next((at for at in range(start, len(rows)) if rows[at][0] != "repeat"), len(rows))
    return [row[1:] for row in rows[start:end]]


def test_repetitions_unfold_below_their_row_by_click_and_fold_again(opened):
    fold = f"{_row('mocov2 · cutmix')}.querySelector('.fold')"
    assert opened.run(f"{fold}.textContent") == "2 seeds"
    assert _texts(opened, "mocov2 · cutmix") == []
    opened.run(f"{fold}.click()")
    assert _texts(opened, "mocov2 · cutmix") == [["seed 0", "62.0"], ["seed 1", "63.0"]]
    assert opened.run(f"{fold}.ariaExpanded") == "true"
    opened.run(f"{fold}.click()")
    assert _texts(opened, "mocov2 · cutmix") == []
    assert opened.run(f"{_row('random')}.querySelector('.fold')") is None


def test_the_trials_of_the_only_pre_training_unfold_by_keyboard(opened):
    opened.run(f"{_row('mocov2 · mixup')}.querySelector('.fold').focus()")
    opened.press("Enter")
    assert _texts(opened, "mocov2 · mixup") == [[f"trial {at}", f"{top1:.1f}"] for at, top1 in enumerate(TRIALS)]


def test_a_number_of_one_repetition_opens_the_runs_of_that_one(opened):
    opened.run(f"{_row('mocov2 · cutmix')}.querySelector('.fold').click()")
    opened.run(f"{_row('seed 1')}.querySelector('td a').click()")
    opened.wait("document.querySelector('dialog').open")
    assert opened.run("[...document.querySelectorAll('dialog article .soft')].map((p) => p.textContent.split(' · ')[1])") == [
        "seeds 1 (pre-training), 0 (run)"
    ]
    assert opened.run("document.getElementById('details-title').textContent").endswith("top1: 63.0 ")


def test_every_repetition_stays_unfolded_while_one_sorts(opened):
    opened.run(
        "[...document.querySelectorAll('#tools label')].find((l) => l.textContent.includes('repetition')).firstChild.click()"
    )
    assert opened.run("document.querySelectorAll('tr.repeat').length") == 4
    opened.run("document.querySelector('#board thead button').click()")
    assert _texts(opened, "mocov2 · cutmix") == [["seed 0", "62.0"], ["seed 1", "63.0"]]


def _copied(browser, name, form):
    """What a row's button puts on the clipboard, which a headless browser guards."""
    browser.run("navigator.clipboard.writeText = async (text) => { window.clip = text; }")
    browser.run(f"[...{_row(name)}.querySelectorAll('.copiers button')].find((b) => b.textContent === '{form}').click()")
    browser.wait("window.clip")
    return browser.run("window.clip")


def test_a_row_copied_as_latex_is_the_line_of_the_latex_table(opened, content):
    comment, line, end = _copied(opened, "mocov2 · none", "LaTeX").split("\n")
    written = next(line for line in tex.render(content, Path()).splitlines() if line.startswith(r"mocov2 $\cdot$ none"))
    assert end == ""
    assert set(written.removesuffix(r" \\").split(" & ")) <= set(line.removesuffix(r" \\").split(" & "))
    assert comment.startswith("% pre-training & linear top1 & linear top5 & knn & ")
    assert comment.count(" & ") == line.count(" & ")


def test_a_row_copied_as_markdown_is_a_table_with_the_cells_of_the_markdown_report(opened, content):
    head, rule, line, end = _copied(opened, "mocov2 · none", "Markdown").split("\n")
    written = next(line for line in markdown.board_table(content) if line.startswith("| mocov2 | none |"))
    assert end == ""
    assert head.startswith("| pre-training | linear top1 | linear top5 | knn | voc0712\\* AP |")
    assert re.fullmatch(r"\| :-- (\| --: )+\|", rule)
    assert line.split(" | ")[1:] == written.split(" | ")[-len(line.split(" | ")) + 1 :]


def test_letters_of_a_copied_row_mean_themselves(opened):
    assert _copied(opened, "mocov2 · c&d", "LaTeX").split("\n")[1].startswith(tex.escape(f"mocov2 · {SPECIAL}") + " & ")
    assert (
        _copied(opened, "mocov2 · c&d", "Markdown").split("\n")[2].startswith(f"| {markdown.escape(f'mocov2 · {SPECIAL}')} | ")
    )


def test_without_a_clipboard_the_row_stands_selected_in_its_dialog(opened):
    opened.run("navigator.clipboard.writeText = () => Promise.reject(); document.execCommand = () => false")
    opened.run(f"{_row('mocov2 · none')}.querySelector('a').click()")
    opened.wait("document.querySelector('dialog').open")
    opened.run("document.querySelector('dialog .copiers button').click()")
    opened.wait("document.querySelector('dialog textarea') !== null")
    assert opened.run("document.activeElement.value.slice(document.activeElement.selectionStart)").startswith("% pre-training")
    assert opened.run("document.querySelector('dialog [role=status]').textContent") == "press Ctrl+C"


def test_heads_and_names_stay_in_view_while_the_table_scrolls_both_ways(opened):
    opened.size(700, 500)
    opened.run("document.getElementById('frame').style.maxHeight = '220px'")
    opened.run("document.getElementById('frame').scrollTo(9999, 9999)")
    opened.wait("document.getElementById('frame').scrollLeft > 100 && document.getElementById('frame').scrollTop > 50")
    place = "((e) => [e.left, e.top].map(Math.round))({}.getBoundingClientRect())".format
    frame = opened.run(place("document.getElementById('frame')"))
    head = opened.run(place("document.querySelector('#board thead .name')"))
    last = opened.run(place("document.querySelector('#board tbody tr:last-child th')"))
    assert [head[0] - frame[0], head[1] - frame[1], last[0] - frame[0]] == [1, 1, 1]  # inside the frame's line


def test_without_scripts_the_page_is_a_plain_table_of_the_same_numbers(browser, content, tmp_path):
    (tmp_path / "page.html").write_text(page.render(content, tmp_path), encoding="utf-8")
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(f"file://{tmp_path}/page.html")
        rows = browser.run("[...document.querySelectorAll('#frame tbody tr')].map((r) => r.innerText)")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert len(rows) == len(content.board.rows)
    assert next(row for row in rows if row.startswith("mocov2 · cutmix")).split("\t")[1].split() == [
        *("62.5", "?", "±", "0.7", "(2", "×", "1)")
    ]


def test_paper_shows_every_row_dark_on_light_and_no_buttons(opened):
    opened.dark(True)
    answer = opened.call("Page.printToPDF", landscape=True)
    opened.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    style = "getComputedStyle(document.querySelector('{}')).{}".format
    try:
        assert base64.b64decode(answer["data"]).startswith(b"%PDF")
        assert opened.run(style("body", "color")) == "rgb(27, 34, 48)"
        assert opened.run(style(".acts", "display")) == opened.run(style("#tools", "display")) == "none"
        assert opened.run(style("#board thead", "display")) == "table-header-group"
    finally:
        opened.call("Emulation.setEmulatedMedia", media="", features=[])
