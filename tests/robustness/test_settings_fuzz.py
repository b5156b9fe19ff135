"""Every field of every configuration under arbitrary values: a valid configuration, or one message."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench import places
from pretrain.config import PretrainConfig
from pretrain.core import plain
from pretrain.core.errors import BenchError, ConfigError
from pretrain.core.settings import Settings, assignments, digest
from transfer import tasks
from transfer.representation.measure import MeasureSettings

NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400, 1e308, -0.0, 5e-324])
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["mocov2", "cutmix+mixup", "x" * 5000, "a\0b", "/dev/zero", "/", "\udcff", "~", "1e999"]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | st.binary(max_size=4) | st.dates()
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXTS | st.integers(), inside, max_size=3),
    max_leaves=6,
)
FAMILIES: dict[str, Settings] = {
    "pretrain": PretrainConfig.read({}),
    "measure": MeasureSettings(),
    **{name: tasks.get(name).settings for name in tasks.TASKS},
}
QUICK = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def changed(base: Settings, values: dict[str, Any]) -> Settings | None:
    """The configuration with these values, if it can be; used as a run uses it."""
    try:
        made = base.replace(values)
    except BenchError:
        return None
    digest(made.numbers())
    assert type(made).read(made.model_dump()) == made
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_any_value_of_any_field_is_valid_or_one_message(family: str) -> None:
    base = FAMILIES[family]

    @QUICK
    @given(st.dictionaries(st.sampled_from(sorted(type(base).model_fields)), VALUES, min_size=1, max_size=3))
    def check(values: dict[str, Any]) -> None:
        changed(base, values)

    check()


@pytest.mark.parametrize(
    "value", [None, True, -1, 0, 2**63, 10**400, float("nan"), 1e308, "", "x" * 5000, "\0", [], [[]], {}, {"": {}}]
)
def test_each_field_of_each_family_refuses_or_takes_an_extreme(value: Any) -> None:
    tried = [changed(base, {field: value}) for base in FAMILIES.values() for field in type(base).model_fields]
    assert len(tried) > 100


@QUICK
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin1")))
@example("a: 2024-13-45")
@example("!!int x")
@example("!!float ''")
@example("!!bool x")
@example("!!timestamp x")
@example("a: " + "9" * 5000)
@example("[" * 3000)
@example("a: !!python/object/apply:os.system ['touch ran']")
@example("&a [*a]")
def test_any_text_is_yaml_or_one_message(text: str) -> None:
    with contextlib.suppress(ConfigError):
        plain.parse(text, where="a test")
    assert not Path("ran").exists()


def laughs(levels: int) -> str:
    """Lists of ten lists of ten lists: a line for each level."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (laughs(12), "more than 200,000 values, written out"),
        ("base: &b {lr: 1}\nmine:\n  <<: *b\n", "merges (<<) are not read"),
        ("lr: 1\nepochs: 2\nlr: 3\n", "the key 'lr' occurs twice"),
        ("a: " + "9" * 60, "an integer of 200 bits"),
        ("a: .nan", "finite numbers"),
        ("a: 2024-01-01", "text (in quotes)"),
        ("a: !!binary aGVsbG8=", "text (in quotes)"),
        ("a: &a [*a]", "deep"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("- 1", "is not a configuration"),
    ],
)
def test_a_hostile_file_is_refused_with_its_reason(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        places.read_config("pretrain", str(tmp_path / "a.yaml"))
    assert words in str(caught.value)


def test_bytes_that_are_no_text_and_files_without_an_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"lr: \xff\xfe")
    with pytest.raises(ConfigError, match="can't read"):
        plain.read_yaml(tmp_path / "a.yaml")
    for field in ("label_list", "label_map"):
        with pytest.raises(ConfigError, match="not a file"):
            PretrainConfig.read({field: "/dev/zero", "supervision": "semi"})


@QUICK
@given(
    st.lists(
        st.text(max_size=30) | st.tuples(st.sampled_from(sorted(PretrainConfig.model_fields)), TEXTS).map("=".join), max_size=4
    )
)
@example(["lr=" + "[" * 2000])
@example(["seed=" + "9" * 5000])
def test_any_assignment_is_taken_or_one_message(words: list[str]) -> None:
    try:
        values = assignments(words)
    except ConfigError:
        return
    changed(FAMILIES["pretrain"], values)
