#include "engine/io/safetensors.h"

#include <doctest/doctest.h>

#include <cstring>

#include "engine/io/atomic_file.h"
#include "engine/ops/shape_ops.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace engine;

namespace {

const Tensor& find(const StateDict& tensors, const std::string& name) {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return tensor;
  throw std::runtime_error("no tensor " + name);
}

Tensor ramp(const Shape& shape) {
  std::vector<float> values(shape.numel());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.5f - 1;
  return Tensor::from(values, shape);
}

// A file with this header text and `data` zero bytes.
std::string raw_file(const std::string& header, std::size_t data) {
  const uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data, '\0');
}

std::string load_error(const TemporaryFolder& folder, const std::string& bytes) {
  const std::string path = folder / "bad.safetensors";
  write_text_atomically(path, bytes);
  const std::string error = error_of([&] { load_safetensors(path); });
  CHECK(contains(error, path));
  return error;
}

}  // namespace

TEST_CASE("safetensors: every dtype comes back bit for bit") {
  const TemporaryFolder folder;
  const std::string path = folder / "all.safetensors";
  StateDict saved;
  for (const DType dtype : {DType::boolean, DType::u8, DType::f16, DType::bf16, DType::f32, DType::i64, DType::f64}) {
    Tensor x = Tensor::zeros({3, 5}, {.dtype = dtype});
    auto* bytes = reinterpret_cast<unsigned char*>(x.raw());
    for (std::size_t i = 0; i < 15 * size_of(dtype); ++i)
      bytes[i] = static_cast<unsigned char>(dtype == DType::boolean ? i % 2 : i * 37 + 1);
    saved.emplace_back(std::string(name(dtype)), x);
  }
  saved.emplace_back("scalar", Tensor::scalar(1.25));
  saved.emplace_back("empty", Tensor::zeros({0, 7}));
  save_safetensors(path, saved, {{"format", "pt"}, {"note", "a \"quoted\"\nline ✓"}});

  const SafetensorsFile loaded = load_safetensors(path);
  CHECK(loaded.metadata == std::map<std::string, std::string>{{"format", "pt"}, {"note", "a \"quoted\"\nline ✓"}});
  REQUIRE(loaded.tensors.size() == saved.size());
  for (const auto& [key, tensor] : saved) {
    CAPTURE(key);
    const Tensor& back = find(loaded.tensors, key);
    CHECK(back.dtype() == tensor.dtype());
    CHECK(back.shape() == tensor.shape());
    CHECK(
        (tensor.numel() == 0 || std::memcmp(back.raw(), tensor.raw(), tensor.numel() * size_of(tensor.dtype())) == 0));
  }
  CHECK(folder.count() == 1);
}

TEST_CASE("safetensors: tensors of one size keep their order, the header is padded to 8") {
  const TemporaryFolder folder;
  const std::string path = folder / "order.safetensors";
  save_safetensors(path, {{"z", ramp({1})}, {"a", ramp({2})}, {"m", ramp({3})}});
  const SafetensorsFile file = load_safetensors(path);
  CHECK(file.tensors[0].first == "z");
  CHECK(file.tensors[1].first == "a");
  CHECK(file.tensors[2].first == "m");
  CHECK(file.metadata.at("format") == "pt");
  const std::string bytes = read_text(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  CHECK(length % 8 == 0);
  CHECK(bytes.size() == 8 + length + 6 * sizeof(float));
}

TEST_CASE("safetensors: views and channels_last are written row-major") {
  const TemporaryFolder folder;
  const std::string path = folder / "views.safetensors";
  const Tensor plain = ramp({2, 3, 4, 5});
  const Tensor nhwc = Tensor::empty({2, 3, 4, 5}, {.format = MemoryFormat::channels_last});
  copy_into(plain, nhwc);
  const Tensor matrix = ramp({3, 4});
  const Tensor transposed = matrix.as_strided({4, 3}, {1, 4});
  const Tensor column = matrix.as_strided({3}, {4}, 2);
  const Tensor broadcast = matrix.as_strided({2, 4}, {0, 1});
  save_safetensors(path, {{"nhwc", nhwc}, {"transposed", transposed}, {"column", column}, {"broadcast", broadcast}});
  const StateDict loaded = load_safetensors(path).tensors;
  CHECK(find(loaded, "nhwc").to<float>() == plain.to<float>());
  CHECK(find(loaded, "nhwc").is_contiguous());
  CHECK(find(loaded, "transposed").to<float>() == std::vector<float>{-1, 1, 3, -.5, 1.5, 3.5, 0, 2, 4, .5, 2.5, 4.5});
  CHECK(find(loaded, "column").to<float>() == std::vector<float>{0, 2, 4});
  CHECK(find(loaded, "broadcast").to<float>() == std::vector<float>{-1, -.5, 0, .5, -1, -.5, 0, .5});
}

TEST_CASE("safetensors: reads what the Python library wrote") {
  const SafetensorsFile file = load_safetensors(std::string(RIDE_SOURCE_ROOT) + "/tests/golden/io_dtypes.safetensors");
  CHECK(file.metadata == std::map<std::string, std::string>{{"format", "pt"}, {"note", "häufig ✓"}});
  const std::vector<double> halves{-1, -.5, 0, .5, 1, 1.5};
  for (const char* floating : {"f32", "bf16", "f16"}) CHECK(find(file.tensors, floating).to<double>() == halves);
  CHECK(find(file.tensors, "f64").to<double>() == std::vector<double>{0, 1.0 / 3, 2.0 / 3, 1, 4.0 / 3, 5.0 / 3});
  CHECK(find(file.tensors, "i64").to<int64_t>() == std::vector<int64_t>{-3, -2, -1, 0, 1, 2});
  CHECK(find(file.tensors, "i32").dtype() == DType::i64);
  CHECK(find(file.tensors, "i32").to<int64_t>() == std::vector<int64_t>{-3, -2, -1, 0, 1, 2});
  CHECK(find(file.tensors, "u8").to<int64_t>() == std::vector<int64_t>{250, 251, 252, 253, 254, 255});
  CHECK(find(file.tensors, "bool").to<int64_t>() == std::vector<int64_t>{0, 1, 0, 1, 0, 1});
  CHECK(find(file.tensors, "scalar").shape() == Shape{});
  CHECK(find(file.tensors, "scalar").item() == 2.5);
  CHECK(find(file.tensors, "empty").shape() == Shape{0, 4});
}

TEST_CASE("safetensors: a file cut anywhere is an error that names it") {
  const TemporaryFolder folder;
  const std::string path = folder / "whole.safetensors";
  save_safetensors(path, {{"weight", ramp({2, 3})}, {"bias", ramp({3})}});
  const std::string whole = read_text(path);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(load_error(folder, whole.substr(0, length)).empty());
  }
  CHECK(contains(load_error(folder, whole.substr(0, whole.size() - 1)), "\"bias\""));
  CHECK(contains(load_error(folder, whole.substr(0, whole.size() - 1)), "truncated"));
  CHECK(contains(load_error(folder, whole + "x"), "the last tensor ends"));
}

