// Initial values of parameters. Each fills `w` in row-major order from `generator`, whatever w's memory format.
#pragma once
#include "engine/core/random.h"
#include "engine/core/tensor.h"

namespace engine::init {

// Inputs that one output sums over: C/groups * R * S for (K, C/groups, R, S), in for (out, in).
int64_t fan_in(const Tensor& w);

// Normal with standard deviation sqrt(2 / fan_in) (He et al. 2015): keeps the variance through ReLU layers.
void kaiming_normal(const Tensor& w, Generator& generator);
// Normal with standard deviation sqrt(2 / fan_out), fan_out = K * R * S: keeps the gradients' variance instead.
void kaiming_normal_fan_out(const Tensor& w, Generator& generator);
// Uniform in +-1/sqrt(fan_in): what PyTorch's Conv2d and Linear start from (kaiming_uniform with a = sqrt 5).
void kaiming_uniform(const Tensor& w, Generator& generator);
// Uniform in [-bound, bound).
void uniform(const Tensor& w, double bound, Generator& generator);
// Uniform directions: each column of w (in, out) has length 1, as the authors' NormedLinear starts.
void unit_columns(const Tensor& w, Generator& generator);

}  // namespace engine::init
