"""What the report says in words: claims, predictions, published rows, cost, what changed, the model card."""

import io
import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench import cli
from bench.report import compare, describe, differences, markdown, page, predicting, printed, read, report
from bench.report.content import Content
from pretrain.core.errors import ConfigError, RecordError
from transfer.board import published_numbers
from transfer.board.leaderboard import leaderboard

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("golden")
"""`findings.md` and `diff.txt` were checked by eye, their numbers by hand."""
_shared = runpy.run_path(str(ROOT / "tests" / "sample_records.py"))
made, entries, lay, RANDOM = (_shared[name] for name in ("made", "entries", "lay", "RANDOM"))
VOC = {"engine": "torchvision", "of_name": "voc", "of_val": 4952, "of_classes": 20}
AUGS = {"none": (0.80, 0.60, 60.0), "cutout": (0.77, 0.50, 62.0), "random-erasing": (0.75, 0.48, 61.0)} | {
    "cutmix": (0.76, 0.40, 63.0),
    "mixup": (0.79, 0.45, 66.0),
    "grid-unlisted": (0.70, 0.35, 59.0),
}


def _records():
    """Six augmentations with three seeds, the untrained backbone, and two rows of the published VOC protocol."""
    records = [made(metrics={"top1": 10.0 + seed}, **RANDOM | {"seed": seed}) for seed in range(3)]
    for aug, (linv, ldiv, top1) in AUGS.items():
        for seed, wobble in enumerate((0.0, 0.2, -0.3)):
            of = {"aug": aug, "seed": seed}
            records.append(made(metrics={"top1": top1 + wobble * (aug != "none") + seed}, **of))
            measures = {"Linv": linv + wobble / 1000 * (aug != "none"), "Ldiv": ldiv + wobble / 500 * (aug != "none")}
            records.append(made("representation", measures, kind="measure", **of))
            cost = {"wall_seconds": 3600.0 + 360 * seed, "images_per_second": 400.0 + seed}
            records.append(made("pretrain", {"loss": 1.0}, kind="pretrain", **cost, **of))
    moco = {"arch": "resnet50", "data": "imagenet", "epochs": 200, "supervision": "self", "label_fraction": 0.0}
    records.append(made("voc0712", {"AP50": 82.0, "AP": 57.0}, **VOC, **moco))
    records.append(made("voc0712", {"AP50": 82.1, "AP": 57.9}, **VOC, **moco, aug="mixup"))
    return records


def _content():
    numbers = published_numbers.read(ROOT / "results" / "published")
    mocos = [number for number in numbers if number.source.startswith("facebookresearch/moco detection/README.md")]
    return Content(leaderboard(entries(_records())), (), mocos)


def test_the_findings_are_the_golden_ones():
    text = markdown.render(_content(), Path())
    assert text[text.index("## Published") :] == (GOLDEN / "findings.md").read_text(encoding="utf-8")


def test_the_page_lists_published_numbers_of_other_protocols_in_tables_of_their_own():
    numbers = published_numbers.read(ROOT / "results" / "published")
    content = Content(leaderboard(entries(_records())), (), numbers)
    tables = {table.title: table.lines for table in printed.tables(content)}
    dino = "DINO boosted command · dino multi-crop · self · ViT-S/16 · ImageNet-1K · 300 epochs"
    assert (dino, "top1", "73.3", "facebookresearch/dino README @7c446df") in tables["imagenet-knn20"]
    assert "voc0712-c4" not in tables or not [line for line in tables["voc0712-c4"] if line[1] in ("AP", "AP50")]
    assert sum(map(len, tables.values())) == len(content.apart) < len(numbers)
    assert "imagenet-knn20" in page.render(content, Path())


def test_the_marks_say_different_equivalent_undecided_and_of_two_checkpoints():
    content = _content()
    text = "\n".join(markdown.board_table(content))
    row = {line.split(" | ")[1]: line for line in text.splitlines() if "shapes" in line}
    assert "**67.0 ± 0.9 (3 × 1)** ▲" in row["mixup"]
    assert "62.0 ± 0.9 (3 × 1) ▲" in row["random-erasing"]
    assert "60.0 ± 0.9 (3 × 1) ▼" in row["grid-unlisted"]
    marks = {content.board.columns[at].name: differences.mark(found) for (_, at), found in content.differences.items()}
    assert (marks["AP50"], marks["AP"]) == ("◇", "◇")
    equivalent = replace(next(iter(content.differences.values())), answer="equivalent")
    assert [differences.mark(equivalent), differences.mark(None)] == ["≈", ""]


