"""Writes models.safetensors for tests/ride/models_test.cpp and resnet_test.cpp: what ResNets made with PyTorch compute.

Weights are not stored: both sides make them by the same formula (`fill`), so a file of some kilobytes checks nets of
half a million parameters. Everything is computed in f64 and stored as f32, so that the file's own rounding is below
any tolerance. Needs torch and safetensors. Run from any folder: python tests/golden/make_models.py
"""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

CLASSES, BATCH, SIZE = 10, 4, 16
LARGE_SIZE = 65  # odd, so that strides leave a rest
SAFE = 1e-5  # a value before a ReLU is off by less in f32, whatever sums it
torch.set_num_threads(1)


def fill(shape, key, low, high):
    """Numbers in [low, high): element i is an integer hash of (key, i), the same in C++ (tests/ride/formula.h)."""
    with np.errstate(over="ignore"):
        x = np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(key) * np.uint32(0x9E3779B9)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x846CA68B)
        x ^= x >> np.uint32(16)
    unit = (x >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
    values = np.float32(low) + (np.float32(high) - np.float32(low)) * unit
    return torch.from_numpy(values.reshape(shape)).double()


def bounds(name, tensor):
    """Between which values a tensor of the state dict is filled."""
    if tensor.dim() == 4:  # convolution: about He's variance
        bound = (6.0 / tensor[0].numel()) ** 0.5
        return -bound, bound
    if tensor.dim() == 2:
        return -0.5, 0.5
    if name.endswith("running_var") or ("bn" in name and name.endswith("weight")):
        return 0.5, 1.5
    return -0.1, 0.1


def fill_net(net):
    """Values for every tensor of the state dict, keyed by its place in it."""
    place = 0
    for name, tensor in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        tensor.copy_(fill(tensor.shape, place, *bounds(name, tensor)))
        place += 1


class Block(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.stride, self.margin = stride, (planes - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.margin, self.margin))
        return F.relu(y + x)


def stage(inputs, planes, stride):
    return nn.Sequential(Block(inputs, planes, stride), *[Block(planes, planes, 1) for _ in range(4)])


class Cosine(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(inputs, classes))

    def forward(self, x):
        return 30 * F.normalize(x, dim=1) @ F.normalize(self.weight, dim=0)


class Net(nn.Module):
    def __init__(self, experts, planes, cosine):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = stage(16, 16, 1)
        head = (lambda: Cosine(2 * planes, CLASSES)) if cosine else (lambda: nn.Linear(2 * planes, CLASSES))
        parts = [lambda: stage(16, planes, 2), lambda: stage(planes, 2 * planes, 2), head]
        for name, make in zip(["layer2", "layer3", "linear"], parts):
            if experts == 1:
                setattr(self, name, make())
            else:
                setattr(self, name + "s", nn.ModuleList(make() for _ in range(experts)))

    def experts(self):
        if hasattr(self, "linear"):
            return [(self.layer2, self.layer3, self.linear)]
        return list(zip(self.layer2s, self.layer3s, self.linears))

    def forward(self, x):
        h = self.layer1(F.relu(self.bn1(self.conv1(x))))
        return torch.stack([head(layer3(layer2(h)).mean((2, 3))) for layer2, layer3, head in self.experts()])


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride, groups, group_width):
        super().__init__()
        width = planes * group_width // 64 * groups
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, 1, groups, False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        self.downsample = None
        if stride > 1 or inputs != 4 * planes:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, 4 * planes, 1, stride, bias=False),
                                            nn.BatchNorm2d(4 * planes))

    def forward(self, x):
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(y)) + (self.downsample(x) if self.downsample else x))


class LargeNet(nn.Module):
    def __init__(self, blocks, groups=1, group_width=64):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inputs = 64
        for i, count in enumerate(blocks):
            stage = []
            for k in range(count):
                stage.append(Bottleneck(inputs, 64 << i, 2 if i and not k else 1, groups, group_width))
                inputs = 4 * (64 << i)
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.fc = nn.Linear(inputs, CLASSES)

    def forward(self, x):
        h = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            h = stage(h)
        return self.fc(h.mean((2, 3)))[None]


