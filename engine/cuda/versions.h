// The versions of the vendor libraries, for the record of a run.
#pragma once
#include <string>

namespace engine::cuda {

// "cuDNN 9.19.0"; what is wrong where it can't be opened.
std::string library_versions();

}  // namespace engine::cuda
