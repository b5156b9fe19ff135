"""The base pipelines: published values, and a view as torchvision's operations make it one image at a time."""

import itertools

import pytest
import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from pretrain.augment import ops, pipelines
from pretrain.augment.pipelines import PIPELINES, Pipeline
from pretrain.config import PretrainConfig
from pretrain.core.errors import ConfigError

ALL = [(name, view) for name in PIPELINES for view in (0, 1)]


def rng(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


CROPS = torch.rand(64, 3, 24, 20, generator=rng(0))


def one_by_one(pipeline: Pipeline, crops: Tensor, seed: int) -> Tensor:
    """The definition: for each image, torchvision's operations in the pipeline's order, on the parameters it draws."""
    table = torch.rand(len(pipelines._DRAWN), len(crops), generator=rng(seed))
    drawn = [dict(zip(pipelines._DRAWN, column.tolist(), strict=True)) for column in table.T]
    return torch.stack([_view(pipeline, crop, draw) for crop, draw in zip(crops, drawn, strict=True)])


def _view(pipeline: Pipeline, image: Tensor, draw: dict[str, float]) -> Tensor:
    low, high = pipeline.blur_sigma
    sigma = low + (high - low) * draw["sigma"]
    kernel = 2 * ops.reach_of(high) + 1
    for operation in pipeline.order:
        if draw[operation] >= getattr(pipeline, operation):
            continue
        if operation == "jitter":
            image = _jittered(pipeline, image, draw)
        elif operation == "grey":
            image = F.rgb_to_grayscale(image, 3)
        elif operation == "blur":
            image = F.gaussian_blur(image, [kernel, kernel], [sigma, sigma])
        elif operation == "solarize":
            image = F.solarize(image, pipeline.solarize_threshold / 255)
        else:
            image = F.horizontal_flip(image)
    return image


def _jittered(pipeline: Pipeline, image: Tensor, draw: dict[str, float]) -> Tensor:
    names = ("brightness", "contrast", "saturation", "hue")
    for name in list(itertools.permutations(names))[int(24 * draw["order"])]:
        amount = getattr(pipeline, name) * (2 * draw[name] - 1)
        image = getattr(F, f"adjust_{name}")(image, amount if name == "hue" else 1 + amount)
    return image


@pytest.mark.parametrize(("name", "view"), ALL)
def test_a_view_is_torchvisions_operations_in_order_on_its_own_parameters(name: str, view: int) -> None:
    pipeline = PIPELINES[name][view]
    difference = (pipeline(CROPS, rng(7)) - one_by_one(pipeline, CROPS, 7)).abs().amax(dim=1)
    # Solarising is a jump: a pixel within rounding of the threshold may fall on its other side.
    assert float((difference > 2 / 255).float().mean()) < 1e-4
    assert not torch.equal(pipeline(CROPS, rng(7)), CROPS)


def test_the_order_matters_and_is_the_pipelines() -> None:
    steps = {"jitter": 1, "grey": 1, "blur": 1, "solarize": 1, "flip": 1}
    for order in (["solarize", "blur", "grey"], ["grey", "jitter"], ["jitter", "grey", "solarize"]):
        pipeline = Pipeline().replace({**steps, "order": order})
        torch.testing.assert_close(pipeline(CROPS, rng()), one_by_one(pipeline, CROPS, 1), rtol=0, atol=2 / 255)
    first = Pipeline().replace({**steps, "order": ["grey", "jitter"]})(CROPS, rng())
    last = Pipeline().replace({**steps, "order": ["jitter", "grey"]})(CROPS, rng())
    assert (first - last).abs().max() > 2 / 255


def test_the_pipelines_have_their_published_values() -> None:
    v1, v2, byol, symmetric = (PIPELINES[name] for name in ("mocov1", "mocov2", "byol", "byol-symmetric"))
    assert [len({str(view) for view in pair}) for pair in (v1, v2, byol, symmetric)] == [1, 1, 2, 1]
    assert v1[0].order == ("grey", "jitter", "flip")
    assert strengths(v1[0]) == (0.2, 1.0, 0.4, 0.4, 0.4, 0.4, 0.2)
    assert strengths(v2[0]) == (0.2, 0.8, 0.4, 0.4, 0.4, 0.1, 0.2)
    assert (v2[0].blur, v2[0].solarize, v2[0].blur_sigma) == (0.5, 0.0, (0.1, 2.0))
    for view in (*byol, *symmetric):
        assert strengths(view) == (0.08, 0.8, 0.4, 0.4, 0.2, 0.1, 0.2)
        assert view.order == ("flip", "jitter", "grey", "blur", "solarize")
        assert (view.flip, view.blur_sigma, view.solarize_threshold) == (0.5, (0.1, 2.0), 128)
    assert [(view.blur, view.solarize) for view in (*byol, symmetric[0])] == [(1.0, 0.0), (0.1, 0.2), (0.5, 0.2)]


def strengths(view: Pipeline) -> tuple[float, ...]:
    jitter = (view.jitter, view.brightness, view.contrast, view.saturation, view.hue)
    return view.crop_scale[0], *jitter, view.grey


@pytest.mark.parametrize(("name", "view"), ALL)
def test_a_view_stays_in_range_repeats_itself_and_leaves_the_crop_alone(name: str, view: int) -> None:
    before = CROPS.clone()
    first, second = PIPELINES[name][view](CROPS, rng(2)), PIPELINES[name][view](CROPS, rng(2))
    assert torch.equal(first, second)
    assert torch.equal(CROPS, before)
    assert float(first.min()) >= -1e-6
    assert float(first.max()) <= 1 + 1e-6


def test_the_layout_in_memory_changes_nothing() -> None:
    pipeline = PIPELINES["byol"][1]
    channels_last = CROPS.contiguous(memory_format=torch.channels_last)
    assert torch.equal(pipeline(channels_last, rng()), pipeline(CROPS, rng()))


def test_a_pipeline_with_every_operation_off_changes_nothing() -> None:
    off = Pipeline().replace({"jitter": 0, "grey": 0, "blur": 0, "flip": 0})
    assert torch.equal(off(CROPS, rng()), CROPS)
    assert torch.equal(Pipeline().replace({"order": []})(CROPS, rng()), CROPS)


def test_each_operation_applies_with_its_probability() -> None:
    crops = CROPS[:1, :, :6, :6].expand(2000, -1, -1, -1)
    for name in ("jitter", "grey", "blur", "solarize", "flip"):
        only = Pipeline().replace({"jitter": 0, "grey": 0, "blur": 0, "flip": 0, name: 0.3})
        changed = (only(crops, rng()) != crops).flatten(1).any(dim=1).float().mean()
        assert 0.26 < float(changed) < 0.34


def test_switching_an_operation_off_leaves_what_is_drawn_for_the_others() -> None:
    full = PIPELINES["byol-symmetric"][0]
    with_grey, without = full(CROPS, rng()), full.replace({"grey": 0})(CROPS, rng())
    differ = (with_grey != without).flatten(1).any(dim=1)
    assert 0.05 < float(differ.float().mean()) < 0.4  # a fifth turned grey
    assert (with_grey[differ][:, :1] - with_grey[differ]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jitter": 1.5}, "'jitter'"),
        ({"grey": -0.1}, "'grey'"),
        ({"hue": 0.6}, "'hue'"),
        ({"brightness": -1}, "'brightness'"),
        ({"blur_sigma": [0, 2]}, "blur_sigma"),
        ({"blur_sigma": [2, 0.1]}, "lower bound first"),
        ({"crop_scale": [0.5, 1.5]}, "crop_scale"),
        ({"crop_ratio": [2, 0.5]}, "lower bound first"),
        ({"solarize_threshold": 300}, "solarize_threshold"),
        ({"order": ["grey", "grey"]}, "at most once"),
        ({"order": ["gray"]}, "order"),
        ({"solarise": 0.2}, "did you mean 'solarize'"),
    ],
)
@pytest.mark.parametrize("field", ["pipeline_options", "key_pipeline_options"])
def test_options_out_of_range_are_refused_by_name(field: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        PretrainConfig.read({field: options})
    assert field in str(refused.value)


def test_options_reach_both_views_and_the_keys_own_have_the_last_word() -> None:
    config = PretrainConfig.read(
        {"pipeline": "byol", "pipeline_options": {"grey": 0, "blur": 0.3}, "key_pipeline_options": {"blur": 0.7}}
    )
    query, key = config.recipe.pipelines()
    assert (query.grey, query.blur, query.solarize) == (0, 0.3, 0)
    assert (key.grey, key.blur, key.solarize) == (0, 0.7, 0.2)
    with pytest.raises(ConfigError, match="did you mean 'byol'"):
        PretrainConfig.read({"pipeline": "byl"})
