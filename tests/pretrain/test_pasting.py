"""ResizeMix, FMix and the lattice GridMix against their definitions in plain loops, on the same random numbers."""

import math

import numpy as np
import pytest
import torch

from pretrain import augment
from pretrain.augment.mixed import Mixed

N, H, W = 40, 24, 17
IMAGES = torch.randn(N, 3, H, W, generator=torch.Generator().manual_seed(0))


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def made(name: str, **options: object) -> tuple[Mixed, list[int], list[float]]:
    """The batch, and for every image its partner and the share it keeps."""
    mixed = augment.make(name, options)(IMAGES, rng())
    assert mixed.sources is not None
    assert mixed.weights is not None
    return mixed, mixed.sources[:, 1].tolist(), mixed.weights[:, 0].tolist()


def lambdas(draws: torch.Generator) -> np.ndarray:
    """Drawn as the law of shares says: NumPy's Beta(1, 1), seeded from the generator."""
    seed = int(torch.randint(2**62, (1,), generator=draws))
    return np.random.default_rng(seed).beta(1.0, 1.0, N)


def between(low: float, high: float, u: float) -> float:
    return low + (high - low) * u


def test_resizemix_is_the_whole_partner_reduced_and_pasted() -> None:
    """Side 0.1 to 0.8 of the image's, uniform, in whole pixels; each pixel of the box is the partner's nearest one."""
    mixed, partners, shares = made("resizemix")
    draws = rng()
    assert partners == torch.randperm(N, generator=draws).tolist()
    u = torch.rand(3, N, generator=draws).double()
    for n in range(N):
        side = between(0.1, 0.8, float(u[0, n]))
        h, w = max(1, math.floor(side * H)), max(1, math.floor(side * W))
        top, left = math.floor(float(u[1, n]) * (H - h + 1)), math.floor(float(u[2, n]) * (W - w + 1))
        expected = IMAGES[n].clone()
        for i in range(h):
            for j in range(w):
                expected[:, top + i, left + j] = IMAGES[partners[n], :, i * H // h, j * W // w]
        assert torch.equal(mixed.images[n], expected)
        assert shares[n] == pytest.approx(1 - h * w / (H * W))


def low_frequency_noise(drawn: np.ndarray) -> np.ndarray:
    """Section 3 of arXiv:2002.12047: a Gaussian spectrum divided by the frequency's power of decay, 3; the real part."""
    spectrum = np.zeros((H, W // 2 + 1), dtype=complex)
    for i in range(H):
        for j in range(W // 2 + 1):
            up = (i if i < H / 2 else i - H) / H
            frequency = max(math.hypot(up, j / W), 1 / max(H, W))
            spectrum[i, j] = (drawn[i, j, 0] + 1j * drawn[i, j, 1]) / frequency**3
    return np.fft.irfft2(spectrum, (H, W))


def test_fmix_shows_the_image_where_low_frequency_noise_is_highest() -> None:
    mixed, partners, shares = made("fmix")
    draws = rng()
    assert partners == torch.randperm(N, generator=draws).tolist()
    lam, up = lambdas(draws), torch.rand(N, generator=draws) > 0.5
    drawn = torch.randn(N, H, W // 2 + 1, 2, generator=draws).double().numpy()
    for n in range(N):
        kept = (math.ceil if up[n] else math.floor)(np.float32(lam[n]) * np.float32(H * W))
        order = low_frequency_noise(drawn[n]).flatten().argsort()[::-1]
        mask = np.zeros(H * W, dtype=bool)
        mask[order[:kept]] = True
        expected = torch.where(torch.from_numpy(mask).view(H, W), IMAGES[n], IMAGES[partners[n]])
        differing = (mixed.images[n] != expected).any(dim=0).sum()
        assert int(differing) <= 2  # neighbours in the order may change places by rounding
        assert shares[n] == pytest.approx(kept / (H * W))
        assert int((mixed.images[n] == IMAGES[n]).all(dim=0).sum()) in (kept, H * W if partners[n] == n else kept)


def pieces(mask: np.ndarray) -> int:
    """Number of pairs of neighbours of which one is masked: the length of the mask's edges."""
    return int((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())


def test_the_faster_fmix_noise_decays_the_fewer_pieces_a_mask_has() -> None:
    edges = []
    for decay in (0.0, 1.0, 3.0):
        mixed, _, _ = made("fmix", decay=decay)
        masks = (mixed.images != IMAGES).any(dim=1).numpy()
        edges.append(sum(pieces(mask) for mask in masks))
    assert edges[0] > 1.5 * edges[1] > 3 * edges[2]


def test_gridmix_shows_the_partner_through_a_lattice_of_square_holes() -> None:
    mixed, partners, shares = made("gridmix")
    draws = rng()
    assert partners == torch.randperm(N, generator=draws).tolist()
    lam, u = lambdas(draws), torch.rand(5, N, generator=draws).double()
    for n in range(N):
        holes, ratio = 2 + math.floor(5 * float(u[0, n])), between(0.5, 2, float(u[2, n]))
        w = math.floor(math.sqrt(between(0.5, 1, float(u[1, n])) * H * W / ratio))
        h, w = min(math.floor(w * ratio), H), min(w, W)
        top, left = math.floor(float(u[3, n]) * (H - h + 1)), math.floor(float(u[4, n]) * (W - w + 1))
        cell = math.ceil(w / holes)
        hole = min(max(math.floor(cell * math.sqrt(1 - lam[n])), 1), cell - 1)
        expected = IMAGES[n].clone()
        for i in range(0, h, cell):
            for j in range(0, w, cell):
                for y in range(top + i, top + min(i + hole, h)):
                    for x in range(left + j, left + min(j + hole, w)):
                        expected[:, y, x] = IMAGES[partners[n], :, y, x]
        assert torch.equal(mixed.images[n], expected)
        if partners[n] != n:
            assert shares[n] == pytest.approx(float((expected == IMAGES[n]).all(dim=0).float().mean()))


@pytest.mark.parametrize("name", ["resizemix", "fmix", "gridmix"])
@pytest.mark.parametrize("side", [8, 9, 16])
def test_folded_every_image_keeps_half_of_its_pixels_at_any_size(name: str, side: int) -> None:
    images = torch.rand(512, 3, side, side)
    mixed = augment.make(name, folded=True)(images, rng())
    assert mixed.sources is not None
    assert mixed.weights is not None
    assert float(mixed.weights[:, 0].min()) >= 0.5
    other = mixed.sources[:, 1] != mixed.sources[:, 0]
    own = (mixed.images == images).all(dim=1).float().mean(dim=(1, 2))
    if name != "resizemix":  # whose pixels of the partner may come to be the image's own
        torch.testing.assert_close(own[other], mixed.weights[other, 0])
