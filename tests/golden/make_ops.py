"""Writes ops.safetensors: inputs, outputs and gradients of PyTorch for the cases of tests/ops/golden_test.cpp.

Values are computed in float64 from float32 inputs and stored as float32, so they are right to half a unit in the last
place. Per case: `<case>/in0`, `in1`, ... (i64 and bool as they are), `<case>/out`, and where the case has gradients
`<case>/dy` and `<case>/grad0`, ... for the inputs that have one; `<case>/after3` is input 3 after the call where the op
changes it (running statistics).

Needs torch (2.11 was used) and safetensors. Run from any folder: python tests/golden/make_ops.py
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

generator = torch.Generator().manual_seed(20210503)
tensors = {}


def rand(*shape, low=-1.0, high=1.0):
    return torch.rand(shape, generator=generator) * (high - low) + low


def ints(n, *shape):
    return torch.randint(n, shape, generator=generator)


def case(name, f, *inputs, constant=(), changed=()):
    """Runs f on f64 copies; inputs numbered in `constant` get no gradient, those in `changed` are stored again after."""
    wide = []
    for k, x in enumerate(inputs):
        tensors[f"{name}/in{k}"] = x.clone().contiguous()
        w = x.double() if x.is_floating_point() else x
        wide.append(w.requires_grad_() if x.is_floating_point() and k not in constant else w)
    y = f(*wide)
    tensors[f"{name}/out"] = narrow(y)
    for k in changed:
        tensors[f"{name}/after{k}"] = narrow(wide[k])
    if y.requires_grad:
        dy = rand(*y.shape)
        tensors[f"{name}/dy"] = dy
        y.backward(dy.double())
        for k, w in enumerate(wide):
            if w.is_floating_point() and w.grad is not None:
                tensors[f"{name}/grad{k}"] = narrow(w.grad)


def narrow(x):
    x = x.detach()
    return (x.float() if x.is_floating_point() else x).clone().contiguous()


def elementwise():
    x = lambda low=-2, high=2: rand(3, 7, low=low, high=high)
    case("relu", F.relu, x())
    case("sigmoid", torch.sigmoid, x(-6, 6))
    case("tanh", torch.tanh, x(-4, 4))
    case("exp", torch.exp, x())
    case("log", torch.log, x(0.2, 3))
    case("sqrt", torch.sqrt, x(0.2, 3))
    case("abs", torch.abs, x())
    case("softplus", F.softplus, x(-6, 6))
    case("pow", lambda a: a.pow(1.7), x(0.2, 3))
    case("pow 3", lambda a: a.pow(3), x())
    case("clamp", lambda a: a.clamp(-0.5, 0.7), x())
    border = torch.tensor([-1.0, -0.5, 0.0, 0.7, 1.0])  # the gradient on the bounds themselves, and relu and abs at 0
    case("clamp on its bounds", lambda a: a.clamp(-0.5, 0.75), torch.tensor([-1.0, -0.5, 0.0, 0.75, 1.0]))
    case("relu at zero", F.relu, border)
    case("abs at zero", torch.abs, border)
    case("affine", lambda a: 3 * a - 1, x())
    case("reciprocal", lambda a: 2 / a, x(0.3, 2))
    case("add", torch.add, rand(4, 1, 3), rand(2, 1))
    case("sub", torch.sub, rand(4, 1, 3), rand(2, 1))
    case("mul", torch.mul, rand(4, 1, 3), rand(2, 1))
    case("div", torch.div, rand(4, 1, 3), rand(2, 1, low=0.3))
    case("where", torch.where, ints(2, 3, 1) > 0, rand(3, 5), rand(5))
    case("cast bf16", lambda a: a.float().to(torch.bfloat16).float(), rand(17), constant=(0,))
    case("cast f16", lambda a: a.float().to(torch.float16).float(), rand(17), constant=(0,))


def convolution():
    case("conv2d", F.conv2d, rand(2, 3, 6, 5), rand(4, 3, 3, 3))
    case("conv2d stem", lambda x, w: F.conv2d(x, w, padding=1), rand(1, 3, 9, 9), rand(16, 3, 3, 3))
    case("conv2d bias", lambda x, w, b: F.conv2d(x, w, b, padding=1), rand(2, 3, 5, 5), rand(4, 3, 3, 3), rand(4))
    case("conv2d stride", lambda x, w: F.conv2d(x, w, stride=2, padding=1), rand(2, 3, 7, 8), rand(4, 3, 3, 3))
    case("conv2d dilation", lambda x, w: F.conv2d(x, w, padding=2, dilation=2), rand(1, 2, 7, 7), rand(3, 2, 3, 3))
    case("conv2d groups", lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2), rand(2, 4, 5, 5), rand(6, 2, 3, 3), rand(6))
    case("conv2d depthwise", lambda x, w: F.conv2d(x, w, groups=5), rand(1, 5, 5, 5), rand(5, 1, 3, 3))
    case("conv2d pointwise", lambda x, w: F.conv2d(x, w, stride=2), rand(2, 7, 5, 5), rand(3, 7, 1, 1))
    case("conv2d uneven", lambda x, w, b: F.conv2d(x, w, b, stride=(1, 2), padding=(0, 2), dilation=(2, 1)),
         rand(1, 2, 6, 9), rand(3, 2, 2, 5), rand(3))
    case("linear", F.linear, rand(5, 7), rand(3, 7), rand(3))
    case("linear without bias", F.linear, rand(5, 7), rand(3, 7))
    case("matmul", torch.matmul, rand(5, 7), rand(7, 3))
    case("matmul batched", torch.matmul, rand(3, 5, 7), rand(3, 7, 2))


def normalisation():
    def inputs(*shape):
        c = shape[1]
        return [rand(*shape, low=-1, high=2), rand(c, low=0.5, high=2), rand(c), rand(c, low=-0.5, high=0.5), rand(c, low=0.5, high=2)]

    def norm(training, relu=False, momentum=0.1, eps=1e-5):
        def f(x, w, b, mean, var, residual=None):
            y = F.batch_norm(x, mean, var, w, b, training, momentum, eps)
            y = y if residual is None else y + residual
            return F.relu(y) if relu else y
        return f

    constant, changed = (3, 4), (3, 4)
    case("batch_norm train", norm(True), *inputs(3, 4, 5, 3), constant=constant, changed=changed)
    case("batch_norm momentum eps", norm(True, momentum=0.3, eps=1e-2), *inputs(3, 4, 5, 3), constant=constant, changed=changed)
    case("batch_norm relu", norm(True, relu=True), *inputs(3, 4, 5, 3), constant=constant, changed=changed)
    case("batch_norm residual", norm(True), *inputs(3, 4, 3, 3), rand(3, 4, 3, 3), constant=constant, changed=changed)
    case("batch_norm residual relu", norm(True, relu=True), *inputs(3, 4, 5, 3), rand(3, 4, 5, 3), constant=constant, changed=changed)
    case("batch_norm features", norm(True), *inputs(7, 5), constant=constant, changed=changed)
    case("batch_norm eval", norm(False), *inputs(3, 4, 5, 3), constant=constant, changed=changed)
    case("batch_norm eval residual relu", norm(False, relu=True), *inputs(3, 4, 3, 3), rand(3, 4, 3, 3), constant=constant, changed=changed)


def pooling():
    case("max_pool2d", lambda x: F.max_pool2d(x, 2), rand(2, 3, 6, 4))
    case("max_pool2d padded", lambda x: F.max_pool2d(x, 3, 2, 1), rand(2, 3, 7, 6))
    case("max_pool2d ties", lambda x: F.max_pool2d(x, 3, 2, 1), ints(3, 2, 2, 7, 7).float())
    case("max_pool2d all negative", lambda x: F.max_pool2d(x, 3, 2, 1), rand(1, 2, 5, 5, low=-2, high=-1))
    case("max_pool2d uneven", lambda x: F.max_pool2d(x, (2, 4), (1, 3), (1, 2)), rand(1, 2, 6, 9))
    case("avg_pool2d", lambda x: F.avg_pool2d(x, 2), rand(2, 3, 6, 4))
    case("avg_pool2d padded", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=True), rand(2, 3, 7, 6))
    case("avg_pool2d padding not counted", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), rand(2, 3, 7, 6))
    case("avg_pool2d uneven", lambda x: F.avg_pool2d(x, (2, 4), (1, 3), (1, 2), count_include_pad=False), rand(1, 2, 6, 9))
    case("global_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), rand(2, 5, 3, 4))


def softmax_and_losses():
    logits = lambda n=5, c=7: rand(n, c, low=-5, high=5)
    soft = lambda n=5, c=7: torch.softmax(rand(n, c, low=-2, high=2), 1)
    weight = lambda c=7: rand(c, low=0.2, high=2)
    case("softmax", lambda x: x.softmax(-1), logits())
    case("softmax channels", lambda x: x.softmax(1), rand(2, 5, 3, 2, low=-5, high=5))
    case("softmax extreme", lambda x: x.softmax(-1), torch.tensor([[1000.0, 0.0, -1000.0], [88.0, 89.0, 90.0]]))
    case("log_softmax", lambda x: x.log_softmax(-1), logits())
    case("log_softmax extreme", lambda x: x.log_softmax(-1), torch.tensor([[1000.0, 0.0, -1000.0], [88.0, 89.0, 90.0]]))
    for reduction in ("mean", "sum", "none"):
        case(f"cross_entropy {reduction}", lambda x, y: F.cross_entropy(x, y, reduction=reduction), logits(), ints(7, 5))
        case(f"cross_entropy weight smoothing {reduction}",
             lambda x, y, w: F.cross_entropy(x, y, w, reduction=reduction, label_smoothing=0.1),
             logits(), ints(7, 5), weight(), constant=(2,))
        case(f"cross_entropy soft weight smoothing {reduction}",
             lambda x, y, w: F.cross_entropy(x, y, w, reduction=reduction, label_smoothing=0.1),
             logits(), soft(), weight(), constant=(1, 2))
        case(f"bce_with_logits pos_weight {reduction}",
             lambda x, y, p: F.binary_cross_entropy_with_logits(x, y, pos_weight=p, reduction=reduction),
             rand(3, 5, low=-6, high=6), rand(3, 5, low=0), rand(5, low=0.5, high=4), constant=(1, 2))
    case("cross_entropy weight", lambda x, y, w: F.cross_entropy(x, y, w), logits(), ints(7, 5), weight(), constant=(2,))
    case("cross_entropy smoothing", lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1), logits(), ints(7, 5))
    case("cross_entropy soft", F.cross_entropy, logits(), soft(), constant=(1,))
    case("bce_with_logits", F.binary_cross_entropy_with_logits, rand(3, 5, low=-6, high=6), rand(3, 5, low=0), constant=(1,))
    case("bce_with_logits extreme", lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none"),
         torch.tensor([-200.0, -200.0, 200.0, 200.0]), torch.tensor([0.0, 1.0, 0.0, 1.0]), constant=(1,))
    for reduction in ("batchmean", "sum", "none"):
        case(f"kl_div {reduction}", lambda x, y: F.kl_div(x.log_softmax(1), y, reduction=reduction), logits(), soft(), constant=(1,))
    zeros = torch.tensor([[0.0, 1.0, 0.0], [0.25, 0.0, 0.75]])
    case("kl_div zero targets", lambda x, y: F.kl_div(x.log_softmax(1), y, reduction="none"), rand(2, 3), zeros, constant=(1,))
    case("l2_normalize", lambda x: F.normalize(x, dim=1), rand(5, 7))
    case("l2_normalize columns", lambda x: F.normalize(x, dim=0), rand(5, 7))
    case("l2_normalize zero row", lambda x: F.normalize(x, dim=1, eps=1e-2), torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.001, 0.0]]))


def order_and_places():
    case("topk", lambda x: x.topk(3).values, rand(4, 7))
    case("topk indices", lambda x: x.topk(3).indices, rand(4, 7), constant=(0,))
    case("topk smallest", lambda x: x.topk(2, largest=False).values, rand(4, 7))
    case("sort", lambda x: x.sort(-1).values, rand(3, 9))
    case("sort descending", lambda x: x.sort(-1, descending=True).values, rand(3, 9))
    case("sort stable indices", lambda x: x.sort(dim=-1, stable=True).indices, ints(4, 3, 17).float(), constant=(0,))
    case("sort stable descending indices", lambda x: x.sort(dim=-1, stable=True, descending=True).indices, ints(4, 3, 17).float(), constant=(0,))
    nan = torch.tensor([[2.0, float("nan"), -1.0, float("inf"), 0.0]])
    case("sort nan indices", lambda x: x.sort(-1).indices, nan, constant=(0,))
    case("argmax", lambda x: x.argmax(1), rand(3, 9), constant=(0,))
    case("argmax nan", lambda x: x.argmax(1), nan, constant=(0,))
    case("gather", lambda x, i: x.gather(1, i), rand(4, 5), ints(5, 4, 3))
    case("gather first axis", lambda x, i: x.gather(0, i), rand(4, 5), ints(4, 6, 3))
    unique = torch.tensor([[4, 0, 2], [1, 3, 0]])
    case("scatter", lambda x, i, s: x.scatter(1, i, s), rand(2, 5), unique, rand(2, 3))
    case("scatter add", lambda x, i, s: x.scatter_add(0, i, s), rand(3, 4), ints(3, 6, 4), rand(6, 4))
    case("index_select", lambda x, i: x.index_select(1, i), rand(2, 5, 3), ints(5, 7))


def shapes():
    case("reshape", lambda x: x.reshape(4, -1), rand(2, 3, 4))
    case("permute", lambda x: x.permute(2, 0, 1), rand(2, 3, 4))
    case("slice", lambda x: x[:, 1:6:2], rand(3, 7))
    case("select", lambda x: x.select(1, -2), rand(3, 4, 2))
    case("pad", lambda x: F.pad(x, (0, 0, 2, 1)), rand(2, 3, 2))
    case("concat", lambda *x: torch.cat(x, 1), rand(2, 3), rand(2, 1), rand(2, 4))
    case("stack", lambda *x: torch.stack(x, -1), rand(2, 3), rand(2, 3))
    case("expand_to", lambda x: x.expand(2, 3, 5), rand(3, 1))


def reductions():
    case("sum", lambda x: x.sum(), rand(3, 5))
    case("sum axes", lambda x: x.sum((0, 2)), rand(3, 4, 5))
    case("mean", lambda x: x.mean(), rand(3, 5))
    case("mean keep", lambda x: x.mean((1,), keepdim=True), rand(3, 4, 5))
    case("max", lambda x: x.max(1).values, rand(3, 9))
    # Only one maximum gets the gradient (as max over one axis does in PyTorch, not as its amax).
    case("max ties", lambda x: x.max(1).values, torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]))


for family in (elementwise, convolution, normalisation, pooling, softmax_and_losses, order_and_places, shapes, reductions):
    family()
save_file(tensors, Path(__file__).parent / "ops.safetensors",
          metadata={"format": "pt", "made_by": f"make_ops.py, PyTorch {torch.__version__}"})
print(len({name.split("/")[0] for name in tensors}), "cases,", len(tensors), "tensors")
