"""Which engine runs a task."""

import pytest

from pretrain.core.errors import EngineError
from transfer import engines, tasks


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(engines, "missing", lambda name: "it" if name in names else None)


def test_detectron2_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    assert engines.choose(tasks.get("coco-fpn")) == "detectron2"
    without(monkeypatch, "detectron2")
    assert engines.choose(tasks.get("coco-fpn")) == "torchvision"


def test_the_engine_asked_for_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    assert engines.choose(tasks.get("voc07"), "torchvision") == "torchvision"


@pytest.mark.parametrize(
    ("task", "name", "words"),
    [
        ("voc07", "mmseg", "voc07 can't run on the engine 'mmseg'\n  allowed: detectron2, torchvision"),
        ("voc07", "detectron2", "needs 'it', which is not installed"),
        ("voc07", None, "no engine for 'voc07' is installed"),
    ],
)
def test_an_engine_that_can_not_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, task: str, name: str | None, words: str
) -> None:
    without(monkeypatch, "detectron2", "torchvision")
    with pytest.raises(EngineError, match=words):
        engines.choose(tasks.get(task), name)


def test_what_an_engine_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engines.missing("torchvision") is None
    monkeypatch.setitem(engines.ENGINES, "torchvision", engines.EngineInfo("a:A", ("torch", "no_such_package", "nor_this")))
    assert engines.missing("torchvision") == "no_such_package"
