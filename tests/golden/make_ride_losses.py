"""Writes ride_losses.safetensors for tests/ride: losses of RIDE and their gradients, by PyTorch in f64.

Each formula is spelled out over single experts and pairs of experts, so that nothing is shared with the C++ but the
mathematics. Needs torch and safetensors. Run from any folder: python tests/golden/make_ride_losses.py
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(10)
torch.set_default_dtype(torch.float64)
COUNTS, N, EXPERTS, FEATURES, TOP, SCALE = [200, 60, 20, 8, 3], 12, 3, 6, 4, 30
C = len(COUNTS)
counts = torch.tensor(COUNTS)
z = torch.randn(EXPERTS, N, C) * 3
labels = torch.tensor([0, 0, 1, 2, 3, 4, 4, 1, 0, 2, 3, 1])
teacher = torch.randn(N, C) * 3
out = {"counts": counts, "expert_logits": z, "labels": labels, "teacher_logits": teacher}

margins = counts ** -0.25 * (0.5 / (counts ** -0.25).max())
weights = (1 - 0.9999) / (1 - 0.9999**counts.double())
weights = weights / weights.sum() * C
psi = 0.05 * C * counts / counts.sum() + 1 - 0.05
T_reference = psi / psi.max()
T_paper = psi + 1 - psi.max()
out |= {"margins": margins, "weights": weights, "temperatures.reference": T_reference, "temperatures.paper": T_paper}


def save(name, loss, **inputs):
    """The value of a loss and its gradients by each input, which f64 leaves have collected."""
    grads = torch.autograd.grad(loss, list(inputs.values()))
    out[name] = loss.detach()
    out.update({f"{name}.grad.{key}": grad for key, grad in zip(inputs, grads)})


def ce(x, weight=None):
    return F.cross_entropy(x, labels, weight=weight)


def focal(x, gamma, weight=None):
    c = F.cross_entropy(x, labels, weight=weight, reduction="none")
    return ((1 - torch.exp(-c)) ** gamma * c).sum() / N


def ldam(x, weight=None):
    return ce(x - SCALE * margins * F.one_hot(labels, C), weight)


for name, loss in {
    "ce": ce,
    "ce_drw": lambda x: ce(x, weights),
    "focal": lambda x: focal(x, 1),
    "focal_2_drw": lambda x: focal(x, 2, weights),
    "ldam": ldam,
    "ldam_drw": lambda x: ldam(x, weights),
}.items():
    x = z[0].clone().requires_grad_()
    save(name, loss(x), logits=x)


def kl(p_logits, q_logits):
    p, q = F.softmax(p_logits, 1), F.softmax(q_logits, 1)
    return (p * (p.log() - q.log())).sum() / N


def reference(zs, T, factor, weight):
    mean = zs.mean(0)
    total = 0
    for e in range(EXPERTS):
        total += ldam(zs[e], weight) + factor * T.mean() ** 2 * kl((mean / T).detach(), zs[e] / T)
    return total


def paper(zs, T, factor, weight):
    per_sample = T[labels].unsqueeze(1)
    total = 0
    for j in range(EXPERTS):
        total += ldam(zs[j], weight)
        for k in range(EXPERTS):
            if k != j:
                total += factor / (EXPERTS - 1) * kl(zs[j] / per_sample, zs[k] / per_sample)
    return total / EXPERTS


def distilled(zs, variant):
    T = 1.5
    if variant == "reference":
        ride = reference(zs, torch.ones(C), -0.45, None)
        return sum(ride + T**2 * kl(teacher / T, zs.mean(0) / T) for _ in range(EXPERTS))
    ride = paper(zs, torch.ones(C), -0.45, None)
    return ride + sum(T**2 * kl(teacher / T, zs[e] / T) for e in range(EXPERTS)) / EXPERTS


ones = torch.ones(C)
for name, loss in {
    "ride.reference.early": lambda x: reference(x, ones, -0.45, None),
    "ride.reference.late": lambda x: reference(x, T_reference, -0.45, weights),
    "ride.paper.early": lambda x: paper(x, ones, -0.45, None),
    "ride.paper.late": lambda x: paper(x, T_paper, -0.45, weights),
    "collaborative.reference": lambda x: EXPERTS * ldam(x.mean(0)),
    "collaborative.paper": lambda x: ldam(x.mean(0)),
    "distilled.reference": lambda x: distilled(x, "reference"),
    "distilled.paper": lambda x: distilled(x, "paper"),
}.items():
    x = z.clone().requires_grad_()
    save(name, loss(x), expert_logits=x)

# The assignment module in f32, the type of its parameters; TOP = 4 of 5 classes. The seed is one for which the two
# variants want different things of some samples.
features = torch.randn(EXPERTS, N, FEATURES)
parameters = {
    "expert_help_pred_hidden_fcs.0.weight": torch.randn(16, FEATURES),
    "expert_help_pred_hidden_fcs.0.bias": torch.randn(16),
    "expert_help_pred_hidden_fcs.1.weight": torch.randn(16, FEATURES),
    "expert_help_pred_hidden_fcs.1.bias": torch.randn(16),
    "expert_help_pred_fc.weight": torch.randn(1, TOP + 16) * 0.3,
    "expert_help_pred_fc.bias": torch.randn(1),
}
parameters = {name: value.float().double() for name, value in parameters.items()}  # exactly what f32 can hold
out["features"] = features
out |= {f"assignment.{name}": value.float() for name, value in parameters.items()}


def assignment_head(p, i, feature, logits):
    v = feature / feature.norm(dim=1, keepdim=True)
    hidden = F.relu(v @ p[f"expert_help_pred_hidden_fcs.{i}.weight"].T + p[f"expert_help_pred_hidden_fcs.{i}.bias"])
    top = logits.sort(dim=1, descending=True).values[:, :TOP]
    return (torch.cat([top, hidden], 1) @ p["expert_help_pred_fc.weight"].T + p["expert_help_pred_fc.bias"])[:, 0]


for variant in ("reference", "paper"):
    seen = [z[: i + 1].mean(0) if variant == "reference" else z[i] for i in range(EXPERTS)]
    right = torch.stack([x.argmax(1) == labels for x in seen])
    p = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    loss = 0
    for i in range(EXPERTS - 1):
        head = assignment_head(p, i, features[i], seen[i])
        target = (~right[i] & right[i + 1 :].any(0)).double()
        s = torch.sigmoid(head)
        loss += -(100 * target * s.log() + (1 - target) * (1 - s).log()).mean()
        out[f"head.{variant}.{i}"] = head.detach()
        out[f"target.{variant}.{i}"] = target
    save(f"routing.{variant}", loss / (EXPERTS - 1), **p)

path = Path(__file__).parent / "ride_losses.safetensors"
save_file({name: tensor.contiguous() for name, tensor in out.items()}, path)
print(f"{path.name}: {path.stat().st_size} bytes")
for variant in ("reference", "paper"):
    print(variant, [out[f"target.{variant}.{i}"].tolist() for i in range(EXPERTS - 1)])
