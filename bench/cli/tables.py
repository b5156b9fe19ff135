"""Which fields of which settings have an option of their own."""

from bench.cli.fields import FieldOptions

PRETRAIN = FieldOptions(
    "Method and recipe",
    {
        "pretrain/config.py:PretrainConfig": (
            "method",
            "aug",
            "supervision",
            "label_fraction",
            "classes",
            "label_map",
            "label_list",
            "cache",
            "on_bad_image",
            "arch",
            "seed",
            "keep_every",
            "monitor_every",
        ),
        "pretrain/recipe.py:Recipe": ("epochs",),
        "pretrain/methods/mocov2.py:MoCoV2": ("label_mode",),
    },
    lists={"method": "methods", "aug": "augs", "arch": "backbones"},
)
VIEWS = FieldOptions(
    "Augmentation",
    {"pretrain/config.py:PretrainConfig": ("method", "aug", "supervision", "seed")},
    lists={"method": "methods", "aug": "augs"},
)
ADJUSTMENTS = FieldOptions(
    "Adjustments of the task",
    {"bench/verbs/adjustments.py:Adjustments": ("iters", "batch", "size", "rois", "precise_bn", "lr_search", "on_bad_image")},
)
MEASURE = FieldOptions("Images", {"transfer/representation/settings.py:MeasureSettings": ("on_bad_image",)})
SELECTION = FieldOptions("Classes", {"bench/selection.py:Selection": ("classes", "label_map")})
