// cuBLASLt: the library, and a handle for each device.
#pragma once
#include <cublasLt.h>

#include <memory>

#include "engine/cuda/runtime.h"

namespace engine::cuda {

// The functions of the library that are called.
struct BlasFunctions {
  decltype(cublasLtGetVersion)* version;
  decltype(cublasLtCreate)* create;
  decltype(cublasLtGetStatusString)* status_string;
  decltype(cublasLtMatmul)* matmul;
  decltype(cublasLtMatmulAlgoGetHeuristic)* heuristic;
  decltype(cublasLtMatmulDescCreate)* desc_create;
  decltype(cublasLtMatmulDescDestroy)* desc_destroy;
  decltype(cublasLtMatmulDescSetAttribute)* desc_set;
  decltype(cublasLtMatrixLayoutCreate)* layout_create;
  decltype(cublasLtMatrixLayoutDestroy)* layout_destroy;
  decltype(cublasLtMatrixLayoutSetAttribute)* layout_set;
  decltype(cublasLtMatmulPreferenceCreate)* preference_create;
  decltype(cublasLtMatmulPreferenceDestroy)* preference_destroy;
  decltype(cublasLtMatmulPreferenceSetAttribute)* preference_set;
};

// Opened at the first call (versions.h). Throws Error with what is missing.
const BlasFunctions& blas();

// The handle for the device of `c`, made at the first call.
cublasLtHandle_t blas_handle(const Context& c);

// Throws Error with the call and cuBLASLt's words unless it succeeded.
void check_blas(cublasStatus_t status, const char* call);
#define ENGINE_BLAS(call) ::engine::cuda::check_blas((call), #call)

// Descriptors that free themselves.
using BlasDesc = std::shared_ptr<cublasLtMatmulDescOpaque_t>;
using BlasLayout = std::shared_ptr<cublasLtMatrixLayoutOpaque_t>;
using BlasPreference = std::shared_ptr<cublasLtMatmulPreferenceOpaque_t>;
BlasDesc make_desc(cublasComputeType_t compute, cudaDataType_t scale);
BlasLayout make_layout(cudaDataType_t type, int64_t rows, int64_t columns, int64_t leading);
BlasPreference make_preference();

template <class T>
void set(const BlasDesc& desc, cublasLtMatmulDescAttributes_t name, const T& value) {
  ENGINE_BLAS(blas().desc_set(desc.get(), name, &value, sizeof(T)));
}
template <class T>
void set(const BlasLayout& layout, cublasLtMatrixLayoutAttribute_t name, const T& value) {
  ENGINE_BLAS(blas().layout_set(layout.get(), name, &value, sizeof(T)));
}
template <class T>
void set(const BlasPreference& preference, cublasLtMatmulPreferenceAttributes_t name, const T& value) {
  ENGINE_BLAS(blas().preference_set(preference.get(), name, &value, sizeof(T)));
}

}  // namespace engine::cuda
