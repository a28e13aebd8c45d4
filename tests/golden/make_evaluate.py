"""Writes evaluate.json for tests/apps/evaluate_test.py: what PyTorch gets from a state dict on images of a data set.

Neither weights nor images are stored: both sides make them by the formula `fill` of make_models.py. The file holds the
names, shapes and bounds of the state dict in PyTorch's order and each expert's logits, computed in f64. Needs torch.
Run from any folder: python tests/golden/make_evaluate.py
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F

from make_models import Net, bounds, fill, fill_net

IMAGES, IMAGE_KEY, MEAN, STD = 6, 1000, 0.2860, 0.3530

net = Net(experts=2, planes=24, cosine=True).double().eval()
state = []
for name, tensor in net.state_dict().items():
    counter = name.endswith("num_batches_tracked")
    low, high = (0, 0) if counter else bounds(name, tensor)
    state.append({"name": name, "shape": list(tensor.shape), "low": low, "high": high})
pixels = fill((IMAGES, 1, 28, 28), IMAGE_KEY, 0, 256).floor()
with torch.no_grad():
    fill_net(net)
    logits = net((F.pad(pixels / 255, (2, 2, 2, 2)).expand(-1, 3, -1, -1) - MEAN) / STD)
golden = {"images": IMAGES, "image_key": IMAGE_KEY, "expert_logits": logits.tolist(), "state_dict": state}
path = Path(__file__).with_name("evaluate.json")
path.write_text(json.dumps(golden, indent=None, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
print(f"{path.name}: {path.stat().st_size} bytes")
