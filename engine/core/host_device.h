// ENGINE_HD marks a function that kernels of a GPU may call too. The host's compiler sees nothing.
#pragma once

#if defined(__CUDACC__)
#define ENGINE_HD __host__ __device__
#else
#define ENGINE_HD
#endif
