"""The task `audio`: which of eight kinds of tones is it? Half a second, as 32 spectra of 64 numbers.

The kinds differ in what happens over time, not in which frequencies there are: pitch, loudness and noise are drawn
anew for every sample. So the frames alone, without their order, do not tell a rising tone from a falling one.
B batch, N samples of sound, T frames, F numbers of a frame.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tfx_engine.data.frames import FrameTask
from tfx_engine.data.task import Batch, sha256_of
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.initial import generator_for

KINDS = ("steady", "rising", "falling", "up and down", "down and up", "fading in", "fading out", "trembling")
RATE_HZ = 8000
SOUND_SAMPLES = RATE_HZ // 2
WINDOW, HOP, BINS = 256, 128, 64
_HELD_OUT_SAMPLES = 256
_STEPS = 2**16  # everything is drawn as a whole number of so many steps, so that its hash is the same everywhere


class AudioTask(FrameTask):
    """Tell synthetic tones apart."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.held_out_batches = self.evaluated_batches = max(1, _HELD_OUT_SAMPLES // self.batch_size)

    def _make(self, generator: torch.Generator, size: int) -> Batch:
        drawn, classes_B = _draw(generator, size)
        return spectra(sounds(drawn, classes_B, generator)), classes_B

    def _make_held_out(self, index: int) -> Batch:
        return self._make(generator_for(self.seed, "held out", index), self.batch_size)

    def facts(self) -> dict[str, Any]:
        """What the sounds are, and the hash of what was drawn for the first batch."""
        first = _draw(generator_for(self.seed, "data", 0), self.batch_size)
        return {"source": "made: eight kinds of tones, the hash is that of what was drawn for the first batch",
                "sha256": sha256_of(*first), "held_out_samples": self.held_out_batches * self.batch_size}

    def frame_text(self, frame: int) -> str:
        """The middle of the frame."""
        return f"{1000 * frame * HOP // RATE_HZ} ms"


def _draw(generator: torch.Generator, size: int) -> tuple[Tensor, Tensor]:
    """(what makes each sound its own, int64 [B, 5], and its kind [B])."""
    drawn = torch.randint(_STEPS, (size, 5), generator=generator)
    return drawn, torch.randint(len(KINDS), (size,), generator=generator)


def sounds(drawn: Tensor, classes_B: Tensor, generator: torch.Generator) -> Tensor:
    """The waves, float32 [B, N]: a tone with its octave, whose pitch and loudness follow the kind, in some noise."""
    pitch, width, loudness, begin, noise = (drawn.float() / _STEPS).unsqueeze(2).unbind(1)  # each [B, 1]
    time_N = torch.arange(SOUND_SAMPLES) / SOUND_SAMPLES  # of the whole sound
    level_N, arch_N = torch.zeros_like(time_N), 0.5 - (2 * time_N - 1).abs()
    trembling_N = 0.25 * torch.sin(2 * math.pi * 6 * time_N)
    bend_KN = torch.stack([
        level_N, time_N - 0.5, 0.5 - time_N, arch_N, -arch_N, level_N, level_N, trembling_N,
    ])  # fmt: skip
    loud_KN = torch.ones_like(bend_KN)
    loud_KN[5], loud_KN[6] = time_N, 1 - time_N
    hertz_BN = 300 * 4**pitch * 2 ** (bend_KN[classes_B] * (0.6 + 0.8 * width))  # 300 to 1200 Hz, bent by an octave
    phase_BN = 2 * math.pi * (hertz_BN.cumsum(dim=1) / RATE_HZ + begin)
    tone_BN = (phase_BN.sin() + 0.5 * (2 * phase_BN).sin()) * loud_KN[classes_B] * (0.3 + 0.7 * loudness)
    return tone_BN + (0.05 + 0.25 * noise) * torch.randn(tone_BN.shape, generator=generator)


def spectra(sounds_BN: Tensor) -> Tensor:
    """Logarithms of the loudness at 0 to 2 kHz in 64 bins, at 32 moments: [B, T, F], mostly between -1 and 1."""
    window = torch.hann_window(WINDOW)
    bins_BFT = torch.stft(sounds_BN, WINDOW, HOP, window=window, return_complex=True)[:, :BINS].abs()
    return (bins_BFT.clamp_min(1e-2).log() / 4).transpose(1, 2).contiguous()
