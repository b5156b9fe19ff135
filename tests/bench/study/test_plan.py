"""What a study file means: its cells, each once, and everything that is wrong with it at once."""

import re
from pathlib import Path

import pytest

from bench.study import plan
from bench.study.plan import StudyPlan
from pretrain.core.errors import ConfigError

STUDIES = Path(__file__).resolve().parents[3] / "studies"
SMALL = """
study: small
data: {pretrain: shapes, imagefolder: shapes, voc: shapes}
precision: fp32
"""


def read(folder: Path, text: str) -> StudyPlan:
    path = folder / "study.yaml"
    path.write_text(SMALL + text, encoding="utf-8")
    return plan.read(path)


def refused(folder: Path, text: str) -> list[str]:
    """Return the problems of a file, each by its first line."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return re.findall(r"^- (.*)$", str(caught.value), flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "pretrainings", "evaluations", "shared", "doubles"),
    [
        ("augmentations", 99, 948, 18, 126),
        ("longer", 12, 154, 2, 14),
        ("data-and-arch", 30, 162, 0, 0),
        ("factors", 180, 1090, 0, 0),
        ("anchors", 0, 10, 0, 0),
        ("small-augmentations", 12, 60, 0, 0),
        ("small-longer", 4, 10, 1, 2),
        ("small-data-and-arch", 8, 8, 0, 0),
        ("small-factors", 12, 13, 0, 0),
    ],
)
def test_the_studies_of_the_sources_have_their_cells(
    name: str,
    pretrainings: int,
    evaluations: int,
    shared: int,
    doubles: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    maps = re.findall(r"[\w/-]+\.csv", (STUDIES / f"{name}.yaml").read_text(encoding="utf-8"))
    for each in maps:  # made by hand: what they say is not read before the data is
        Path(each).parent.mkdir(parents=True, exist_ok=True)
        Path(each).write_text(f"n01440764,{each}\n", encoding="utf-8")
    found = plan.read(STUDIES / f"{name}.yaml")
    assert (len(found.pretrainings), len(found.evaluations)) == (pretrainings, evaluations)
    assert (found.shared, found.doubles) == (shared, doubles)


def test_a_cell_is_one_command_and_an_evaluation_reads_what_its_pretraining_writes(tmp_path: Path) -> None:
    found = read(tmp_path, "pretrain: {a: {set: {aug: cutmix, weight_decay: 0.01}}}\nevaluate: [{of: a, task: knn}]")
    (pretraining,), (knn,) = found.pretrainings, found.evaluations
    assert pretraining.command()[:4] == ("bench", "pretrain", "--aug", "cutmix")
    assert "weight_decay=0.01" in pretraining.command()
    assert knn.needs == pretraining.id
    assert knn.command()[knn.command().index("--ckpt") + 1] == str(pretraining.folder / "backbone.pth")


def test_the_same_run_under_other_words_is_planned_once(tmp_path: Path) -> None:
    said = "pretrain: {a: {set: {supervision: self}}, b: {set: {supervision: self}, grid: {queue: [512, 1024]}}}"
    found = read(tmp_path, said + "\nevaluate: [{of: [a, b], task: knn}, {of: b, task: knn}]")
    assert (len(found.pretrainings), found.shared) == (2, 1)  # the generated data's queue is 1024
    assert (len(found.evaluations), found.doubles) == (2, 3)


def test_a_run_that_several_blocks_want_checkpoints_of_keeps_them_all(tmp_path: Path) -> None:
    said = "pretrain: {a: {set: {epochs: 12}, checkpoints: [4, final]}, b: {set: {epochs: 12}, checkpoints: {every: 6}}}"
    found = read(tmp_path, said + "\nevaluate: [{of: [a, b], task: knn}]")
    (pretraining,) = found.pretrainings
    assert pretraining.command()[pretraining.command().index("--keep-every") + 1] == "2"
    names = {Path(cell.subject.checkpoint).name for cell in found.evaluations if cell.subject}
    assert names == {"backbone-0004.pth", "backbone-0006.pth", "backbone.pth"}


def test_where_reads_settings_that_nobody_wrote_and_null_is_a_file(tmp_path: Path) -> None:
    said = "pretrain: {a: {grid: {aug: [none, cutmix]}, seeds: 2}, b: {files: {theirs: x.pth}}}\n"
    both = read(tmp_path, said + "evaluate: [{of: [a, b], where: {seed: [0, null], arch: [resnet18, null]}, task: knn}]")
    assert sorted(cell.subject.name for cell in both.evaluations if cell.subject) == [
        "supervised-cutmix-full-resnet18",
        "supervised-none-full-resnet18",
        "theirs",
    ]


def test_all_that_is_wrong_is_said_at_once_with_the_nearest_names(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        """
pretrain:
  a: {set: {method: mocov2}, grid: {aug: [none, cutmax]}}
  b: {set: {metod: mocov2}, seeds: 3}
  c: {grid: {aug: [none, cutmix]}, except: [{agu: mixup}, {aug: mixup}]}
  d: {set: {epochs: 20}, checkpoints: [10, 30]}
