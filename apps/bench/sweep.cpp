#include "apps/bench/sweep.h"

#include <charconv>
#include <limits>

#include "engine/core/error.h"

namespace apps::bench {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

template <class Int>
Int positive(const std::string& key, const std::string& text) {
  Int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  engine::check(error == std::errc{} && end == text.data() + text.size() && value > 0, "bench",
                "--sweep {}: '{}' is not a whole number from 1 to {}", key, text, std::numeric_limits<Int>::max());
  return value;
}

void set(Options& options, const std::string& key, const std::string& value) {
  engine::check(!value.empty(), "bench", "--sweep {}: a value is missing", key);
  if (key == "batch")
    options.batch = positive<int64_t>(key, value);
  else if (key == "image-size")
    options.image_size = positive<int64_t>(key, value);
  else if (key == "threads")
    options.threads = positive<int>(key, value);
  else if (key == "model")
    options.model = value;
  else if (key == "mode")
    options.mode = value;
  else if (key == "precision")
    options.precision = value;
  else if (key == "format")
    options.format = value;
  else
    engine::fail("bench", "--sweep knows no '{}': batch, image-size, threads, model, mode, precision, format", key);
}

}  // namespace

std::vector<Options> combinations(const Options& base, const std::vector<std::string>& axes) {
  std::vector<Options> all{base};
  for (const std::string& axis : axes) {
    const std::size_t equals = axis.find('=');
    engine::check(equals != std::string::npos, "bench", "--sweep takes key=value,value,..., got '{}'", axis);
    std::vector<Options> longer;
    for (const Options& options : all)
      for (const std::string& value : split(axis.substr(equals + 1), ',')) {
        longer.push_back(options);
        set(longer.back(), axis.substr(0, equals), value);
      }
    all = std::move(longer);
  }
  return all;
}

}  // namespace apps::bench
