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
            "label_mode",
            "classes",
            "label_map",
            "label_list",
            "cache",
            "on_bad_image",
            "arch",
            "epochs",
            "seed",
            "keep_every",
            "monitor_every",
        )
    },
    lists={"method": "methods", "aug": "augs"},
)
VIEWS = FieldOptions("Augmentation", {"pretrain/config.py:PretrainConfig": ("aug", "seed")}, lists={"aug": "augs"})
ADJUSTMENTS = FieldOptions(
    "Adjustments of the task",
    {"bench/verbs/adjustments.py:Adjustments": ("iters", "batch", "size", "rois", "precise_bn", "lr_search")},
)
SELECTION = FieldOptions("Classes", {"bench/selection.py:Selection": ("classes", "label_map")})
