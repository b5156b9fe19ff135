"""Cross-entropy of blends of which some sources have no label, against its definition."""

import pytest
import torch
import torch.nn.functional as F

from pretrain.augment.mixed import Mixed
from pretrain.images.labels import UNLABELLED
from pretrain.losses.cross_entropy import cross_entropy

OUTPUTS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.5], [1.0, 0.0, 4.0], [0.0, 1.0, 0.0]])
LABELS = torch.tensor([0, UNLABELLED, 1, UNLABELLED])
VIEW = Mixed(
    torch.zeros(4, 3, 2, 2),
    torch.tensor([[0, 2], [1, 0], [2, 3], [3, 1]]),
    torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.5, 0.5]]),
)


def test_accuracy_is_over_the_images_with_a_label_of_their_own_and_the_loss_over_all_with_a_labelled_source() -> None:
    loss, accuracy = cross_entropy(OUTPUTS, VIEW, LABELS, blends=True)
    minus = -F.log_softmax(OUTPUTS, dim=1)
    terms = [0.75 * minus[0, 0] + 0.25 * minus[0, 1], 0.5 * minus[1, 0], 0.25 * minus[2, 1]]
    assert float(loss) == pytest.approx(float(sum(terms)) / 3)
    assert float(accuracy) == 0.5  # the first is right, the third is wrong, the others have no class to be right about


@pytest.mark.parametrize("blends", [True, False])
def test_without_any_label_both_are_zero(blends: bool) -> None:
    assert [float(one) for one in cross_entropy(OUTPUTS, VIEW, torch.full((4,), UNLABELLED), blends=blends)] == [0.0, 0.0]
