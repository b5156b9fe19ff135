"""One pass over images: what it repeats, what parts and probes change, on 32-pixel images and an untrained backbone."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Journal
from pretrain.images import imageset as image_sets
from pretrain.images.crops import CentreCrop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, in_order, loader
from pretrain.inputs import generator, normalised
from pretrain.parts.heads import Norm, mlp
from transfer import sources
from transfer.representation import definitions, spectrum
from transfer.representation import measure as module
from transfer.representation.features import extractor
from transfer.representation.measure import Measured, MeasureSettings, measure, shuffled
from transfer.sources import Backbone

BACKBONE = sources.load("random:resnet18:0")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for cls in ("ant", "bee"):
        (root / "val" / cls).mkdir(parents=True)
        for i in range(12):
            coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((40, 40)).save(root / "val" / cls / f"{i:02}.png")
    return image_sets.read(root, "val")


def measured(
    images: ImageSet, /, *, seed: int = 0, splits: int = 1, backbone: Backbone = BACKBONE, **settings: object
) -> list[Measured]:
    plain = MeasureSettings.read({"views": 4, "size": 32, "batch": 8, **settings})
    return measure(backbone, images, plain, Journal(), seed=seed, device="cpu", splits=splits)


def test_the_pass_is_the_definitions_on_the_features_of_the_same_views(images: ImageSet) -> None:
    from pretrain.augment.pipelines import PIPELINES
    from pretrain.images.crops import CentreCrop, Crop
    from pretrain.images.loading import Crops

    pipeline, model = PIPELINES["mocov2"][0], extractor(BACKBONE, "cpu")[0]
    cuts = [CentreCrop(32), *[Crop(32, pipeline.crop_scale, pipeline.crop_ratio)] * 4]
    draw = Crops(images, images.labels, cuts, seed=3)
    linv, ldiv, anchors = [], [], []
    with torch.inference_mode():
        for batch, positions in enumerate(shuffled(24, 8, seed=3)):
            crops, _, _ = draw.__getitems__([(0, index) for index in positions.tolist()])
            rng = generator(3, batch)
            views = torch.stack([model(normalised(pipeline(crop.float() / 255, rng))) for crop in crops[1:]], dim=1)
            anchors.append(model(normalised(crops[0].float() / 255)))
            linv.append(definitions.invariance(anchors[-1], views))
            ldiv.append(definitions.view_similarity(views))
    metrics = measured(images, seed=3)[0].metrics
    assert metrics["Linv"] == pytest.approx(float(torch.cat(linv).mean()), abs=1e-5)
    assert metrics["Ldiv"] == pytest.approx(float(torch.cat(ldiv).mean()), abs=1e-5)
    assert metrics["diversity"] == pytest.approx(1 - float(torch.cat(ldiv).mean()), abs=1e-5)
    cap = definitions.diversity_cap(torch.cat(linv), 4).mean()
    assert metrics["diversity_cap"] == pytest.approx(float(cap), abs=1e-5)
    assert metrics["effective_rank"] == pytest.approx(spectrum.measures(torch.cat(anchors))["effective_rank"], rel=1e-4)
    assert (metrics["measured_images"], metrics["feature_dimensions"]) == (24, 512)


def test_a_seed_repeats_itself_and_every_metric_lies_in_its_interval(images: ImageSet) -> None:
    first, second, other = (measured(images, seed=seed)[0] for seed in (0, 0, 1))
    assert first == second
    assert first.metrics["Linv"] != other.metrics["Linv"]
    estimated = {name for name, value in first.metrics.items() if value is not None}
    assert first.intervals.keys() == estimated - {"measured_images", "feature_dimensions"}
    for name in ("Linv", "Ldiv", "diversity", "diversity_cap", "alignment"):
        low, high = first.intervals[name]
        value = first.metrics[name]
        assert value is not None
        assert low < value < high


def test_loader_processes_change_no_number_and_make_no_other_protocol(images: ImageSet) -> None:
    assert measured(images, num_workers=1)[0].metrics == measured(images)[0].metrics
    assert MeasureSettings(num_workers=4).differences(MeasureSettings()) == {}


def test_parts_are_disjoint_and_together_the_whole(images: ImageSet) -> None:
    whole, first, second = measured(images, splits=2)
    alone = measured(images)[0]
    for name in ("Linv", "Ldiv", "alignment", "diversity_cap"):
        halves = [part.metrics[name] or 0.0 for part in (first, second)]
        assert whole.metrics[name] == pytest.approx(sum(halves) / 2, abs=1e-6)
        assert whole.metrics[name] == pytest.approx(alone.metrics[name], abs=1e-6)
        assert halves[0] != halves[1]


def test_parts_move_no_number_of_the_whole_and_no_interval(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only some images are compared with each other."""
    monkeypatch.setattr(module, "MOST_COMPARED", 12)
    alone = measured(images)[0]
    for splits in (2, 4):
        whole = measured(images, splits=splits)[0]
        for name, value in alone.metrics.items():
            assert whole.metrics[name] == (value if value is None else pytest.approx(value, rel=1e-6)), name
        for name, around in alone.intervals.items():
            assert whole.intervals[name] == pytest.approx(around, rel=1e-6), name


