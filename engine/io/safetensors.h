// The safetensors file format: 8 bytes little-endian header length, a JSON header padded to 8 bytes, then the tensors'
// raw row-major bytes without holes or overlaps.
#pragma once
#include <map>
#include <string>

#include "engine/core/state_dict.h"

namespace engine {

struct SafetensorsFile {
  StateDict tensors;                            // in the order of their bytes in the file
  std::map<std::string, std::string> metadata;  // the header's "__metadata__"
};

// Reads a whole file. Types F32 BF16 F16 F64 I64 U8 BOOL are kept, I32 becomes i64. Anything the format forbids (a
// header over 100 MB or no JSON object, holes, overlaps, offsets outside the file, a shape that doesn't fill its bytes)
// throws Error with the file, the tensor and the offset, and nothing is returned.
SafetensorsFile load_safetensors(const std::string& path);

// Writes `tensors` of any device row-major whatever their strides (convolution weights as OIHW), atomically
// (AtomicFile). They are laid out by falling element size, otherwise in their order, so that each lies aligned for
// readers that map the file.
void save_safetensors(const std::string& path, const StateDict& tensors,
                      const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace engine
