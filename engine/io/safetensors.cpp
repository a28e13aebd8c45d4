#include "engine/io/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/io/atomic_file.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors holds little-endian numbers");

using Json = nlohmann::json;
constexpr uint64_t max_header = 100'000'000;
constexpr const char* metadata_key = "__metadata__";

struct TypeName {
  const char* text;
  DType dtype;
  std::size_t size;  // bytes of one element in the file
};
constexpr TypeName type_names[] = {{"F32", DType::f32, 4}, {"BF16", DType::bf16, 2},   {"F16", DType::f16, 2},
                                   {"F64", DType::f64, 8}, {"I64", DType::i64, 8},     {"U8", DType::u8, 1},
                                   {"I32", DType::i64, 4}, {"BOOL", DType::boolean, 1}};

// A file opened for reading at positions; every failure names it.
class InputFile {
 public:
  explicit InputFile(const std::string& path) : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    check(descriptor_ >= 0, "safetensors", "{}: cannot open: {}", path, std::strerror(errno));
    struct stat status {};
    const bool regular = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
    size_ = regular ? static_cast<uint64_t>(status.st_size) : 0;
    if (!regular) {
      ::close(descriptor_);
      fail("safetensors", "{}: not a regular file", path);
    }
  }
  ~InputFile() { ::close(descriptor_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  uint64_t size() const { return size_; }

  void read(void* into, uint64_t offset, uint64_t count) const {
    char* next = static_cast<char*>(into);
    while (count > 0) {
      const ssize_t got = ::pread(descriptor_, next, count, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      check(got >= 0, "safetensors", "{}: cannot read at byte {}: {}", path_, offset, std::strerror(errno));
      check(got > 0, "safetensors", "{}: ends at byte {}, expected {} more", path_, offset, count);
      next += got;
      offset += static_cast<uint64_t>(got);
      count -= static_cast<uint64_t>(got);
    }
  }

 private:
  const std::string& path_;
  int descriptor_;
  uint64_t size_ = 0;
};

struct Entry {
  std::string name;
  const TypeName* type;
  Shape shape;
  uint64_t begin, end;  // bytes after the header
};

Json read_header(const InputFile& file, const std::string& path, uint64_t& data_start) {
  uint64_t length = 0;
  check(file.size() >= 8, "safetensors", "{}: {} bytes, too short for the 8 bytes of the header length", path,
        file.size());
  file.read(&length, 0, 8);
  check(length <= max_header, "safetensors", "{}: byte 0 gives a header of {} bytes, at most {} are allowed", path,
        length, max_header);
  check(length <= file.size() - 8, "safetensors", "{}: byte 0 gives a header of {} bytes, the file ends after {}", path,
        length, file.size() - 8);
  std::string text(length, '\0');
  file.read(text.data(), 8, length);
  data_start = 8 + length;

  std::set<std::string> seen;
  const auto reject_repeats = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth == 1 && event == Json::parse_event_t::key)
      check(seen.insert(value.get<std::string>()).second, "safetensors", "{}: tensor \"{}\" stands twice in the header",
            path, value.get<std::string>());
    return true;
  };
  try {
    Json header = Json::parse(text, reject_repeats);
    check(header.is_object() && text.front() == '{', "safetensors", "{}: the header at byte 8 is no JSON object", path);
    return header;
  } catch (const Json::exception& error) {
    fail("safetensors", "{}: the header at byte 8 is no valid JSON: {}", path, error.what());
  }
}

// The shape and its number of bytes, or an error for dimensions that are no sizes or overflow.
Shape read_shape(const Json& dims, const TypeName& type, uint64_t& bytes, const std::string& path,
                 const std::string& name) {
  check(dims.is_array() && dims.size() <= Shape::max_rank, "safetensors",
        "{}: tensor \"{}\" needs a shape of at most {} dimensions, has {}", path, name, Shape::max_rank, dims.dump());
  Shape shape;
  unsigned __int128 total = type.size;
  for (const Json& dim : dims) {
    check(dim.is_number_unsigned(), "safetensors", "{}: tensor \"{}\" has shape {}", path, name, dims.dump());
    total *= dim.get<uint64_t>();
    check(total <= std::numeric_limits<int64_t>::max(), "safetensors", "{}: tensor \"{}\" of shape {} is too large",
          path, name, dims.dump());
    shape.push_back(dim.get<int64_t>());
  }
  bytes = static_cast<uint64_t>(total);
  return shape;
}

Entry read_entry(const std::string& name, const Json& value, const std::string& path) {
  check(value.is_object() && value.contains("dtype") && value.contains("shape") && value.contains("data_offsets"),
        "safetensors", "{}: tensor \"{}\" needs dtype, shape and data_offsets", path, name);
  const Json& dtype = value["dtype"];
  const auto type = std::find_if(std::begin(type_names), std::end(type_names),
                                 [&](const TypeName& known) { return dtype == known.text; });
  check(type != std::end(type_names), "safetensors",
        "{}: tensor \"{}\" has dtype {}, known are F32 BF16 F16 F64 I64 I32 U8 BOOL", path, name, dtype.dump());
  uint64_t bytes = 0;
  const Shape shape = read_shape(value["shape"], *type, bytes, path, name);
  const Json& offsets = value["data_offsets"];
  check(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() && offsets[1].is_number_unsigned(),
        "safetensors", "{}: tensor \"{}\" has data_offsets {}, expected [begin, end]", path, name, offsets.dump());
  const Entry entry{name, type, shape, offsets[0], offsets[1]};
  check(entry.begin <= entry.end && entry.end - entry.begin == bytes, "safetensors",
        "{}: tensor \"{}\" {} {} needs {} bytes, its data_offsets are {}", path, name, type->text, shape, bytes,
        offsets.dump());
  return entry;
}