def _said(*records, column=0):
    """What is said of each row's difference in a column, by augmentation."""
    content = Content(leaderboard(entries(records)))
    labels = [row.key.aug for row in content.board.rows]
    digits = content.board.columns[column].metric.digits
    found = {row: one for (row, at), one in content.differences.items() if at == column}
    return {labels[row]: differences.difference(one, digits, labels) for row, one in found.items()}


def test_a_difference_is_a_sentence_with_its_interval_and_what_it_counts():
    runs = [
        made(aug=aug, seed=seed, run_seed=run, metrics={"top1": 50 + shift + at * seed**2 * 0.1})
        for at, (aug, shift) in enumerate({"none": 0.0, "mixup": 2.0, "cutmix": 0.1}.items())
        for seed in range(3)
        for run in range(2)
    ]
    counts = "3 pre-trainings × 2 trials against 3 pre-trainings × 2 trials; 3 seeds paired"
    assert _said(*runs) == {
        "cutmix": f"+0.4 against none: undecided (95 % interval −0.3 to +1.1; {counts})",
        "mixup": f"+2.2 against none: different (95 % interval +1.5 to +2.9; {counts})",
    }
    chosen = differences.difference(
        replace(next(iter(Content(leaderboard(entries(runs))).differences.values())), answer="equivalent"), 1, ["none"] * 3
    )
    assert "equivalent, by less than 0.5 (" in chosen
    assert differences.difference(None, 1, []) == ""


@pytest.mark.parametrize(("once", "whose"), [("mixup", "this row"), ("none", "the row it is compared with")])
def test_of_a_row_of_one_pre_training_beside_a_repeated_one_it_is_said_which_is_missing(once, whose):
    seeds = {"none": 2, "mixup": 2, once: 1}
    runs = [made(aug=aug, seed=seed, metrics={"top1": 50.0 + seed}) for aug in seeds for seed in range(seeds[aug])]
    assert f"undecided (no interval: a second pre-training of {whose} is missing; " in _said(*runs)["mixup"]


def test_one_pre_training_each_is_said_to_be_of_these_two_checkpoints_only():
    said = _said(*(made("voc0712", {"AP": value}, aug=aug, **VOC) for aug, value in (("none", 57.0), ("mixup", 57.9))))
    source = "facebookresearch/moco @132aea9, detection/README.md: mean of 5"
    assert said["mixup"] == (
        "+0.9 against none: of these two checkpoints only, one pre-training each, so nothing of the augmentation "
        "(95 % interval over fine-tunings +0.1 to +1.7; 1 pre-training × 1 trial against 1 pre-training × 1 trial; "
        f"published spread 0.2 over 5 fine-tunings counted in: {source})"
    )


def test_a_row_without_a_control_names_the_fields_that_differ_and_is_listed():
    runs = [made(), made(aug="mixup", settings={"recipe.base_lr": 0.06}, metrics={"top1": 51.2})]
    assert _said(*runs)["mixup"] == (
        "+1.2 against none, which is no control: it differs in recipe.base_lr, too "
        "(1 pre-training × 1 trial against 1 pre-training × 1 trial)"
    )
    text = markdown.render(Content(leaderboard(entries(runs))), Path())
    assert "- mocov2 · mixup: mocov2 · none differs in recipe.base_lr, too" in text


def test_few_backbones_or_none_are_said_plainly():
    assert predicting.sentence(Content(leaderboard(entries([made()])))) == [
        "These runs can't say: no trained backbone was both measured and transferred."
    ]
    two = [made(), made("representation", {"Linv": 0.5}, kind="measure")]
    assert (
        "1 trained backbone was both measured and transferred, and 8 are needed"
        in predicting.sentence(Content(leaderboard(entries(two))))[0]
    )


def _ordered(measures):
    """Eight backbones with top-1 in the order of Linv, and Ldiv in the opposite one."""
    records = []
    for place in range(8):
        values = {"Linv": 0.1 + place / 10, "Ldiv": 0.9 - place / 10, "diversity": 0.1 + place / 10}
        chosen = {name: values[name] for name in measures}
        records.append(made("representation", chosen, kind="measure", aug=f"a{place}"))
        records.append(made(metrics={"top1": 50.0 + place}, aug=f"a{place}"))
    return predicting.sentence(Content(leaderboard(entries(records))))


