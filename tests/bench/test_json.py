"""`--json`: one object on standard output and nothing else there, of documented fields, that says what the text says."""

import json
import re
import runpy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from bench import answers
from bench.cli import listing
from bench.cli.fields import declared
from pretrain import methods

TESTS = Path(__file__).parents[1]
TINY = runpy.run_path(str(TESTS / "transfer" / "tiny_scenes.py"))
_shared = runpy.run_path(str(TESTS / "sample_records.py"))
made, lay, sample = (_shared[name] for name in ("made", "lay", "sample"))

Typed = Callable[..., int]
Asked = Callable[..., tuple[dict[str, Any], str, int]]
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def asked(typed: Typed, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Runs a command as text and with `--json`: its answer, the text, and the exit code, which is that of both."""

    def run(*words: str, answer: type[answers.Answer]) -> tuple[dict[str, Any], str, int]:
        code = typed(*words)
        text = capsys.readouterr().out
        assert typed(*words, "--json") == code
        shown = capsys.readouterr().out
        assert shown.isascii()
        said: dict[str, Any] = json.loads(shown)
        read = TypeAdapter(answer).validate_json(shown, strict=True)
        assert TypeAdapter(answer).dump_python(read) == said, "each field is documented, and none is missing"
        return said, text, code

    return run


def _flat(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize(
    "words", [*([name] for name in listing.LISTS), ["tasks", "coco-fpn"], ["methods", "dino"]], ids=" ".join
)
def test_a_list_has_an_entry_for_each_line(words: list[str], asked: Asked) -> None:
    said, text, code = asked("ls", *words, answer=answers.Listed)
    assert (code, [said["what"], *filter(None, [said["name"]])]) == (0, words)
    if words == ["runs"]:
        assert (said["entries"], text) == ([], "no runs yet\n")
    else:
        assert _flat("".join(entry["name"] + entry["about"] for entry in said["entries"])) == _flat(text)


def test_values_of_lists_are_numbers_and_lists(asked: Asked) -> None:
    tasks = {entry["name"]: entry for entry in asked("ls", "tasks", answer=answers.Listed)[0]["entries"]}
    assert tasks["coco-c4"]["value"] == {
        "layout": "coco",
        "metrics": ["AP_box", "AP50_box", "AP75_box", "AP_seg", "AP50_seg", "AP75_seg"],
        "schedules": ["1x", "2x"],
        "schedule": "2x",
    }
    of = {entry["name"]: entry["value"] for entry in asked("ls", "methods", "mocov2", answer=answers.Listed)[0]["entries"]}
    assert (of["method.queue"], of["version"], of["blends"]) == (65536, methods.get("mocov2").version, True)
    lay([made("linear", {"top1": 1 / 3})], Path("runs"))
    Path("runs/r00/config.yaml").touch()
    (run,) = asked("ls", "runs", answer=answers.Listed)[0]["entries"]
    assert (run["name"], run["about"], run["value"]) == (
        "runs/r00",
        "top1 0.33",
        {"finished": True, "metrics": {"top1": 1 / 3}},
    )


def test_the_doctor_has_an_entry_for_each_line(asked: Asked) -> None:
    said, text, code = asked("doctor", answer=answers.Examined)
    found = {each["what"]: each for each in said["findings"]}
    assert code == 0
    assert [line.split("  ")[0] for line in text.splitlines()[1:]] == list(found)
    assert (found["engine probe"]["found"], found["engine probe"]["to_do"]) == ("ready", "")
    assert found["BENCH_DATA"]["to_do"] in text


def test_good_data_is_counted_by_class(asked: Asked) -> None:
    said, text, code = asked("data", "check", "--task", "knn", "--data", "images", answer=answers.Checked)
    assert (code, said["good"], said["problem_count"], said["problems"]) == (0, True, 0, [])
    assert (said["task"], said["layout"], said["data"], said["unit"]) == ("knn", "imagefolder", "images", "images")
    assert said["counts"] == [{"name": "images", "train": 16, "val": 8}]
    assert said["classes"] == [{"name": name, "train": 8, "val": 4} for name in ("ant", "bee")]
    assert all(f"to know: {note}" in text for note in said["notes"])


def test_shares_of_pixels_are_numbers(asked: Asked) -> None:
    root = TINY["lay"](Path("scenes"), train=4, val=2)
    said, text, _ = asked("data", "check", "--task", "cityscapes", "--data", str(root), answer=answers.Checked)
    assert said["notes"]
    assert sum(each["train"] for each in said["classes"]) == pytest.approx(100)
    assert all(f"{each['train']:.2f} %" in text for each in said["classes"] if each["train"])


def test_what_is_wrong_with_data_is_an_answer_and_the_exit_code_2(asked: Asked) -> None:
    for name in ("猫", "dog"):
        folder = Path("images/train/ant") / f"{name}.png"
        folder.write_text("no image")
    said, text, code = asked("data", "check", "--task", "knn", "--data", "images", answer=answers.Checked)
    assert (code, said["good"], said["problem_count"], "0x" in text) == (2, False, 2, False)
    assert all(any(f"{name}.png" in each["wrong"] for each in said["problems"]) for name in ("dog", "猫"))
    assert all(each["message"] in text and each["cases"] == 1 for each in said["problems"])
    Path("empty").mkdir()
    said, text, code = asked("data", "check", "--task", "cityscapes", "--data", "empty", answer=answers.Checked)
    assert (code, said["counts"], said["problem_count"]) == (2, [], 1)


def test_a_wrong_question_is_a_message_and_no_answer(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["ls", "taskz"], ["data", "check", "--task", "knn", "--data", "gone"], ["report", "gone"]):
        assert typed(*words, "--json") == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("bench: ")


def test_a_report_says_its_numbers_claims_and_files(asked: Asked) -> None:
    lay(sample(), Path("runs"))
    said, text, code = asked("report", answer=answers.Reported)
    assert (code, said["left_out"], said["study"]) == (0, [], None)
    assert said["records"] == len(sample())
    assert said["notice"] in text
    assert said["rows"] == ["random (untrained)", "mocov2 · none", "mocov2 · cutmix"]
    numbers = {(each["row"], each["task"], each["metric"]): each for each in said["numbers"]}
    best = numbers["mocov2 · cutmix", "linear", "top1"]
    assert (best["mean"], best["std"], best["pretrainings"], best["trials"]) == (62.5, pytest.approx(0.5**0.5), 2, 1)
    assert (best["mark"], best["answer"], best["against"], best["difference"]) == ("?", "undecided", "mocov2 · none", 2.5)
    whole = json.loads(Path("leaderboard.json").read_text())
    assert {each["protocol"] for each in said["numbers"]} <= {each["protocol_id"] for each in whole["columns"]}
    assert _flat(said["prediction"]) in _flat(text)
    verdicts = Counter(each["verdict"] for each in said["claims"])
    summed = f"Of {len(said['claims'])} claims: 0 supported, 0 contradicted, {verdicts['undecided']} undecided"
    assert _flat(summed) in _flat(text)
    assert sorted(said["written"]) == sorted(map(str, Path().glob("leaderboard.*")))


def test_claims_that_the_runs_say_something_of_are_told_with_their_verdicts(asked: Asked) -> None:
    found = {"none": (0.80, 0.802, 0.799), "cutout": (0.70, 0.701, 0.702)}
    seeds = [(aug, seed, {"Linv": value, "Ldiv": value}) for aug, values in found.items() for seed, value in enumerate(values)]
    lay([made("representation", both, kind="measure", seed=seed, aug=aug) for aug, seed, both in seeds], Path("runs"))
    said, text, _ = asked("report", answer=answers.Reported)
    assert {each["verdict"] for each in said["claims"]} == {"supported", "undecided"}
    assert all(_flat(f"{each['verdict']}: {each['claim']}") in _flat(text) for each in said["claims"])


def test_records_that_are_left_out_are_in_the_answer(asked: Asked) -> None:
    broken = lay([made(), made(aug="mixup")], Path("runs"))[1]
    broken.write_text("{")
    said, _, code = asked("report", answer=answers.Reported)
    assert (code, said["records"], said["left_out"][0]["path"]) == (2, 1, str(broken))


def test_the_difference_of_two_folders_is_an_answer(asked: Asked) -> None:
    lay([made(), made("knn", {"knn": 40.0}), made("linear", {"top1": 3.0}, aug="mixup")], Path("one"))
    lay([made(), made("knn", {"knn": 42.0}), made("linear", {"top1": 3.0}, aug="cutmix")], Path("two"))
    said, text, code = asked("report", "--diff", "one", "two", answer=answers.Compared)
    found = {each["change"]: each for each in said["changes"]}
    assert (code, said["same"], len(said["changes"])) == (0, 1, 3)
    assert text.splitlines()[-1] == "1 new, 1 gone, 1 changed, 1 the same"
    assert (found["changed"]["metric"], found["changed"]["before"], found["changed"]["after"]) == ("knn", 40.0, 42.0)
    assert (found["new"]["before"], found["new"]["after"], found["gone"]["after"]) == (None, 3.0, None)


def test_images_without_pixels_to_decode_are_said_to_be_looked_at_so_far(asked: Asked) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("images/train/ant/more.png")
    for option, looked in ((), "images"), (("--headers",), "headers"), (("--no-images",), "lists"):
        said, _, _ = asked("data", "check", "--task", "knn", "--data", "images", *option, answer=answers.Checked)
        assert (said["looked"], said["counts"][0]["train"]) == (looked, 17)


@pytest.mark.parametrize("answer", answers.ANSWERS.values(), ids=lambda answer: answer.__name__)
def test_every_field_of_an_answer_is_documented(answer: type[answers.Answer]) -> None:
    for each in answers.parts(answer):
        documented = {name for of in each.__mro__[:-1] for name, _, _ in declared(f"bench/answers.py:{of.__name__}")}
        assert documented == set(each.__dataclass_fields__)