// Sorts by position and checks that the tensors cover the data section once and wholly.
void check_layout(std::vector<Entry>& entries, uint64_t data_start, uint64_t file_size, const std::string& path) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const uint64_t available = file_size - data_start;
  uint64_t next = 0;
  for (const Entry& entry : entries) {
    check(entry.begin == next, "safetensors", "{}: tensor \"{}\" starts at data offset {}, expected {}: {} before it",
          path, entry.name, entry.begin, next, entry.begin > next ? "a hole" : "it overlaps the tensor");
    check(entry.end <= available, "safetensors",
          "{}: tensor \"{}\" ends at data offset {} (byte {} of the file), the file has {} bytes: truncated?", path,
          entry.name, entry.end, data_start + entry.end, file_size);
    next = entry.end;
  }
  check(next == available, "safetensors", "{}: the last tensor ends at byte {}, the file has {} bytes", path,
        data_start + next, file_size);
}

Tensor read_tensor(const InputFile& file, const Entry& entry, uint64_t data_start, const std::string& path) {
  Tensor tensor = Tensor::empty(entry.shape, {.dtype = entry.type->dtype});
  const uint64_t bytes = entry.end - entry.begin;
  if (bytes == 0) return tensor;
  if (entry.type->size != size_of(entry.type->dtype)) {  // I32
    std::vector<int32_t> narrow(bytes / sizeof(int32_t));
    file.read(narrow.data(), data_start + entry.begin, bytes);
    std::copy(narrow.begin(), narrow.end(), tensor.data<int64_t>());
    return tensor;
  }
  file.read(tensor.raw(), data_start + entry.begin, bytes);
  if (entry.type->dtype == DType::boolean) {
    const auto* values = reinterpret_cast<const unsigned char*>(tensor.raw());
    const auto* bad = std::find_if(values, values + bytes, [](unsigned char value) { return value > 1; });
    check(bad == values + bytes, "safetensors", "{}: tensor \"{}\" is BOOL but byte {} of the file is neither 0 nor 1",
          path, entry.name, data_start + entry.begin + static_cast<uint64_t>(bad - values));
  }
  return tensor;
}

const TypeName& type_name_of(DType dtype) {
  return *std::find_if(std::begin(type_names), std::end(type_names),
                       [&](const TypeName& t) { return t.dtype == dtype; });
}

// The order of the tensors' bytes and the header that describes it, padded to 8.
std::string make_header(const StateDict& sorted, const std::map<std::string, std::string>& metadata,
                        const std::string& path) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[metadata_key] = metadata;
  uint64_t offset = 0;
  std::set<std::string> seen{metadata_key};
  for (const auto& [name, tensor] : sorted) {
    check(seen.insert(name).second, "safetensors", "{}: \"{}\" {}", path, name,
          name == metadata_key ? "is reserved, it cannot name a tensor" : "names two tensors");
    const uint64_t bytes = static_cast<uint64_t>(tensor.numel()) * size_of(tensor.dtype());
    header[name] = {{"dtype", type_name_of(tensor.dtype()).text},
                    {"shape", std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end())},
                    {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception& error) {
    fail("safetensors", "{}: names and metadata must be UTF-8: {}", path, error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  check(text.size() <= max_header, "safetensors", "{}: the header would have {} bytes, at most {} are allowed", path,
        text.size(), max_header);
  return text;
}

}  // namespace

SafetensorsFile load_safetensors(const std::string& path) {
  const InputFile file(path);
  uint64_t data_start = 0;
  const Json header = read_header(file, path, data_start);
  SafetensorsFile result;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name != metadata_key) {
      entries.push_back(read_entry(name, value, path));
      continue;
    }
    check(value.is_object(), "safetensors", "{}: {} is no JSON object", path, metadata_key);
    for (const auto& [key, text] : value.items()) {
      check(text.is_string(), "safetensors", "{}: metadata \"{}\" is {}, expected a string", path, key, text.dump());
      result.metadata[key] = text;
    }
  }
  check_layout(entries, data_start, file.size(), path);
  for (const Entry& entry : entries)
    result.tensors.emplace_back(entry.name, read_tensor(file, entry, data_start, path));
  return result;
}

void save_safetensors(const std::string& path, const StateDict& tensors,
                      const std::map<std::string, std::string>& metadata) {
  for (const auto& [name, tensor] : tensors)
    check(tensor.defined(), "safetensors", "{}: tensor \"{}\" is undefined", path, name);
  StateDict sorted = tensors;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return size_of(a.second.dtype()) > size_of(b.second.dtype()); });
  const std::string header = make_header(sorted, metadata, path);
  const uint64_t length = header.size();
  write_atomically(path, [&](AtomicFile& file) {
    file.write(&length, 8);
    file.write(header);
    for (const auto& [name, tensor] : sorted) {
      const Tensor dense = contiguous(tensor.detach().to(Device{}));
      file.write(dense.raw(), static_cast<std::size_t>(dense.numel()) * size_of(dense.dtype()));
    }
  });
}

}  // namespace engine
