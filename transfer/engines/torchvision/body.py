"""The backbone as a detector uses it: a torchvision ResNet's stages under torchvision's names."""

import torchvision
from torch import Tensor, nn

LAYERS = ("layer1", "layer2", "layer3", "layer4")


class Body(nn.Module):
    """A torchvision ResNet from its stem up to one of its layers."""

    def __init__(self, resnet: torchvision.models.ResNet, layers: tuple[str, ...] = LAYERS) -> None:
        super().__init__()
        self.conv1, self.bn1 = resnet.conv1, resnet.bn1
        self.relu, self.maxpool = resnet.relu, resnet.maxpool
        self.layers = layers
        for name in layers:
            self.add_module(name, getattr(resnet, name))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the outputs of the layers from normalised images (N, 3, H, W), each half as fine as the one before."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = []
        for name in self.layers:
            x = getattr(self, name)(x)
            maps.append(x)
        return maps
