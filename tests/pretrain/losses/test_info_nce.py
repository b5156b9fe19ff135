"""The contrastive loss against its definitions in plain loops."""

import math

import pytest
import torch

from pretrain.losses.info_nce import info_nce

N, C = 5, 11
LOGITS = torch.randn(N, C, generator=torch.Generator().manual_seed(0)) * 3
OWN = torch.tensor([0, 3, 3, 10, 7])
SAME = torch.rand(N, C, generator=torch.Generator().manual_seed(1)) < 0.3
NOBODY = torch.zeros(N, C, dtype=torch.bool)


def test_without_labels_it_is_minus_the_log_share_of_the_own_key() -> None:
    for i in range(N):
        scores = [math.exp(float(s)) for s in LOGITS[i]]
        assert float(info_nce(LOGITS, OWN)[i]) == pytest.approx(-math.log(scores[OWN[i]] / sum(scores)), rel=1e-5)


def test_positives_follow_the_unicon_definition() -> None:
    loss = info_nce(LOGITS, OWN, SAME)
    for i in range(N):
        positive = {c for c in range(C) if SAME[i, c]} | {int(OWN[i])}
        negatives = sum(math.exp(float(LOGITS[i, c])) for c in range(C) if c not in positive)
        positives = sum(math.exp(-float(LOGITS[i, c])) for c in positive)
        assert float(loss[i]) == pytest.approx(math.log(1 + negatives * positives), rel=1e-5)


def test_mean_positives_follow_the_supcon_definition() -> None:
    loss = info_nce(LOGITS, OWN, SAME, label_mode="mean-positives")
    for i in range(N):
        scores = [math.exp(float(s)) for s in LOGITS[i]]
        positive = {c for c in range(C) if SAME[i, c]} | {int(OWN[i])}
        terms = [-math.log(scores[c] / sum(scores)) for c in positive]
        assert float(loss[i]) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


@pytest.mark.parametrize("mode", ["positives", "mean-positives", "drop-negatives"])
def test_one_positive_gives_info_nce(mode: str) -> None:
    torch.testing.assert_close(info_nce(LOGITS, OWN, NOBODY, label_mode=mode), info_nce(LOGITS, OWN))


def test_dropped_negatives_leave_the_denominator() -> None:
    loss = info_nce(LOGITS, OWN, SAME, label_mode="drop-negatives")
    for i in range(N):
        kept = [c for c in range(C) if not SAME[i, c] or c == OWN[i]]
        scores = {c: math.exp(float(LOGITS[i, c])) for c in kept}
        assert float(loss[i]) == pytest.approx(-math.log(scores[int(OWN[i])] / sum(scores.values())), rel=1e-5)


@pytest.mark.parametrize("mode", ["positives", "mean-positives", "drop-negatives"])
def test_all_candidates_of_one_class_give_a_finite_loss(mode: str) -> None:
    loss = info_nce(LOGITS, OWN, torch.ones(N, C, dtype=torch.bool), label_mode=mode)
    assert torch.isfinite(loss).all()
