"""Large JSON files by entries: what is read, in windows of any size, and what is said of what can't be."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pretrain.core.errors import DataError
from transfer.datasets import jsonlists, stop

CONTENT: dict[str, Any] = {
    "info": {"year": 2017, "deep": [[1.5e-3, -2, None, True]], "text": 'a "quoted" [bracket], {brace}'},
    "version": 1.25e-10,
    "pictures": [{"id": 1, "name": "é\u2028\U0001f40d"}, {"id": 20, "name": ""}],
    "others": [1, -2.5e-7, "three", [4], {"five": 5}, None, True],
    "nothing": [],
    "objects": [{"box": [1.0, 2.25, -3e2], "of": 20}] * 5,
}


def read(path: Path, *names: str) -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = {name: [] for name in names}
    takers = {name: lambda place, entry, name=name: found[name].append((place, entry)) for name in names}
    jsonlists.read_lists(path, takers, stop)
    return found


@pytest.mark.parametrize("indent", [None, 3])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 2**20])
def test_windows_of_any_size_give_the_same_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(jsonlists, "CHUNK", chunk)
    path = tmp_path / "some.json"
    path.write_text(json.dumps(CONTENT, indent=indent, ensure_ascii=False), encoding="utf-8")
    found = read(path, "pictures", "nothing", "objects")
    for name, entries in found.items():
        assert entries == list(enumerate(CONTENT[name]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty file"),
        ("[1]", "Expecting { at character 0, '[1]'"),
        ("version https://git-lfs", "'version https://git-lfs'"),
        ('{"a": [{}, {}', "Expecting , or ] where the file ends after a[1]"),
        ('{"a": [{}, {"b": }]}', "Expecting value at character 17 after a[0], '}]}'"),
        ('{"a": [{}]} {}', "Extra data"),
        ('{"a": [{}] "b"}', "Expecting , or }"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"a": [{"b": ' + "9" * 5000 + "}]}", "4300 digits"),
        ('{"a": {}}', "no list 'a'"),
        ('{"b": []}', "no list 'a'"),
        ('{"a": [], "a": []}', "twice"),
        ('{"a": [3]}', "a[0] in "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read(path, "a")
    assert words in str(caught.value).replace("Expecting value:", "Expecting value")
    assert str(path) in str(caught.value)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_bytes(b'{"a": [{"b": "\xff"}]}')
    with pytest.raises(DataError, match="utf-8"):
        read(tmp_path / "some.json", "a")


def test_an_entry_of_any_size_is_refused_before_it_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlists, "CHUNK", 100)
    monkeypatch.setattr(jsonlists, "LARGEST", 1000)
    path = tmp_path / "some.json"
    path.write_text(json.dumps({"a": [{"b": "x" * 500}, {"b": "x" * 50_000}]}))
    with pytest.raises(DataError, match=r"more than 1000 characters after a\[0\]"):
        read(path, "a")


def test_the_reader_goes_on_after_a_wrong_entry_where_it_is_only_told(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text('{"a": [{"b": 1}, 7, {"b": 2}]}')
    problems: list[DataError] = []
    taken: list[Any] = []
    jsonlists.read_lists(path, {"a": lambda place, entry: taken.append((place, entry["b"]))}, problems.append)
    assert taken == [(0, 1), (2, 2)]
    assert [problem.wrong for problem in problems] == [f"a[1] in {path} is not an object"]
