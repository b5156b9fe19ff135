"""What a configuration can't mean although each of its fields can: contradictions, and options without effect."""

from typing import TYPE_CHECKING

from pretrain.augment import JOIN

if TYPE_CHECKING:
    from pretrain.config import PretrainConfig


def check(config: "PretrainConfig") -> None:
    """Refuse a configuration that contradicts itself.

    Raises:
        ValueError: With what is wrong and what to do, in words.
        ConfigError: For an unknown augmentation, pipeline or architecture, or an option of one.
    """
    from pretrain.config import SMALL_STEM_LIMIT

    config.augmentation()
    _check_labels(config)
    config.method.check(config.recipe.batch)
    _check_effects(config)
    batch, splits = config.recipe.batch, config.bn_splits
    if batch % splits or batch // splits < 2:
        raise ValueError(f"bn_splits ({splits}) must divide the batch ({batch}) into parts of at least 2")
    if config.stem == "small" and config.size > SMALL_STEM_LIMIT:
        raise ValueError(f"the small stem is for views of up to {SMALL_STEM_LIMIT} pixels, and size is {config.size}")
    architecture = config.shape(classes=2).architecture
    if config.stem not in architecture.stems:
        raise ValueError(f"{config.arch} has no stem {config.stem!r}, only {', '.join(architecture.stems)}")


def _check_labels(config: "PretrainConfig") -> None:
    fraction = config.labels_used
    if fraction is None and (config.supervision != "semi" or config.label_fraction is not None):
        given = "label_fraction" if config.label_fraction is not None else f"supervision {config.supervision!r}"
        raise ValueError(f"a label list says which labels are used, which contradicts {given}; give the list alone, with semi")
    if (config.supervision == "self" and fraction != 0) or (config.supervision == "full" and fraction != 1):
        raise ValueError(f"supervision {config.supervision!r} contradicts label_fraction {fraction:g}; semi takes a fraction")
    name, labels = config.method.name, config.method.labels
    if labels == "required" and fraction == 0:
        raise ValueError(f"the method {name!r} needs labels; use supervision semi or full")
    if labels == "unused" and fraction != 0:
        raise ValueError(f"the method {name!r} learns from no labels; use supervision self")


def _check_effects(config: "PretrainConfig") -> None:
    """Refuse options without effect: who gives one expects something of it."""
    if config.keep_iterations and config.classes is None:
        raise ValueError("keep_iterations without classes changes nothing; name the classes, or drop it")
    if config.aug_composition != "draw" and JOIN not in config.aug:
        raise ValueError(f"aug_composition composes several augmentations, and aug is {config.aug!r}; drop it")
    one_view = len(config.views()) == 1
    if config.recipe.key_pipeline_options and one_view:
        raise ValueError(f"key_pipeline_options are a second view's, and {config.method.name!r} has one view; drop them")
    if config.aug_views == "both" and one_view:
        raise ValueError(f"aug_views both means two views, and {config.method.name!r} has one; drop it")
