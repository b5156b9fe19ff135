"""`bench report`: golden renderings of hand-made records, and hostile names in them."""

import csv as std_csv
import html.parser
import io
import json
import re
import runpy
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from bench.report import csv, markdown, page, terminal, tex
from bench.report.content import Content
from transfer.board.leaderboard import leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries, lay, sample, RANDOM = (_shared[name] for name in ("made", "entries", "lay", "sample", "RANDOM"))
GOLDEN = Path(__file__).with_name("golden")
"""The renderings of `_small`, checked by eye: means and spreads by hand."""
HOSTILE = "<script>alert(1)</script> | **x** [a](b)\x1b[31m\n`c`"


def _small():
    """Three rows, three protocols, one pooled cell, one absent, one null."""
    small = {"engine": "torchvision", "changed": {"batch": 4, "iters": 60}, "schedule": "60 iterations of 4 images"}
    return leaderboard(
        entries(
            [
                made("linear", {"top1": 41.25, "top5": 70.0}, **RANDOM),
                made("linear", {"top1": 60.0, "top5": 80.0}),
                made("linear", {"top1": 61.0, "top5": 82.0}, aug="cutmix"),
                made("linear", {"top1": 64.0, "top5": 82.0}, aug="cutmix", seed=1),
                made("coco-c4", {"AP_box": 9.0, "AP50_box": 18.0}, **small),
                made("coco-c4", {"AP_box": 10.0, "AP50_box": None}, aug="cutmix", **small),
                made("representation", {"Linv": 0.75, "Ldiv": -0.0001, "alignment": 0.5}, kind="measure", engine="probe"),
                made("pretrain", {"loss": 1.5}, kind="pretrain", wall_seconds=90.4),
            ]
        )
    )


def _printed(board, width, **options):
    file = io.StringIO()
    terminal.show(Content(board), Console(file=file, width=width, **options))
    return file.getvalue()


