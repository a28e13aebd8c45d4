"""Writes the safetensors files that tests/io reads, with the format's own Python library.

Needs torch and safetensors. Run from any folder: python tests/golden/make_io.py
"""
from pathlib import Path

import torch
from safetensors.torch import save_file

folder = Path(__file__).parent
ramp = torch.arange(6).reshape(2, 3)  # 0..5
save_file(
    {
        "f32": ramp * 0.5 - 1,
        "bf16": (ramp * 0.5 - 1).to(torch.bfloat16),
        "f16": (ramp * 0.5 - 1).to(torch.float16),
        "f64": ramp.to(torch.float64) / 3,
        "i64": ramp - 3,
        "i32": (ramp - 3).to(torch.int32),
        "u8": (ramp + 250).to(torch.uint8),
        "bool": ramp % 2 == 1,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
    },
    folder / "io_dtypes.safetensors",
    metadata={"format": "pt", "note": "häufig ✓"},
)
