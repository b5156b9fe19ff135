"""What augmentations may ask the network that is trained; read without importing torch."""

from typing import Literal

Asked = Literal["saliency", "class activation"]
"""`saliency`: the root mean square over the channels of the loss's gradient. `class activation`: what speaks for the image's
own class, less its least (Zhou et al. 2016, arXiv:1512.04150)."""
