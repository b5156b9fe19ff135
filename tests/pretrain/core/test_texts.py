"""Text in whatever encoding: what is read, and what is said of what can't be."""

import gzip
from pathlib import Path

import pytest

from pretrain.core import texts
from pretrain.core.errors import ConfigError, DataError

TEXT = "café, 猫\r\n"
CODES = {
    "plain": TEXT.encode(),
    "with a mark": TEXT.encode("utf-8-sig"),
    "UTF-16, little end first": TEXT.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "UTF-16 without a mark": TEXT.encode("utf-16-le"),
    "UTF-32": TEXT.encode("utf-32"),
    "packed": gzip.compress(TEXT.encode()),
    "packed, with a mark": gzip.compress(TEXT.encode("utf-16")),
}


@pytest.mark.parametrize("data", CODES.values(), ids=CODES)
def test_a_text_is_read_whole_and_as_a_stream_whatever_its_marks(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert texts.read_text(path, 1000) == TEXT
    with texts.opened(path) as file:
        assert file.read() == TEXT.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("encoding", "text", "likely"),
    [
        ("gbk", "猫 and 狗, 图片\n", "gbk"),
        ("latin-1", "grün, café\n", "latin-1"),
        ("latin-1", "carré'\n", "latin-1"),
        ("cp1252", "“grün”\n", "cp1252"),
    ],
)
def test_another_encoding_is_named_with_the_command_that_recodes_it(
    tmp_path: Path, encoding: str, text: str, likely: str
) -> None:
    path = tmp_path / "my list.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(ConfigError, match="another encoding") as caught:
        texts.read_text(path, 1000, ConfigError)
    assert f"likely {likely}" in str(caught.value)
    assert f"iconv -f {likely} -t utf-8 '{path}'" in str(caught.value)


@pytest.mark.parametrize("declared", ["gb2312", "GBK", "gb18030"])
def test_a_declared_encoding_is_read_and_utf_8_under_a_wrong_declaration_too(declared: str) -> None:
    path = Path("a.xml")
    assert texts.decoded("镕".encode("gbk"), path, declared=declared) == "镕"  # GB 2312 itself lacks this character
    assert texts.decoded("grün".encode(), path, declared="us-ascii") == "grün"
    assert texts.decoded("grün".encode(), path, declared="utf-16") == "grün"
    for wrong in ("no-such", "punycode", "hex"):
        with pytest.raises(DataError, match="unknown encoding"):
            texts.decoded(b"a", path, declared=wrong)


def test_a_file_is_bounded_packed_or_not(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for data in (b"a" * 11, gzip.compress(b"a" * 11)):
        path.write_bytes(data)
        with pytest.raises(DataError, match="too large"):
            texts.read(path, 10)
    path.write_bytes(gzip.compress(b"a" * 11)[:-9])
    with pytest.raises(DataError, match="can't unpack"):
        texts.read(path, 100)
    with pytest.raises(DataError, match="not a file"):
        texts.read(Path("/dev/zero"), 10)


def test_the_head_of_a_short_text_tells_its_encoding() -> None:
    assert [texts.encoding_of(head) for head in (b"", b"a", b"\0\0", b"ab")] == ["utf-8"] * 4


@pytest.mark.parametrize(("data", "what"), [(b"PK\3\4\x14\0\xff", "a zip"), (b"\x89PNG\r\n\x1a\n", "a PNG")])
def test_what_is_no_text_is_called_what_it_is(tmp_path: Path, data: bytes, what: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(DataError, match=rf"it is no text\n.*{what}"):
        texts.read_text(tmp_path / "a.json", 1000)