evaluate:
  - {of: cc, task: knn}
  - {of: c, task: knn, where: {aug: mixup}}
  - {of: c, task: linaer}
  - {of: c, task: linear, set: {epoch: 3}}
  - {of: c, measure: {probe: cutot}}
  - {of: c, task: cityscapes}
resources: [{when: {knid: pretrain}}, {when: {arch: resnet101}}]
""",
    )
    expected = [
        "a, aug: cutmax: unknown augmentation 'cutmax'",
        "b: unknown key in the configuration: 'metod'",
        "c, except: unknown field in pretrain: c, except: 'agu'",
        "c, except: it leaves nothing out",
        "d: checkpoints after the last epoch",
        "entry 1: unknown block in of: 'cc'",
        "entry 2: where keeps nothing",
        "entry 3, linaer: unknown task 'linaer'",
        "entry 4, linear: unknown key in the settings of linear: 'epoch'",
        "entry 5, probe cutot: unknown augmentation 'cutot'",
        "entry 6, cityscapes: its data is not said",
        "resources, entry 1: unknown field in resources, entry 1: 'knid'",
        "resources, entry 2: no cell fits {'arch': 'resnet101'}",
    ]
    assert len(said) == len(expected)
    assert [line for line, end in zip(said, expected, strict=True) if not line.endswith(end)] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pretrain: {a: {grid: {aug: []}}}", "grid.aug: List should have at least 1 item"),
        ("pretrain: {a: {zip: {aug: [none, cutmix], epochs: [1]}}}", "zip needs lists of one length"),
        ("pretrain: {a: {set: {seed: 3}}}", "the seeds of a block are said by `seeds: 3`"),
        ("pretrain: {a: {set: {aug: none}, grid: {aug: [none]}}}", "said twice: aug"),
        ("pretrain: {a: {files: {x: y}, seeds: 2}}", "a block of files has nothing else"),
        ("pretrain: {a: {files: {x/y: z.pth}}}", "'x/y' is no label"),
        ("pretrain: {a: {}}\nconvert: {b: {of: a, norm_rescale: {../c: 0.1}}}", "'../c' is no label"),
        ("pretrain: {a: {}}\nevaluate: [{of: a}]", "either `task` or `measure`"),
        ("pretrain: {a: {seed: 3}}", "unknown key 'seed'"),
        ("pretrain: {a: 3}", "3 is no mapping of fields"),
        ("evaluate: [{of: 'random:resnet5', task: knn}]", "unknown architecture 'resnet5'"),
        ("retry: 3", "unknown key 'retry'"),
        ("evaluate: []", "it asks for nothing"),
    ],
)
def test_a_file_that_means_nothing_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    (said,) = refused(tmp_path, text)
    assert problem in said


def test_a_task_that_can_not_take_a_backbone_is_refused_before_anything_runs(tmp_path: Path) -> None:
    said = refused(tmp_path, "pretrain: {a: {set: {arch: vit_small}}}\nevaluate: [{of: a, task: [knn, voc07]}]")
    assert said == ["evaluate, entry 1: voc07 can't use a vit_small, of a; leave it out by `where`"]


def test_an_evaluation_of_some_classes_is_another_cell_of_the_same_data(tmp_path: Path) -> None:
    asked = 'evaluate: [{{of: "random:resnet18", task: knn{0}}}, {{of: "random:resnet18", measure: {{}}{0}}}]\n'
    of_all = read(tmp_path, asked.format(""))
    chosen = read(tmp_path, asked.format(", grid: {classes: [null, imagenet100, 0.5]}"))
    assert len(chosen.cells) == 6
    assert {*of_all.cells} == {key for key, cell in chosen.cells.items() if "classes" not in cell.line()}
    assert sorted(re.findall(r"--classes \S+", "\n".join(cell.line() for cell in chosen.cells.values()))) == [
        *["--classes 0.5"] * 2,
        *["--classes imagenet100"] * 2,
    ]
    boxes = 'evaluate: [{of: "random:resnet18", task: voc07, set: {classes: imagenet100}}]\n'
    assert refused(tmp_path, boxes) == ["evaluate, entry 1, voc07: voc07 has no --classes"]


def test_resources_and_what_comes_first_are_those_of_the_first_condition_that_fits(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
pretrain: {a: {grid: {aug: [none, cutmix]}, seeds: 2}}
evaluate: [{of: a, task: knn, trials: 2}]
resources: [{when: {kind: pretrain, aug: cutmix}, devices: 2}, {when: {kind: pretrain}, memory: 4G}]
order: {first: [{aug: cutmix, seed: 1}]}
""",
    )
    assert [cell.resource.devices for cell in found.pretrainings] == [1, 1, 2, 2]
    assert [cell.first for cell in found.pretrainings] == [1, 1, 1, 0]
    assert sorted(cell.rank for cell in found.evaluations) == [0, 0, 1, 1, 1, 1, 1, 1]
    assert "--devices" in found.pretrainings[2].command()
