"""The schema of `result.json`: what it accepts, what makes an identity, and what a broken file says."""

import json
import runpy
from pathlib import Path

import pytest
from pydantic import ValidationError

from pretrain.core.errors import RecordError
from transfer.record import read, write

made = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))["made"]


def _edited(tmp_path, **changes):
    """A good record's file with some fields of its JSON replaced, or removed where the value is `...`."""
    path = tmp_path / "result.json"
    write(made(), path)
    plain = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in plain.items() if value is not ...}), encoding="utf-8")
    return path


def test_a_record_survives_the_file_and_leaves_nothing_else_there(tmp_path):
    record = made("coco-c4", {"AP_box": 1.25, "AP_seg": None}, changed={"steps": [1, 2]}, notes=("ünïcode",))
    write(record, tmp_path / "result.json")
    assert read(tmp_path / "result.json") == record
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_the_identity_is_not_stored_in_the_file(tmp_path):
    write(made(), tmp_path / "result.json")
    assert "identity" not in json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "measure"},
        {"task": "knn"},
        {"protocol": "other"},
        {"version": 2},
        {"changed": {"iters": 3}},
        {"engine": "detectron2"},
        {"run_seed": 1},
        {"sha256": "other"},
        {"of_fingerprint": "other"},
    ],
)
def test_what_ran_makes_the_identity(change):
    assert made(**{"sha256": "x"} | change).identity != made(sha256="x").identity


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"top1": 1.0}},
        {"finished": "2031-01-01T00:00:00+00:00"},
        {"command": "another"},
        {"wall_seconds": 1.0},
        {"of_name": "copied elsewhere"},
        {"notes": ("something",)},
        {"schedule": "said otherwise"},
    ],
)
def test_what_came_of_it_and_where_it_lay_does_not_make_the_identity(change):
    assert made(**change).identity == made().identity


def test_the_identity_does_not_depend_on_the_order_of_the_changes():
    assert made(changed={"a": 1, "b": 2}).identity == made(changed={"b": 2, "a": 1}).identity


@pytest.mark.parametrize(
    ("name", "value"), [("top1", 0.0), ("top1", 100.0), ("AP", None), ("Ldiv", -1.0), ("uniformity", -7.5)]
)
def test_metrics_within_their_range_or_absent_are_accepted(name, value):
    assert made(metrics={name: value}).metrics == {name: value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top1", 100.1),
        ("top1", -0.1),
        ("Linv", 1.1),
        ("Ldiv", 50.0),
        ("AP", float("nan")),
        ("AP", float("inf")),
        ("loss", float("nan")),
        ("loss", float("-inf")),
    ],
)
def test_metrics_out_of_range_and_nan_are_refused_by_name(name, value):
    with pytest.raises(ValidationError, match=rf"metric {name} is|metrics\.{name}\n.*finite number"):
        made(metrics={name: value})


def test_a_nan_outside_the_metrics_is_never_written(tmp_path):
    with pytest.raises(ValueError, match=r"(?i)nan"):
        write(made(wall_seconds=float("nan")), tmp_path / "result.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "not json", '{"schema_version": 1', "\x00"])
def test_a_truncated_file_is_named_with_its_path(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError) as error:
        read(path)
    assert f"can't read the record {path}" in str(error.value)


def test_a_file_that_is_no_text_is_named_with_its_path(tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(RecordError, match=r"can't read the record .*result\.json"):
        read(path)


@pytest.mark.parametrize("version", [0, 1, 3, "2", None, ...])
def test_an_unknown_schema_version_is_named_with_the_known_one(tmp_path, version):
    path = _edited(tmp_path, schema_version=version)
    with pytest.raises(RecordError) as error:
        read(path)
    assert f"{path} has an unknown schema version" in str(error.value)
    assert "allowed: 2" in str(error.value)


@pytest.mark.parametrize("plain", ["[]", "1", "null", '"text"'])
def test_json_that_is_no_record_is_an_unknown_version_not_a_crash(tmp_path, plain):
    path = tmp_path / "result.json"
    path.write_text(plain, encoding="utf-8")
    with pytest.raises(RecordError, match="unknown schema version"):
        read(path)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"checkpoint": ...}, "checkpoint"),
        ({"extra": 1}, "extra"),
        ({"data": {"name": "x"}}, "data.layout"),
        ({"kind": "x"}, "kind"),
    ],
)
def test_a_record_that_is_not_whole_names_the_field(tmp_path, changes, place):
    path = _edited(tmp_path, **changes)
    with pytest.raises(RecordError) as error:
        read(path)
    assert f"{path} is not a whole record: {place}" in str(error.value)


def test_a_nan_in_the_file_is_named_with_its_path_and_metric(tmp_path):
    path = _edited(tmp_path, metrics={"AP50": float("nan")})
    with pytest.raises(RecordError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "metrics.AP50" in str(error.value)
    assert "finite number" in str(error.value)
