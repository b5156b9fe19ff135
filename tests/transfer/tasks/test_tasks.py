"""The table of tasks and the layouts that they name."""

import pytest
from pydantic import ValidationError

from transfer import tasks
from transfer.datasets import LAYOUTS


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_tasks_layout_is_in_the_table(name: str) -> None:
    assert tasks.get(name).layout in LAYOUTS


def test_an_unknown_layout_is_refused() -> None:
    plain = {field: getattr(tasks.get("knn"), field) for field in type(tasks.get("knn")).model_fields}
    with pytest.raises(ValidationError, match="one of imagefolder, voc, coco, cityscapes"):
        tasks.Task(**{**plain, "layout": "cityscape"})
