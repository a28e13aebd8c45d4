// What a device needs besides itself, for the record of a run: the driver and the vendor libraries.
#pragma once
#include <iosfwd>
#include <string>

namespace engine::cuda {

// The driver's own version, such as "580.65.06", in the text of /proc/driver/nvidia/version; empty where it has none.
std::string driver_version(std::istream& text);

// Opens cuDNN and cuBLASLt. Throws Error with all that is missing and what to install.
void open_libraries();
std::string library_versions();  // "cuDNN 9.19.0, cuBLASLt 13.1.0", once they are open

}  // namespace engine::cuda
