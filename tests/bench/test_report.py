"""`bench report`: golden renderings of hand-made records, hostile names, broken records, and the page in a browser."""

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

from bench.report import csv, markdown, page, report, terminal, tex
from bench.report.content import Content
from bench.report.gather import gather
from pretrain.core.errors import RecordError
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
    assert [_printed(board, width).count("random (untrained)") for width in (160, 80)] == [1, 2]


def test_a_long_table_is_cut_in_the_terminal_and_says_so():
    board = leaderboard(entries([made(aug=f"a{place:03d}") for place in range(61)]))
    text = _printed(board, 80)
    assert text.count("mocov2 · a0") == 60
    assert "60 of 61 rows; the others are in the files." in text


def test_the_best_number_is_bold_in_the_terminal_and_the_others_are_not():
    text = _printed(_small(), 80, force_terminal=True, color_system="standard")
    assert re.findall(r"\x1b\[1m *(\d[\d.]*)", text) == ["62.5"]


def test_the_csv_reads_back_as_plain_numbers_with_absent_ones_missing():
    table = pd.read_csv(io.StringIO(csv.render(Content(_small()), Path())), keep_default_na=False, na_values=[""])
    (top1,) = [name.removesuffix("/mean") for name in table.columns if name.endswith("/top1/mean")]
    assert table[f"{top1}/mean"].tolist() == [41.25, 60.0, 62.5]
    assert table[f"{top1}/n"].tolist() == [1, 1, 2]
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
    notice = "from generated data (shapes) and compare with no paper"
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


def test_the_report_writes_four_files_into_a_new_folder_and_nothing_else(tmp_path):
    lay(sample(), tmp_path / "runs")
    screen = io.StringIO()
    result = report([tmp_path / "runs"], tmp_path / "new" / "out", Console(file=screen, width=100))
    names = ["leaderboard.csv", "leaderboard.html", "leaderboard.md", "leaderboard.tex"]
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == names
    assert sorted(path.name for path in result.written) == names
    assert (len(result.board.rows), result.problems) == (3, ())
    assert "mocov2 · cutmix" in screen.getvalue()


def test_a_broken_record_is_named_with_its_path_and_the_others_are_reported(tmp_path):
    good, broken, future = lay([made(), made(aug="a"), made(aug="b")], tmp_path / "runs")
    broken.write_text("{", encoding="utf-8")
    future.write_text(json.dumps(json.loads(future.read_text(encoding="utf-8")) | {"schema_version": 9}), encoding="utf-8")
    screen = io.StringIO()
    result = report([tmp_path / "runs"], tmp_path, Console(file=screen, width=500))
    assert [problem.path for problem in result.problems] == [broken, future]
    assert [entry.path for entry in result.board.entries] == [good]
    for text in (screen.getvalue(), (tmp_path / "leaderboard.html").read_text(encoding="utf-8")):
        assert f"can&#39;t read the record {broken}" in text or f"can't read the record {broken}" in text
        assert f"{future} has an unknown schema version" in text
    assert markdown.escape(str(future)) in (tmp_path / "leaderboard.md").read_text(encoding="utf-8")


def test_records_of_one_identity_that_disagree_are_named_and_the_newer_is_kept(tmp_path):
    new, old = lay([made(finished="2031-01-01T00:00:00+00:00"), made(metrics={"top1": 49.0})], tmp_path / "runs")
    result = report([tmp_path / "runs"], tmp_path, Console(file=io.StringIO()))
    (problem,) = result.problems
    assert problem.path == old
    assert problem.message.splitlines()[:3] == [
        f"{old} disagrees with a newer record of the same run",
        "  seen:    top1 49, newer 50",
        f"  newer:   {new}, which is kept",
    ]
    assert [cell.mean for cell in result.board.cells.values()] == [50.0]


def test_a_folder_inside_another_is_read_once(tmp_path):
    lay([made(), made(aug="a")], tmp_path / "runs")
    found, problems = gather([tmp_path / "runs", tmp_path / "runs" / "r01", tmp_path / "runs" / ".." / "runs"])
    assert (len(found), problems) == (2, ())


def test_a_run_behind_a_link_is_read_and_a_circle_of_links_ends(tmp_path):
    lay([made()], tmp_path / "runs")
    lay([made(aug="a")], tmp_path / "elsewhere")
    (tmp_path / "runs" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "runs")
    found, problems = gather([tmp_path / "runs", tmp_path / "elsewhere"])
    assert ([entry.record.checkpoint.provenance.aug for entry in found], problems) == (["a", "none"], ())


def test_an_empty_folder_beside_a_good_one_is_named(tmp_path):
    lay([made()], tmp_path / "runs")
    (tmp_path / "empty").mkdir()
    found, problems = gather([tmp_path / "runs", tmp_path / "empty", tmp_path / "missing"])
    assert len(found) == 1
    assert [problem.message.splitlines()[:2] for problem in problems] == [
        [f"no records in {tmp_path / 'empty'}", "  seen:    a folder without a result.json"],
        [f"no records in {tmp_path / 'missing'}", "  seen:    nothing: the folder does not exist"],
    ]


@pytest.mark.parametrize("exists", [True, False])
def test_no_records_at_all_is_one_message_that_says_what_to_do_and_writes_nothing(tmp_path, exists):
    runs = tmp_path / "runs"
    if exists:
        runs.mkdir()
    with pytest.raises(RecordError) as error:
        report([runs], tmp_path / "out", Console(file=io.StringIO()))
    assert f"no records in {runs}" in str(error.value)
    assert "make some with `bench pretrain` and `bench transfer`" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_nothing_but_broken_records_names_them(tmp_path):
    paths = lay([made(aug=str(number)) for number in range(7)], tmp_path / "runs")
    for path in paths:
        path.write_text("", encoding="utf-8")
    with pytest.raises(RecordError) as error:
        gather([tmp_path / "runs"])
    assert "no record is whole" in str(error.value)
    assert [str(path) in str(error.value) for path in paths] == [True] * 5 + [False] * 2
    assert "and 2 more" in str(error.value)


def test_a_file_where_the_output_folder_should_be_is_one_message(tmp_path):
    lay([made()], tmp_path / "runs")
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(RecordError, match="can't write"):
        report([tmp_path / "runs"], tmp_path / "out", Console(file=io.StringIO()))


def test_pre_trainings_alone_make_a_table_without_numbers(tmp_path):
    lay([made("pretrain", {"loss": 1.0}, kind="pretrain", wall_seconds=90.0)], tmp_path / "runs")
    result = report([tmp_path / "runs"], tmp_path, Console(file=io.StringIO()))
    assert (len(result.board.rows), result.board.columns) == (1, ())
    text = (tmp_path / "leaderboard.md").read_text(encoding="utf-8")
    assert "| mocov2 | none | full | 100 % | resnet18 | shapes | 20 | 90 |" in text
