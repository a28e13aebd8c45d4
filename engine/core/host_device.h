// ENGINE_HD marks a function that kernels of a GPU may call too. ENGINE_DEVICE marks one that nvcc makes for the GPU
// alone: templates over what only one side has, such as a warp. ENGINE_NO_UNROLL stands before a loop whose copies
// would not find registers there. The host's compiler sees nothing in any.
#pragma once

#if defined(__CUDACC__)
#define ENGINE_HD __host__ __device__
#define ENGINE_DEVICE __device__
#define ENGINE_NO_UNROLL _Pragma("unroll 1")
#else
#define ENGINE_HD
#define ENGINE_DEVICE
#define ENGINE_NO_UNROLL
#endif
