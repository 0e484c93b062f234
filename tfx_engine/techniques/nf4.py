"""NF4: weights in 4 bits, for a base that is not trained. What QLoRA keeps its frozen weights in.

Blocks of 64 numbers are divided by their largest size; each number becomes the nearest of 16 values, which are spaced
as the quantiles of a normal distribution are. The blocks' sizes would cost half a bit more per number as float32;
"double quantisation" keeps them in 8 bits, again in blocks (of 256) with one float32 each. In all 4.127 bits.

Dettmers and others, "QLoRA: Efficient Finetuning of Quantized LLMs" (2023), arXiv:2305.14314, appendix E for the
values. N numbers, B blocks of 64, S blocks of blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK, SCALER_BLOCK = 64, 256
VALUES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)


@dataclasses.dataclass(frozen=True)
class Nf4:
    """A quantised tensor of `shape`. `steps` and `mean` are the bits of float32 numbers.

    As whole numbers they stay as they are where a model is moved to another float type.
    """

    codes: Tensor  # uint8 [N / 2, rounded up]: two numbers in a byte
    sizes: Tensor  # int8 [B]: (size of a block - mean) / step of its block of blocks
    steps: Tensor  # int32 [S]
    mean: Tensor  # int32 []
    shape: tuple[int, ...]

    @classmethod
    def of(cls, parts: Sequence[Tensor], shape: tuple[int, ...]) -> Nf4:
        """From codes, sizes, steps and mean."""
        codes, sizes, steps, mean = parts
        return cls(codes, sizes, steps, mean, shape)


def quantise(weight: Tensor) -> Nf4:
    """The tensor in 4 bits; on the meta device shapes alone."""
    flat_N = weight.detach().float().flatten()
    blocks_BK = F.pad(flat_N, (0, -flat_N.numel() % BLOCK)).view(-1, BLOCK)
    size_B = blocks_BK.abs().amax(dim=1)
    mean = size_B.mean()
    centred_SK = F.pad(size_B - mean, (0, -size_B.numel() % SCALER_BLOCK)).view(-1, SCALER_BLOCK)
    step_S = (centred_SK.abs().amax(dim=1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    sizes_B = (centred_SK / step_S[:, None]).round().to(torch.int8).flatten()[: size_B.numel()].clone()
    codes_N = _nearest(blocks_BK / size_B.clamp_min(torch.finfo(torch.float32).tiny)[:, None]).flatten()
    codes_N = codes_N[: flat_N.numel() + flat_N.numel() % 2]
    packed = codes_N[0::2] << 4 | codes_N[1::2]
    return Nf4(packed, sizes_B, step_S.view(torch.int32), mean.view(torch.int32), tuple(weight.shape))


def _nearest(scaled: Tensor) -> Tensor:
    values_V = torch.tensor(VALUES, device=scaled.device)
    return torch.bucketize(scaled, (values_V[1:] + values_V[:-1]) / 2).to(torch.uint8)


def dequantise(packed: Nf4, dtype: torch.dtype) -> Tensor:
    """The numbers that the codes stand for, in the tensor's shape."""
    numbers = 1
    for side in packed.shape:
        numbers *= side
    values_V = torch.tensor(VALUES, device=packed.codes.device)
    codes_N = torch.stack([packed.codes >> 4, packed.codes & 15], dim=-1).flatten()
    blocks = packed.sizes.numel()
    step_B = packed.steps.view(torch.float32).repeat_interleave(SCALER_BLOCK)[:blocks]
    size_B = packed.sizes.float() * step_B + packed.mean.view(torch.float32)
    size_N = size_B.repeat_interleave(BLOCK)[:numbers]
    return (values_V[codes_N[:numbers].int()] * size_N).view(packed.shape).to(dtype)


def bits_per_number(numbers: int) -> float:
    """What is kept per number, in bits."""
    blocks = -(-numbers // BLOCK)
    return 8 * ((numbers + 1) // 2 + blocks + 4 * -(-blocks // SCALER_BLOCK) + 4) / numbers
