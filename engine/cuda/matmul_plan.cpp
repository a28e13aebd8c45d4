#include "engine/cuda/matmul_plan.h"

#include <map>
#include <mutex>

#include "engine/core/lru_cache.h"
#include "engine/cuda/blas.h"

namespace engine::cuda {
namespace {

constexpr std::size_t most_workspace = std::size_t{32} << 20;  // bytes

struct Plan {
  BlasDesc desc;
  BlasLayout b, a, y;
  bool found = false;  // whether cuBLASLt has an algorithm
  cublasLtMatmulHeuristicResult_t choice{};
};

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return CUDA_R_32F;
    case DType::bf16: return CUDA_R_16BF;
    case DType::f16: return CUDA_R_16F;
    case DType::f64: return CUDA_R_64F;
    default: fail("matmul", "not defined for {}: cast first", name(dtype));
  }
}

BlasLayout layout_of(const ColumnMajor& m) {
  BlasLayout layout = make_layout(type_of(m.dtype), m.rows, m.columns, m.leading);
  set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(m.batch));
  set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, m.batch_stride);
  return layout;
}

BlasDesc desc_of(const MatmulProblem& p, const void* bias) {
  const bool f64 = p.y.dtype == DType::f64;
  const cublasComputeType_t f32 = p.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  BlasDesc desc = make_desc(f64 ? CUBLAS_COMPUTE_64F : f32, f64 ? CUDA_R_64F : CUDA_R_32F);
  set<int32_t>(desc, CUBLASLT_MATMUL_DESC_TRANSA, p.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set<int32_t>(desc, CUBLASLT_MATMUL_DESC_TRANSB, p.a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (p.bias) {
    set<uint32_t>(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  return desc;
}

// Partial sums, where the work is split along k, are added in f32 and in a fixed order.
BlasPreference preference_of(const MatmulProblem& p) {
  BlasPreference preference = make_preference();
  set<uint64_t>(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
  set<uint32_t>(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
  set<uint32_t>(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.b.alignment);
  set<uint32_t>(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.a.alignment);
  set<uint32_t>(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.y.alignment);
  set<uint32_t>(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.y.alignment);
  return preference;
}

Plan make_plan(const MatmulProblem& p, const Context& c, const void* bias) {
  Plan plan{.desc = desc_of(p, bias), .b = layout_of(p.b), .a = layout_of(p.a), .y = layout_of(p.y)};
  const BlasPreference preference = preference_of(p);
  int count = 0;
  const cublasStatus_t status = blas().heuristic(blas_handle(c), plan.desc.get(), plan.b.get(), plan.a.get(),
                                                 plan.y.get(), plan.y.get(), preference.get(), 1, &plan.choice, &count);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED) check_blas(status, "cublasLtMatmulAlgoGetHeuristic");
  plan.found = status == CUBLAS_STATUS_SUCCESS && count > 0;
  return plan;
}

using PlanCache = LruCache<MatmulProblem, Plan, MatmulProblemHash>;
PlanCache& plans_of(int device) {
  static std::mutex mutex;
  static auto* caches = new std::map<int, PlanCache>;  // never destroyed: the driver may be gone before
  const std::lock_guard lock(mutex);
  return caches->try_emplace(device, 1024).first->second;
}

}  // namespace

bool run_matmul(const MatmulProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  Context& c = context(y.device().index);
  const void* bias_address = bias.defined() ? bias.raw() : nullptr;
  const auto plan = plans_of(c.device()).get(p, [&] { return make_plan(p, c, bias_address); });
  if (!plan->found) return false;
  if (p.bias) set(plan->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias_address);
  const auto bytes = static_cast<int64_t>(plan->choice.workspaceSize);
  const Tensor workspace = bytes > 0 ? Tensor::empty({bytes}, {.dtype = DType::u8, .device = y.device()}) : Tensor();
  const float one = 1, beta = p.onto ? 1 : 0;
  const double one64 = 1, beta64 = beta;
  const bool f64 = p.y.dtype == DType::f64;
  const void* alpha_address = f64 ? static_cast<const void*>(&one64) : &one;
  const void* beta_address = f64 ? static_cast<const void*>(&beta64) : &beta;
  c.use();
  ENGINE_BLAS(blas().matmul(blas_handle(c), plan->desc.get(), alpha_address, b.raw(), plan->b.get(), a.raw(),
                            plan->a.get(), beta_address, y.raw(), plan->y.get(), y.raw(), plan->y.get(),
                            &plan->choice.algo, bytes > 0 ? workspace.raw() : nullptr, plan->choice.workspaceSize,
                            c.stream()));
  c.launched("matmul");
  return true;
}

}  // namespace engine::cuda
