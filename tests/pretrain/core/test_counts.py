"""Numbers of things in words."""

import pytest

from pretrain.core.counts import counted


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 classes"), (1, "1 class"), (2, "2 classes"), (12_345, "12,345 classes"), (1.0, "1 class"), (0.5, "0.5 classes")],
)
def test_one_is_one_and_any_other_number_several(number: float, said: str) -> None:
    assert counted(number, "class", "classes") == said


def test_a_regular_name_needs_no_second_one() -> None:
    assert (counted(1, "epoch"), counted(200, "epoch")) == ("1 epoch", "200 epochs")