def test_batches_are_drawn_from_all_classes_and_all_but_equal() -> None:
    batches = shuffled(500, 16, seed=0)
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(500))
    assert {len(batch) for batch in batches} == {15, 16}
    classes = torch.arange(500) // 25
    same = [(classes[batch][:, None] == classes[batch]).float().mean() for batch in batches]
    assert float(torch.stack(same).mean()) < 0.15  # 1 in 20, and each with itself; in the classes' order it is .8
    assert [batch.tolist() for batch in shuffled(500, 16, seed=0)] == [batch.tolist() for batch in batches]
    assert not torch.equal(torch.cat(shuffled(500, 16, seed=1)), torch.cat(batches))


@pytest.mark.parametrize("probe", ["cutmix", "mixup"])
def test_linv_of_blends_is_the_same_in_class_folders_and_dealt_at_random(tmp_path: Path, probe: str) -> None:
    """Classes of one colour each: a partner of the same class would change next to nothing."""
    rng = np.random.default_rng(0)
    pictures = [np.full((40, 40, 3), 20 + 40 * (i // 20)) + rng.integers(-20, 20, (40, 40, 3)) for i in range(120)]
    found = []
    for name, order in (("classes", np.arange(120)), ("dealt", rng.permutation(120))):
        for place, which in enumerate(order):
            path = tmp_path / name / "val" / f"{place // 20}" / f"{place % 20:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[which].astype(np.uint8)).save(path)
        found.append(measured(image_sets.read(tmp_path / name, "val"), probe=probe)[0].metrics["Linv"])
    assert found[0] == pytest.approx(found[1], abs=0.02)


def test_a_reference_sees_the_same_images_and_is_one_of_itself(images: ImageSet) -> None:
    settings = MeasureSettings.read({"views": 4, "size": 32, "batch": 8})
    found = {}
    for name, reference in (("itself", BACKBONE), ("another", sources.load("random:resnet18:1")), ("none", None)):
        found[name] = measure(BACKBONE, images, settings, Journal(), seed=0, device="cpu", reference=reference)[0]
    assert found["itself"].metrics["CKA"] == pytest.approx(1)
    assert (found["another"].metrics["CKA"] or 2) < 1
    assert "CKA" not in found["none"].metrics
    assert found["itself"].metrics["Linv"] == found["none"].metrics["Linv"]


def test_what_needs_many_images_is_absent_for_few_and_there_for_more(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "val" / "ant").mkdir(parents=True)
    for i in range(140):
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((40, 40)).save(tmp_path / f"val/ant/{i:03}.png")
    many = image_sets.read(tmp_path, "val")
    names = ("alpha_ReQ", "LiDAR", "whitened_distance", "tree_dimension")
    few, enough = measured(many.part(list(range(60))))[0], measured(many)[0]
    assert [few.metrics[name] for name in names] == [None] * 4
    for name in names:
        value = enough.metrics[name]
        assert value is not None
        low, high = enough.intervals[name]
        assert low < value < high


def test_blends_are_compared_with_all_their_sources_and_have_no_cap(images: ImageSet) -> None:
    metrics = measured(images, probe="mixup")[0].metrics
    assert metrics["diversity_cap"] is None
    assert metrics["Linv_primary"] != metrics["Linv"]
    assert "Linv_primary" not in measured(images, probe="cutout")[0].metrics


def test_the_more_is_cut_out_the_lower_the_invariance(images: ImageSet) -> None:
    sides = [measured(images, probe="cutout", probe_options={"side": side})[0].metrics["Linv"] for side in (0.1, 0.5, 0.9)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] > sides[-1]


def test_neighbours_are_asked_only_where_a_class_has_two_images(images: ImageSet) -> None:
    alone = measured(images.part([0, 12]), batch=2)[0].metrics
    assert alone["knn_among"] is None
    assert measured(images)[0].metrics["knn_among"] is not None


def test_norms_use_their_running_statistics() -> None:
    model, _ = extractor(BACKBONE, "cpu")
    batch = torch.randn(3, 3, 32, 32, generator=generator(0, 0))
    with torch.inference_mode():
        torch.testing.assert_close(model(batch)[:1], model(batch[:1]), rtol=1e-4, atol=1e-5)


def test_a_record_is_told_all_fields_of_the_probe_and_what_they_are() -> None:
    probed = MeasureSettings.read({"probe": "cutout", "probe_options": {"side": 0.3}}).probed()
    assert probed is not None
    assert (probed.augmentation, probed.options) == ("cutout", {"side": 0.3, "fill": "zero"})
    assert probed.meanings["side"] == "Side of the square as a fraction of the image's short side"
    assert MeasureSettings().probed() is None
    both = MeasureSettings.read({"probe": "cutmix+mixup", "probe_options": {"mixup": {"alpha": 2.0}}}).probed()
    assert both is not None
    assert (both.augmentation, both.options) == ("cutmix+mixup", {"mixup": {"alpha": 2.0}})


def test_a_vision_transformer_is_measured_by_its_class_token(images: ImageSet) -> None:
    backbone = sources.load("random:vit_small:0")
    found = measured(images, backbone=backbone)[0]
    assert found.proof == {"tensors": 150.0, "max_feature_difference": 0.0}
    network, anchors = backbone.network(), []
    with torch.inference_mode():
        source = Crops(images, images.labels, [CentreCrop(32)], seed=0)
        for crops, _, _ in loader(source, in_order(len(images), 8), num_workers=0):
            anchors.append(network.forward_features(normalised(crops[0].float() / 255))[:, 0])
    rank = spectrum.measures(torch.cat(anchors))["effective_rank"]
    assert found.metrics["effective_rank"] == pytest.approx(rank, rel=1e-4)
    with pytest.raises(ConfigError, match="can't see images of 40 × 40 pixels"):
        measured(images, backbone=backbone, size=40)


def test_too_few_images_and_unknown_probes_are_refused(images: ImageSet) -> None:
    with pytest.raises(DataError, match="too few images"):
        measured(images.part([0]))
    with pytest.raises(ConfigError, match="did you mean 'cutmix'"):
        measured(images, probe="cutmx")
    with pytest.raises(ConfigError, match="unknown pipeline"):
        measured(images, pipeline="mocov9")


@pytest.mark.parametrize("splits", [3, 5])
def test_parts_that_the_chosen_images_do_not_fill_are_refused(images: ImageSet, splits: int) -> None:
    assert len(measured(images, splits=2, images=4)) == 3
    with pytest.raises(ConfigError, match=rf"seen:    4 images in {splits} parts(.|\n)*do:      at most --splits 2"):
        measured(images, splits=splits, images=4)


def test_parts_without_two_images_to_compare_are_refused(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COMPARED", 6)
    assert len(measured(images, splits=3)) == 4
    with pytest.raises(ConfigError, match="seen:    6 images in 4 parts"):
        measured(images, splits=4)


@pytest.mark.parametrize(("widths", "norm"), [((512, 64), "none"), ((512, 64, 16), "none"), ((512, 64, 16), "bn")])
def test_behind_the_projector_the_same_is_measured(images: ImageSet, widths: tuple[int, ...], norm: Norm) -> None:
    torch.manual_seed(0)
    head = mlp(widths, norm=norm, out_bias=False)
    with_head = replace(BACKBONE, projector=head)
    settings = MeasureSettings.read({"views": 4, "size": 32, "batch": 8})
    metrics = measure(with_head, images, settings, Journal(), seed=0, device="cpu")[0].metrics
    assert metrics["Linv"] == measured(images)[0].metrics["Linv"]
    assert metrics["projector_Linv"] != metrics["Linv"]
    twice = copy.deepcopy(head)
    with torch.no_grad():
        twice[-1].weight.mul_(2)
    doubled = replace(BACKBONE, projector=twice)
    again = measure(doubled, images, settings, Journal(), seed=0, device="cpu")[0].metrics
    assert again["projector_Ldiv"] == pytest.approx(metrics["projector_Ldiv"], abs=1e-5)  # cosines ignore the scale