TEST_CASE("safetensors: corrupt headers") {
  const TemporaryFolder folder;
  const auto header = [](const std::string& entry) { return "{\"w\":" + entry + "}"; };
  const auto error = [&](const std::string& text, std::size_t data) {
    return load_error(folder, raw_file(text, data));
  };

  CHECK(contains(load_error(folder, std::string("\xff\xff\xff\xff\0\0\0\0abcd", 12)), "at most 100000000"));
  CHECK(contains(load_error(folder, std::string("\x20\0\0\0\0\0\0\0{}", 10)), "header of 32 bytes"));
  CHECK(contains(error("{\"w\":", 0), "no valid JSON"));
  CHECK(contains(error("[1, 2]", 0), "no JSON object"));
  CHECK(contains(error(" {}", 0), "no JSON object"));
  CHECK(contains(error("{\"w\":\"\xff\"}", 0), "no valid JSON"));
  CHECK(contains(error(header("3"), 0), "\"w\" needs dtype"));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[1]})"), 4), "\"w\" needs dtype"));
  CHECK(contains(error(header(R"({"dtype":"F8","shape":[1],"data_offsets":[0,1]})"), 1), "dtype \"F8\""));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"), 4), "shape [-1]"));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,4]})"), 4), "shape [1.5]"));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]})"), 4),
                 "8 dimensions"));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})"), 0),
                 "too large"));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), 4), "needs 8 bytes"));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"), 4), "needs 4 bytes"));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})"), 4), "expected [begin, end]"));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})"), 4), "expected [begin, end]"));
  CHECK(contains(error(header(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})"), 3), "truncated"));
  CHECK(contains(error(R"({"__metadata__":{"epoch":3}})", 0), "metadata \"epoch\""));
  CHECK(contains(error(R"({"__metadata__":[]})", 0), "__metadata__"));
}

TEST_CASE("safetensors: holes, overlaps, repeated names and bad booleans") {
  const TemporaryFolder folder;
  const auto two = [&](const std::string& first, const std::string& second, std::size_t data) {
    return load_error(folder, raw_file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + first +
                                           R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}",
                                       data));
  };
  CHECK(contains(two("[0,4]", "[8,12]", 12), "\"b\" starts at data offset 8, expected 4: a hole"));
  CHECK(contains(two("[4,8]", "[8,12]", 12), "\"a\" starts at data offset 4, expected 0: a hole"));
  CHECK(contains(two("[0,4]", "[2,6]", 6), "\"b\" starts at data offset 2, expected 4: it overlaps"));
  CHECK(contains(two("[0,4]", "[0,4]", 4), "overlaps"));
  const std::string entry = R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  CHECK(contains(load_error(folder, raw_file("{" + entry + "," + entry + "}", 0)), "twice"));
  std::string boolean = raw_file(R"({"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", 2);
  boolean.back() = 2;
  CHECK(contains(load_error(folder, boolean), "neither 0 nor 1"));
}

TEST_CASE("safetensors: missing file, folder, names that cannot be written") {
  const TemporaryFolder folder;
  CHECK(contains(error_of([&] { load_safetensors(folder / "none"); }), "No such file"));
  CHECK(contains(error_of([&] { load_safetensors(folder.path.string()); }), "not a regular file"));
  const std::string path = folder / "x.safetensors";
  CHECK(contains(error_of([&] { save_safetensors(path, {{"a", ramp({1})}, {"a", ramp({1})}}); }), "names two tensors"));
  CHECK(contains(error_of([&] { save_safetensors(path, {{"__metadata__", ramp({1})}}); }), "reserved"));
  CHECK(contains(error_of([&] { save_safetensors(path, {{"a", Tensor()}}); }), "undefined"));
  CHECK(contains(error_of([&] { save_safetensors(path, {{"\xff", ramp({1})}}); }), "UTF-8"));
  CHECK(folder.count() == 0);
}
