"""What makers publish of their devices, by the name that the driver gives: printed beside what was measured here.

Dense figures, without the doubling that structured sparsity would bring, and with sums in float32 where the maker
publishes both. Sources are the data sheets and architecture papers named in each entry.
"""

from __future__ import annotations

import re

import msgspec

_T = 1e12


class VendorPeak(msgspec.Struct, frozen=True, kw_only=True):
    """Published peaks of one device: FLOP/s by format, bytes/s of its memory."""

    title: str
    source: str
    flops_per_s: dict[str, float]
    bytes_per_s: float


def _peak(
    title: str, source: str, gigabytes: float, *, float32: float, tf32: float | None = None,
    bfloat16: float | None = None, float16: float | None = None, float8: float | None = None,
) -> VendorPeak:
    """Figures in TFLOP/s and GB/s; float16 is as fast as bfloat16 unless it is given."""
    published = {"float32": float32, "tf32": tf32, "bfloat16": bfloat16, "float16": float16 or bfloat16,
                 "float8": float8}
    rates = {name: value * _T for name, value in published.items() if value is not None}
    return VendorPeak(title=title, source=source, flops_per_s=rates, bytes_per_s=gigabytes * 1e9)


_A100 = {"float32": 19.5, "tf32": 156.0, "bfloat16": 312.0}
_HOPPER_SXM = {"float32": 67.0, "tf32": 494.7, "bfloat16": 989.4, "float8": 1978.9}
_HOPPER_NVL = {"float32": 60.0, "tf32": 417.5, "bfloat16": 835.5, "float8": 1670.5}
_SHEET_A100, _SHEET_H100, _SHEET_H200 = (f"NVIDIA {name} Tensor Core GPU data sheet" for name in
                                         ("A100", "H100", "H200"))
_ADA = "NVIDIA Ada GPU architecture paper, appendix A"

# A whole name, as torch gives it; a name that only begins like one (Ti, Laptop, a MIG slice) is another device.
_BY_NAME: tuple[tuple[str, VendorPeak], ...] = (
    (r"A100-(SXM4|PCIE)-40GB", _peak("A100 40 GB", _SHEET_A100, 1555, **_A100)),
    (r"A100[- ]SXM4[- ]80GB", _peak("A100 80 GB SXM", _SHEET_A100, 2039, **_A100)),
    (r"A100 80GB PCIe", _peak("A100 80 GB PCIe", _SHEET_A100, 1935, **_A100)),
    (r"H100 80GB HBM3|H100 SXM5?.*", _peak("H100 SXM", _SHEET_H100, 3350, **_HOPPER_SXM)),
    (r"H100 PCIe", _peak("H100 PCIe", _SHEET_H100, 2000, float32=51.0, tf32=378.0, bfloat16=756.0, float8=1513.0)),
    (r"H100 NVL", _peak("H100 NVL", _SHEET_H100, 3900, **_HOPPER_NVL)),
    (r"H200", _peak("H200 SXM", _SHEET_H200, 4800, **_HOPPER_SXM)),
    (r"H200 NVL", _peak("H200 NVL", _SHEET_H200, 4800, **_HOPPER_NVL)),
    (r"L4", _peak("L4", "NVIDIA L4 data sheet", 300, float32=30.3, tf32=60.0, bfloat16=121.0, float8=242.0)),
    (r"L40S", _peak("L40S", "NVIDIA L40S data sheet", 864, float32=91.6, tf32=183.0, bfloat16=362.0, float8=733.0)),
    (r"A10", _peak("A10", "NVIDIA A10 data sheet", 600, float32=31.2, tf32=62.5, bfloat16=125.0)),
    (r"Tesla T4|T4", _peak("T4", "NVIDIA T4 data sheet", 320, float32=8.1, float16=65.0)),
    (r"Tesla V100-SXM2-(16|32)GB", _peak("V100 SXM2", "NVIDIA V100 data sheet", 900, float32=15.7, float16=125.0)),
    (r"Tesla V100-PCIE-(16|32)GB", _peak("V100 PCIe", "NVIDIA V100 data sheet", 900, float32=14.0, float16=112.0)),
    (r"GeForce RTX 3090", _peak("RTX 3090", "NVIDIA Ampere GA102 architecture paper, appendix A", 936,
                                float32=35.6, tf32=35.6, bfloat16=71.0)),
    (r"GeForce RTX 4090", _peak("RTX 4090", _ADA, 1008, float32=82.6, tf32=82.6, bfloat16=165.2, float8=330.3)),
    (r"GeForce RTX 5090", _peak("RTX 5090", "NVIDIA RTX Blackwell GPU architecture paper, appendix A", 1792,
                                float32=104.8, tf32=104.8, bfloat16=209.5, float8=419.0)),
)


def vendor_peak(name: str) -> VendorPeak | None:
    """What the maker publishes of the device of that name; None where it is in no list here."""
    short = name.removeprefix("NVIDIA ").strip()
    return next((peak for pattern, peak in _BY_NAME if re.fullmatch(pattern, short)), None)
