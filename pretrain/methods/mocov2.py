"""MoCo v2 (Chen et al. 2020, arXiv:2003.04297; facebookresearch/moco @7397dfe, main_moco.py, moco/builder.py)."""

from pretrain.methods import Method

MOCOV2 = Method(
    name="mocov2",
    source="arXiv:2003.04297; facebookresearch/moco @7397dfe",
    views=2,
    projector="mlp",
    target="momentum",
    negatives="queue",
    loss="info-nce",
)