class _Page(html.parser.HTMLParser):
    """Tags, link targets and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.handlers, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.text += data


def test_the_markdown_is_the_golden_one():
    assert markdown.render(Content(_small()), Path()) == (GOLDEN / "leaderboard.md").read_text(encoding="utf-8")


def test_the_csv_is_the_golden_one():
    assert csv.render(Content(_small()), Path()) == (GOLDEN / "leaderboard.csv").read_text(encoding="utf-8")


def test_the_latex_is_the_golden_one():
    assert tex.render(Content(_small()), Path()) == (GOLDEN / "leaderboard.tex").read_text(encoding="utf-8")


def test_every_line_of_the_latex_table_has_as_many_cells_as_it_has_columns():
    text = tex.render(Content(leaderboard(entries([*sample(), made(aug=HOSTILE)]))), Path())
    (columns,) = re.findall(r"begin\{tabular\}\{(l r*|lr*)\}", text)
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    cells = [
        sum(int(n) for n in re.findall(r"multicolumn\{(\d+)\}", line)) or len(re.findall(r"(?<!\\)&", line)) for line in body
    ]
    assert set(cells) == {len(columns) - 1}
    assert text.count(r"\textless") == 0
    assert "$<$script$>$" in text


def test_the_terminals_table_is_the_golden_one():
    lines = [line.rstrip() for line in _printed(_small(), 80).splitlines()]
    assert lines == (GOLDEN / "terminal.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 200])
def test_no_line_of_the_terminals_tables_is_wider_than_the_terminal_and_no_number_is_cut(width):
    text = _printed(leaderboard(entries(sample())), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert text.count("62.5") == 1
    assert text.count("0.725") == 1


def test_a_wide_terminal_shows_one_table_and_a_narrow_one_several():
    board = leaderboard(entries(sample()))
    assert [_printed(board, width).count("mocov2 · cutmix") for width in (160, 80)] == [1, 2]


def test_a_long_table_is_cut_in_the_terminal_and_says_so():
    board = leaderboard(entries([made(aug=f"a{place:03d}") for place in range(61)]))
    text = _printed(board, 80)
    assert text.count("mocov2 · a0") == 60
    assert "60 of 61 rows; the others are in the files." in text


def _repeated():
    """Three augmentations with three seeds, two of them far ahead."""
    values = {"none": 50.0, "cutmix": 70.0, "mixup": 70.2}
    return leaderboard(
        entries(
            [
                made("linear", {"top1": value + wobble * (1 + at)}, aug=aug, seed=seed)
                for at, (aug, value) in enumerate(values.items())
                for seed, wobble in enumerate((0.0, 0.5, -0.4))
            ]
        )
    )


def test_what_can_not_be_told_from_the_best_is_bold_in_every_table_and_the_others_are_not():
    text = _printed(_repeated(), 80, force_terminal=True, color_system="standard")
    assert re.findall(r"\x1b\[1m *(\d[\d.]*)", text) == ["70.1", "70.3"]
    content = Content(_repeated())
    assert re.findall(r"\*\*([\d.]+)", "\n".join(markdown.board_table(content))) == ["70.1", "70.3"]
    assert re.findall(r"textbf\{([\d.]+)", tex.render(content, Path())) == ["70.1", "70.3"]
    rows = json.loads(re.search(r'id="data">(.*?)</script>', page.render(content, Path()))[1])["rows"]
    assert [row["cells"][0]["best"] for row in rows] == [False, True, True]


def test_the_csv_reads_back_as_plain_numbers_with_absent_ones_missing():
    table = pd.read_csv(io.StringIO(csv.render(Content(_small()), Path())), keep_default_na=False, na_values=[""])
    (top1,) = [name.removesuffix("/mean") for name in table.columns if name.endswith("/top1/mean")]
    assert table[f"{top1}/mean"].tolist() == [41.25, 60.0, 62.5]
    assert table[f"{top1}/pretrainings"].tolist() == [1, 1, 2]
    assert table[f"{top1}/trials"].tolist() == [1, 1, 1]
    assert table[f"{top1}/std"].isna().tolist() == [True, True, False]
    (ap50,) = [name for name in table.columns if name.endswith("/AP50_box/mean")]
    assert table[ap50].isna().tolist() == [True, False, True]


def test_every_metric_of_a_record_is_in_the_csv_also_those_the_leaderboard_hides():
    text = csv.render(Content(_small()), Path())
    assert "/alignment/mean" in text
    assert "alignment" not in "\n".join(markdown.board_table(Content(_small())))


def test_a_new_tasks_own_metric_is_shown_without_a_line_for_it():
    board = leaderboard(entries([made("counting", {"accuracy": 12.0, "recall": 13.0})]))
    assert "counting<br>accuracy" in markdown.render(Content(board), Path())
    assert "accuracy" in _printed(board, 80)
    assert "recall" not in _printed(board, 80)


@pytest.mark.parametrize("width", [40, 100])
def test_absent_is_never_zero_or_nan_anywhere(width):
    board = _small()
    texts = [render(Content(board), Path()) for render in (markdown.render, page.render, csv.render)] + [_printed(board, width)]
    assert 'id="plotly"' not in texts[1]  # in base 64, any word may occur
    assert not any(re.search(r"\b(nan|NaN|None|inf)\b", text) for text in texts)
    assert not re.search(r"(?<![\d.])-0\.0+\b", texts[0] + texts[1] + texts[3])


def test_every_rendering_says_that_generated_data_compares_with_no_paper(tmp_path):
    notice = "from generated data and compare with no paper"
    for records, expected in (([made()], True), ([made(data="imagenet", of_name="coco")], False)):
        board = leaderboard(entries(records))
        texts = [render(Content(board), tmp_path) for render in (markdown.render, csv.render, page.render)]
        texts.append(_printed(board, 100))
        assert [notice in text for text in texts] == [expected] * 4


@pytest.mark.parametrize(
    "field", ["method", "aug", "arch", "data", "of_name", "engine", "task", "command", "schedule", "changed"]
)
def test_a_hostile_name_is_text_in_every_rendering(field, tmp_path):
    value = {"changed": {HOSTILE: HOSTILE}, "notes": (HOSTILE,)}.get(field, HOSTILE)
    values = {"task": "linear", field: value}
    board = leaderboard(entries([made(values.pop("task"), **values), made(aug="mixup")]))
    rendered, plain = page.render(Content(board), tmp_path), page.render(Content(leaderboard(entries([made()]))), tmp_path)
    assert (_Page(rendered).tags.count("script"), _Page(rendered).handlers) == (_Page(plain).tags.count("script"), [])
    for block in markdown.render(Content(board), tmp_path).split("\n\n"):
        pipes = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines() if line.startswith("|")}
        assert len(pipes) <= 1
    assert not any("<script" in line.replace(r"\<", "") for line in markdown.render(Content(board), tmp_path).splitlines())
    assert "\x1b" not in _printed(board, 100)
    assert len(list(std_csv.reader(io.StringIO(csv.render(Content(board), tmp_path))))) == 3


@pytest.mark.parametrize("formula", ["=cmd|'/C calc'!A0", "+1+1", "-2", "@SUM(A1)"])
def test_no_name_is_a_formula_in_a_spreadsheet(formula, tmp_path):
    board = leaderboard(entries([made("linear", {"top1": 50.0}, method=formula), made("linear", {"top1": 40.0}, aug=formula)]))
    cells = [cell for line in std_csv.reader(io.StringIO(csv.render(Content(board), tmp_path))) for cell in line]
    assert f"'{formula}" in cells
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)
