"""Cross-entropy on the labels through the same data path: the baseline of every table.

Learning rate 0.1 per 256 images and weight decay 1e-4 (megvii-research/revisitAIRL @7afeb02, exp/supervised).
"""

from pretrain.methods import Method

SUPERVISED = Method(
    name="supervised",
    source="megvii-research/revisitAIRL @7afeb02",
    views=1,
    projector="classifier",
    target="none",
    negatives="none",
    loss="cross-entropy",
    needs_labels=True,
    defaults={"base_lr": 0.1, "supervision": "full"},
)
