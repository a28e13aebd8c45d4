"""Writes optim.safetensors for tests/optim: five steps of PyTorch's SGD and AdamW with given gradients.

`parameter.<p>` start values, `gradient.<step>.<p>`, and `<optimizer>.<step>.<p>` the values after that step, in f64.
For SGD, parameter 1 has no gradient in step 2. Needs torch and safetensors. Run: python tests/golden/make_optim.py
"""
from pathlib import Path

import torch
from safetensors.torch import save_file

STEPS, SHAPES = 5, [(3, 5), (19,)]
RATES = [0.1, 0.1, 0.05, 0.02, 0.3]
torch.manual_seed(4)
start = [torch.randn(shape, dtype=torch.float64) for shape in SHAPES]
gradients = [[torch.randn(shape, dtype=torch.float64) for shape in SHAPES] for _ in range(STEPS)]
out = {f"parameter.{i}": p for i, p in enumerate(start)}
out |= {f"gradient.{s}.{i}": g for s, gs in enumerate(gradients) for i, g in enumerate(gs)}


def run(name, make, skip=(2, 1)):
    parameters = [p.clone().requires_grad_() for p in start]
    optimizer = make(parameters)
    for step in range(STEPS):
        for i, p in enumerate(parameters):
            p.grad = None if (step, i) == skip else gradients[step][i].clone()
        for group in optimizer.param_groups:
            group["lr"] = RATES[step]
        optimizer.step()
        out.update({f"{name}.{step}.{i}": p.detach().clone() for i, p in enumerate(parameters)})


run("sgd", lambda p: torch.optim.SGD(p, 1))
run("sgd_momentum", lambda p: torch.optim.SGD(p, 1, momentum=0.9, weight_decay=2e-2))
run("sgd_nesterov", lambda p: torch.optim.SGD(p, 1, momentum=0.9, weight_decay=5e-2, nesterov=True))
run("adamw", lambda p: torch.optim.AdamW(p, 1, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1), skip=None)
path = Path(__file__).parent / "optim.safetensors"
save_file(out, path)
print(f"{path.name}: {path.stat().st_size} bytes")
