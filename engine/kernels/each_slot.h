// A walk over all slots of a kernel table: what a back end leaves empty is found without calling it.
#pragma once
#include "engine/kernels/select.h"

namespace engine {

// Calls f(slot) for every slot. A family's members are bound by number, so that a slot which is added and not walked
// does not compile.
template <class F>
void for_each_slot(const KernelTable& table, F&& f) {
  const auto each = [&](const auto&... slots) { (f(slots), ...); };
  const auto& [elementwise, reduce, index, conv, matmul, norm, pool, loss, optim, image, peak] = table;
  {
    const auto& [unary, unary_backward, binary, compare, where, copy, dropout] = elementwise;
    each(unary, unary_backward, binary, compare, where, copy, dropout);
  }
  {
    const auto& [sum, argmax, sort, softmax, softmax_backward] = reduce;
    each(sum, argmax, sort, softmax, softmax_backward);
  }
  {
    const auto& [gather, scatter, partition] = index;
    each(gather, scatter, partition);
  }
  {
    const auto& [forward, forward_with_moments, backward_input, backward_weight, backward, backward_norm,
                 forward_fused] = conv;
    each(forward, forward_with_moments, backward_input, backward_weight, backward, backward_norm, forward_fused);
  }
  {
    const auto& [product] = matmul;
    each(product);
  }
  {
    const auto& [statistics, update, normalize, backward, backward_lazy] = norm;
    each(statistics, update, normalize, backward, backward_lazy);
  }
  {
    const auto& [max, max_backward, average, average_backward, global_average, global_average_backward, subsample,
                 subsample_backward] = pool;
    each(max, max_backward, average, average_backward, global_average, global_average_backward, subsample,
         subsample_backward);
  }
  {
    const auto& [ensemble, ensemble_backward] = loss;
    each(ensemble, ensemble_backward);
  }
  {
    const auto& [sgd, adamw, prepare_replay] = optim;
    each(sgd, adamw, prepare_replay);
  }
  {
    const auto& [augment] = image;
    each(augment);
  }
  {
    const auto& [measure] = peak;
    each(measure);
  }
}

}  // namespace engine
