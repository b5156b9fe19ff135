"""Frozen features of images: eval-mode norms, the average over the last feature map."""

import torch
from torch import Tensor, nn

from pretrain.crops import CentreCrop
from pretrain.data import Crops, in_order, loader
from pretrain.images import ImageSet
from pretrain.inputs import normalised
from pretrain.journal import Journal
from transfer import prove
from transfer.sources import Backbone


def extractor(backbone: Backbone, device: str) -> tuple[nn.Module, dict[str, float]]:
    """A frozen ResNet that maps normalised images (N, 3, S, S) to features (N, D), and the proof that it is the backbone."""
    model = prove.reference(backbone)
    proof = prove.prove(backbone, model.state_dict(), prove.stage_features(model), prove.reference(backbone))
    model.requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), proof


@torch.inference_mode()
def centre_features(
    model: nn.Module, images: ImageSet, *, size: int, batch: int, num_workers: int, device: str, journal: Journal, stage: str
) -> tuple[Tensor, Tensor]:
    """Features (N, D) of every image's centre crop and the labels (N,), on the CPU."""
    crops = Crops(images, images.labels, [CentreCrop(size)], seed=0)
    batches = in_order(len(images), batch)
    features, labels = [], []
    for done, (views, batch_labels, _) in enumerate(loader(crops, batches, num_workers=num_workers), start=1):
        features.append(model(normalised(views[0].to(device).float() / 255)).cpu())
        labels.append(batch_labels)
        journal.step(stage, done, len(batches))
    return torch.cat(features), torch.cat(labels)