def test_the_plain_sentence_says_which_way_a_measure_goes_and_counts_no_copy_of_one():
    both = [
        "A higher Linv (more invariant) goes with a higher linear top1: 1 of 1 protocol.",
        "A higher Ldiv (less diverse) goes with a lower linear top1: 1 of 1 protocol.",
    ]
    said = _ordered(["Linv", "Ldiv"])
    assert said[:2] == both
    assert said[2].startswith(
        "Of 2 pairs of a measure and a protocol, 2 predict; where nothing is related, any would on 5 % of"
    )
    assert _ordered(["Linv", "Ldiv", "diversity"]) == said


def _printed(before, after):
    file = io.StringIO()
    whole = compare(before, after, Console(file=file, width=120))
    return [line.rstrip() for line in file.getvalue().splitlines()], whole


def test_the_difference_of_two_folders_is_the_golden_one(tmp_path):
    lay([made(), made(aug="mixup"), made(aug="cutout"), made("knn", {"knn": 30.0})], tmp_path / "a")
    after = [made(), made(aug="mixup", metrics={"top1": 53.25}), made(aug="mixup", seed=1, metrics={"top1": 55.25})]
    lay([*after, made("knn", {"knn": None}), made("voc07", {"AP": 20.0}, engine="torchvision")], tmp_path / "b")
    lines, whole = _printed(tmp_path / "a", tmp_path / "b")
    assert whole
    assert lines == (GOLDEN / "diff.txt").read_text(encoding="utf-8").splitlines()


def test_the_same_runs_twice_differ_in_nothing_and_a_broken_record_is_named(tmp_path):
    lay([made(), made(aug="mixup")], tmp_path / "a")
    assert _printed(tmp_path / "a", tmp_path / "a") == (["0 new, 0 gone, 0 changed, 2 the same"], True)
    (tmp_path / "a" / "bad").mkdir()
    (tmp_path / "a" / "bad" / "result.json").write_text("{", encoding="utf-8")
    lines, whole = _printed(tmp_path / "a", tmp_path / "a")
    assert not whole
    assert any("bad/result.json" in line for line in lines)


def _pretrained(tmp_path, **more):
    """A pre-training, two transfers of its checkpoint, and one of another's."""
    records = [
        made("pretrain", {"loss": 1.0}, kind="pretrain", aug="mixup", sha256="c0", wall_seconds=90.0, **more),
        made(metrics={"top1": 61.5}, aug="mixup", sha256="c0", notes=("a note",)),
        made("voc0712", {"AP50": 41.0}, aug="mixup", sha256="c0", changed={"iters": 60}, engine="torchvision"),
        made(metrics={"top1": 99.0}, aug="mixup", sha256="c1"),
    ]
    return lay(records, tmp_path / "runs")[0].parent


def test_the_card_holds_the_transfers_of_its_own_checkpoint_and_no_other(tmp_path):
    run = _pretrained(tmp_path)
    path, whole = describe(run, [tmp_path / "runs"])
    text = path.read_text(encoding="utf-8")
    assert (path, whole) == (run / "card.md", True)
    assert text.startswith("# resnet18 · mocov2 · mixup\n")
    assert "| linear top1 | 61.5 | % | shapes |" in text
    assert r"| voc0712\* AP50 | 41.0 | % | shapes |" in text
    assert "99.0" not in text
    assert "- a note" in text
    assert "90 s, 700 MiB" in text


def test_a_card_is_of_a_pre_training_only_and_names_what_it_could_not_read(tmp_path):
    run = _pretrained(tmp_path)
    with pytest.raises(RecordError, match="is no pre-training"):
        describe(run.with_name("r01"), [])
    with pytest.raises(RecordError, match="is no finished run"):
        describe(tmp_path, [])
    with pytest.raises(RecordError, match=r"no folder .*typo"):
        describe(run, [tmp_path / "typo"])
    assert not (run / "card.md").exists()
    (run.with_name("r01") / "result.json").write_text("{", encoding="utf-8")
    screen = io.StringIO()
    _, whole = describe(run, [tmp_path / "runs"], tmp_path / "card.md", Console(file=screen, width=300))
    assert not whole
    assert "r01/result.json" in screen.getvalue()