def least_before_relu(net, x):
    """The smallest |value| that a ReLU of the net in training mode is given."""
    least, relu = [], F.relu

    def seen(values):
        least.append(values.detach().abs().min().item())
        return relu(values)

    buffers = {name: b.clone() for name, b in net.named_buffers()}
    F.relu = seen
    with torch.no_grad():
        net(x)
    F.relu = relu
    for name, b in net.named_buffers():
        b.copy_(buffers[name])
    return min(least)


def input_key(net, size):
    """The first key from 1000 on whose images leave no ReLU's sign to rounding, which would change gradients by far
    more than it. tests/ride/models_test.cpp has the key."""
    for key in range(1000, 2000):
        if least_before_relu(net, fill((BATCH, 3, size, size), key, -1, 1)) > SAFE:
            return key
    raise SystemExit("no input keeps away from the ReLUs' corners")


def run(net, prefix, gradients, buffers, size=SIZE):
    net.double()
    with torch.no_grad():
        fill_net(net)
    net.train()
    key = input_key(net, size) if gradients else 1000
    print(f"{prefix}: images by key {key}")
    x = fill((BATCH, 3, size, size), key, -1, 1).requires_grad_()
    labels = torch.arange(BATCH) * 3 % CLASSES
    net.eval()
    out = {"eval_logits": net(x).detach()}
    net.train()
    logits = net(x)
    loss = sum(F.cross_entropy(z, labels) for z in logits)
    loss.backward()
    out |= {"train_logits": logits.detach(), "loss": loss.detach(),
            "grad.x": x.grad}
    parameters, tensors = dict(net.named_parameters()), net.state_dict()
    out |= {f"grad.{name}": parameters[name].grad.flatten()[:500] for name in gradients}
    out |= {f"after.{name}": tensors[name] for name in buffers}
    return {f"{prefix}.{name}": tensor.float().contiguous() for name, tensor in out.items()}


def run_block(block, prefix):
    """A block small enough that no ReLU's sign hangs on rounding, which would change gradients by more than it."""
    block.double()
    with torch.no_grad():
        fill_net(block)
    x = fill((2, block.conv1.in_channels, 5, 6), 1000, -1, 1).requires_grad_()
    y = block(x)
    y.backward(fill(y.shape, 1001, -1, 1))
    out = {"y": y.detach(), "grad.x": x.grad} | {f"grad.{name}": p.grad for name, p in block.named_parameters()}
    return {f"{prefix}.{name}": tensor.float().contiguous() for name, tensor in out.items()}


def main():
    ride = run(
        Net(experts=2, planes=24, cosine=True),
        "ride2",
        ["conv1.weight", "layer1.0.bn1.weight", "layer2s.0.0.conv1.weight", "layer2s.1.0.conv1.weight",
         "layer3s.0.0.bn2.bias", "layer3s.1.4.conv2.weight", "linears.0.weight", "linears.1.weight"],
        ["bn1.running_mean", "layer2s.0.0.bn1.running_var", "layer3s.1.4.bn2.running_mean"],
    )
    plain = run(
        Net(experts=1, planes=32, cosine=False),
        "resnet32",
        ["conv1.weight", "layer2.0.conv1.weight", "layer3.4.bn2.weight", "linear.weight", "linear.bias"],
        ["layer1.4.bn2.running_var", "layer3.0.bn1.running_mean"],
    )
    large = {}
    for name, net in (("bottleneck", LargeNet((2, 1, 1, 1))), ("grouped", LargeNet((1, 1, 1, 1), 4, 16))):
        values = run(net, name, [], ["bn1.running_mean", "layer2.0.downsample.1.running_var",
                                     "layer4.0.bn2.running_mean"], LARGE_SIZE)
        large |= {key: value for key, value in values.items() if not key.endswith("grad.x")}
    blocks = (run_block(Bottleneck(6, 3, 2, 1, 64), "block") | run_block(Bottleneck(12, 3, 1, 1, 64), "block_same")
              | run_block(Bottleneck(6, 4, 1, 2, 32), "block_grouped"))
    path = Path(__file__).parent / "models.safetensors"
    save_file(ride | plain | large | blocks, path)
    print(f"{path.name}: {path.stat().st_size} bytes, losses {float(ride['ride2.loss'])} {float(plain['resnet32.loss'])}")


if __name__ == "__main__":
    main()