def _spoil(path, kind):
    plain = json.loads(path.read_text(encoding="utf-8"))
    text = {
        "an unknown schema version": json.dumps(plain | {"schema_version": 7}),
        "no schema version": json.dumps({key: value for key, value in plain.items() if key != "schema_version"}),
        "a truncated file": path.read_text(encoding="utf-8")[:200],
        "a NaN": json.dumps(plain | {"metrics": {"top1": float("nan")}}),
        "an infinity elsewhere": json.dumps(plain | {"wall_seconds": float("inf")}),
        "no UTF-8": "\udcff",
        "a list": "[]",
        "a deep list": "[" * 100_000,
    }[kind]
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    "kind",
    ["an unknown schema version", "no schema version", "a truncated file", "a NaN"]
    + ["an infinity elsewhere", "no UTF-8", "a list", "a deep list"],
)
def test_bad_input_is_named_with_its_path_and_the_good_records_are_reported(tmp_path, kind):
    good, bad = lay([made(), made(aug="mixup")], tmp_path / "runs")
    _spoil(bad, kind)
    content = read([tmp_path / "runs"])
    assert [entry.path for entry in content.board.entries] == [good]
    (problem,) = content.problems
    assert problem.path == bad
    assert str(bad) in problem.message


def test_everything_bad_at_once_is_named_in_every_rendering(tmp_path):
    new, old, good, broken = lay(
        [made(finished="2031-01-01T00:00:00+00:00"), made(metrics={"top1": 49.0}), made(aug="a"), made(aug="b")],
        tmp_path / "runs",
    )
    _spoil(broken, "a NaN")
    (tmp_path / "empty").mkdir()
    screen = io.StringIO()
    made_report = report([tmp_path / "runs", tmp_path / "empty"], tmp_path, Console(file=screen, width=500))
    assert {problem.path for problem in made_report.problems} == {broken, tmp_path / "empty", old}
    assert {entry.path for entry in made_report.board.entries} == {new, good}
    markdowns = (tmp_path / "leaderboard.md").read_text(encoding="utf-8").replace("\\", "")
    for text in (screen.getvalue(), markdowns, (tmp_path / "leaderboard.html").read_text(encoding="utf-8")):
        assert all(str(path) in text for path in (broken, old, tmp_path / "empty"))


@pytest.mark.parametrize(("bad", "code"), [(False, 0), (True, 2)])
def test_the_exit_code_says_whether_something_was_left_out(tmp_path, bad, code):
    run = _pretrained(tmp_path)
    if bad:
        _spoil(run.with_name("r01") / "result.json", "a truncated file")
    runs, out = str(tmp_path / "runs"), str(tmp_path / "out")
    for words in (
        ["report", "--runs", runs, "--out", out],
        ["report", "--diff", runs, runs],
        ["card", str(run), "--runs", runs],
    ):
        assert CliRunner().invoke(cli.app, words).exit_code == code


@pytest.mark.parametrize("words", [["c"], ["--runs", "c"], ["--interest", "top1=0.3"], ["--out", "."], ["--out", "c"]])
def test_a_difference_of_two_folders_takes_nothing_else(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        lay([made(aug=name)], tmp_path / name)
    refused = CliRunner().invoke(cli.app, ["report", "--diff", "a", "b", *words]).exception
    assert isinstance(refused, ConfigError)
    assert f"--diff and {' '.join(words).removeprefix('--runs ')}\n" in str(refused)


def test_several_folders_may_stand_after_one_option(tmp_path):
    for name in ("a", "b", "c"):
        lay([made(aug=name)], tmp_path / name)
    folders = [str(tmp_path / name) for name in ("a", "b", "c")]
    words = ["report", "--runs", *folders, "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(cli.app, words).exit_code == 0
    text = (tmp_path / "out" / "leaderboard.csv").read_text(encoding="utf-8")
    assert [line.split(",")[1] for line in text.splitlines()[1:]] == ["a", "b", "c"]


def test_a_report_needs_no_torch(tmp_path):
    lay(_records(), tmp_path / "runs")
    script = (
        "import sys; from pathlib import Path; from bench.report import report; "
        "report([Path('runs')], Path()); sys.exit('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0
    assert (tmp_path / "leaderboard.html").is_file()
