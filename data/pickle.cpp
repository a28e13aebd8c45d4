#include "data/pickle.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <initializer_list>

#include "data/input_file.h"
#include "engine/core/error.h"

namespace data {

namespace {

constexpr int64_t max_file_bytes = int64_t{1} << 30;
constexpr std::size_t max_values = 8'000'000;  // CIFAR-100 needs 160,000

}  // namespace

template <class... Args>
void Pickle::wrong(const char* text, Args... args) const {
  engine::fail("pickle", "{}, offset {}: {}", path_, position_, fmt::format(fmt::runtime(text), args...));
}

Pickle::Pickle(const std::string& path) : path_(path), content_(read_whole_file(path, max_file_bytes)) {
  while (true) {
    const uint8_t opcode = static_cast<uint8_t>(take(1)[0]);
    if (opcode == '.') break;
    step(opcode);
  }
  if (stack_.size() != 1 || !marks_.empty()) wrong("the pickle ends with {} values, expected 1", stack_.size());
  memo_.clear();
}

// --- the stack machine ----------------------------------------------------------------------------------------------

// Opcodes by their letters in Python's pickletools, protocol 0 here, the later ones in step_binary.
void Pickle::step(uint8_t opcode) {
  switch (opcode) {
    case '(': marks_.push_back(stack_.size()); return;
    case 'N': push({}); return;
    case 'I':
    case 'L': push_text_integer(); return;
    case 'F':
      line();
      push({Kind::number, 0, {}, {}});
      return;  // no field we read is a float
    case 'S': push_quoted(); return;
    case 'V': push_bytes(line()); return;
    case 'p':
    case 'g': {
      const std::string_view digits = line();
      uint64_t key = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), key);
      if (error != std::errc() || end != digits.data() + digits.size()) wrong("'{}' is no memo number", digits);
      return opcode == 'p' ? remember(key) : recall(key);
    }
    case 'c': {
      const std::string_view module = line();
      return push_global(module, line());
    }
    case 'R': return call();
    case 'b': return build();
    case 'd': return collect(Kind::dict, pop_mark());
    case 'l': return collect(Kind::list, pop_mark());
    case 't': return collect(Kind::tuple, pop_mark());
    case 's': return extend(Kind::dict, stack_.size() - std::min<std::size_t>(2, stack_.size()));
    case 'a': return extend(Kind::list, stack_.size() - std::min<std::size_t>(1, stack_.size()));
    default: return step_binary(opcode);
  }
}

void Pickle::step_binary(uint8_t opcode) {
  switch (opcode) {
    case 0x80: {
      const uint64_t protocol = unsigned_integer(1);
      if (protocol > 4) wrong("pickle protocol {} is not read here, expected 0 to 4", protocol);
      return;
    }
    case 0x95: unsigned_integer(8); return;  // a frame: its length only matters to readers of streams
    case 'J': return push_integer(static_cast<int32_t>(unsigned_integer(4)));
    case 'K': return push_integer(static_cast<int64_t>(unsigned_integer(1)));
    case 'M': return push_integer(static_cast<int64_t>(unsigned_integer(2)));
    case 0x8a: return push_long(unsigned_integer(1));
    case 'G':
      take(8);
      push({Kind::number, 0, {}, {}});
      return;
    case 0x88:
    case 0x89: return push_integer(opcode == 0x88, Kind::boolean);
    case 'U':
    case 'C':
    case 0x8c: return push_bytes(take(unsigned_integer(1)));
    case 'T':
    case 'B':
    case 'X': return push_bytes(take(unsigned_integer(4)));
    case 0x8d:
    case 0x8e: return push_bytes(take(unsigned_integer(8)));
    case 'q': return remember(unsigned_integer(1));
    case 'r': return remember(unsigned_integer(4));
    case 0x94: return remember(memo_.size());
    case 'h': return recall(unsigned_integer(1));
    case 'j': return recall(unsigned_integer(4));
    case ']': return collect(Kind::list, stack_.size());
    case ')': return collect(Kind::tuple, stack_.size());
    case '}': return collect(Kind::dict, stack_.size());
    case 0x85:
    case 0x86:
    case 0x87: {
      const std::size_t count = opcode - 0x84;
      if (stack_.size() < count) wrong("tuple of {} values, but only {} are there", count, stack_.size());
      return collect(Kind::tuple, stack_.size() - count);
    }
    case 'u': return extend(Kind::dict, pop_mark());
    case 'e': return extend(Kind::list, pop_mark());
    case 0x93: {
      const Ref name = pop(), module = pop();
      return push_global(values_[module].bytes, values_[name].bytes);
    }
    default: wrong("opcode 0x{:02x} is not one that CIFAR's files use", opcode);
  }
}

// The three calls that numpy's pickles of byte arrays make. What they build is represented, nothing is run.
void Pickle::call() {
  const Value arguments = values_[pop()];
  const Value callee = values_[pop()];
  if (callee.kind != Kind::global || arguments.kind != Kind::tuple) wrong("a call of something that can't be called");
  if (callee.bytes == "numpy.core.multiarray _reconstruct" || callee.bytes == "numpy._core.multiarray _reconstruct") {
    push({Kind::array, 0, {}, {}});
  } else if (callee.bytes == "numpy dtype") {
    const std::string_view type = arguments.items.empty() ? "" : values_[arguments.items[0]].bytes;
    if (type != "u1") wrong("an array of dtype '{}', expected bytes (u1)", type);
    push({Kind::dtype, 0, {}, {}});
  } else if (callee.bytes == "_codecs encode") {
    // Python 3 writes bytes so in protocol 2: one UTF-8 character, below U+0100, per byte.
    const std::string_view text = arguments.items.empty() ? "" : values_[arguments.items[0]].bytes;
    std::string& bytes = decoded_.emplace_back();
    bytes.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
      const uint8_t head = static_cast<uint8_t>(text[i]);
      const bool two = (head & 0xfe) == 0xc2 && i + 1 < text.size();
      if (head >= 0x80 && !two) wrong("bytes written as text hold a character above U+00FF");
      bytes.push_back(static_cast<char>(two ? (head & 3) << 6 | (text[++i] & 0x3f) : head));
    }
    push_bytes(bytes);
  } else {
    wrong("a call of '{}': only numpy arrays of bytes are read", callee.bytes);
  }
}

// An array's state is (version, shape, dtype, fortran order, bytes); a dtype's (byte order and such) says nothing here.
void Pickle::build() {
  const Value state = values_[pop()];
  Value& target = values_[top()];
  if (target.kind == Kind::dtype) return;
  const bool fits = target.kind == Kind::array && state.kind == Kind::tuple && state.items.size() == 5 &&
                    values_[state.items[1]].kind == Kind::tuple && values_[state.items[2]].kind == Kind::dtype &&
                    values_[state.items[4]].kind == Kind::bytes;
  if (!fits) wrong("the state of an object that is no numpy array of bytes");
  if (values_[state.items[3]].integer != 0) wrong("an array in column-major order, expected row-major");
  target.items = {state.items[1], state.items[4]};
}

Pickle::Ref Pickle::push(Value value) {
  if (values_.size() >= max_values) wrong("more than {} values", max_values);
  values_.push_back(std::move(value));
  stack_.push_back(static_cast<Ref>(values_.size() - 1));
  return stack_.back();
}

void Pickle::push_global(std::string_view module, std::string_view name) {
  const std::string& full = decoded_.emplace_back(fmt::format("{} {}", module, name));
  push({Kind::global, 0, full, {}});
}

// "I42", "I01" (True in old pickles), "L42L"
void Pickle::push_text_integer() {
  std::string_view digits = line();
  if (digits == "00" || digits == "01") return push_integer(digits == "01", Kind::boolean);
  if (digits.ends_with('L')) digits.remove_suffix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) wrong("'{}' is no integer", digits);
  push_integer(value);
}

// A Python string literal: quotes, and escapes for what is not printable.
void Pickle::push_quoted() {
  const std::string_view quoted = line();
  if (quoted.size() < 2 || (quoted[0] != '\'' && quoted[0] != '"') || quoted.back() != quoted[0]) {
    wrong("a string without quotes");
  }
  const std::string_view text = quoted.substr(1, quoted.size() - 2);
  std::string& bytes = decoded_.emplace_back();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes.push_back(text[i]);
      continue;
    }
    const char kind = ++i < text.size() ? text[i] : '\0';
    int value = 0;
    switch (kind) {
      case 'n': bytes.push_back('\n'); break;
      case 'r': bytes.push_back('\r'); break;
      case 't': bytes.push_back('\t'); break;
      case '\\':
      case '\'':
      case '"': bytes.push_back(kind); break;
      case 'x':
        if (i + 2 >= text.size() ||
            std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr != text.data() + i + 3) {
          wrong("a \\x escape without two hex digits");
        }
        bytes.push_back(static_cast<char>(value));
        i += 2;
        break;
      default: wrong("unknown escape '\\{}' in a string", kind);
    }
  }
  push_bytes(bytes);
}

// Two's complement, little-endian, of any length; ours fit 64 bits.
void Pickle::push_long(std::size_t size) {
  if (size > 8) wrong("an integer of {} bytes, expected at most 8", size);
  const std::string_view bytes = take(size);
  uint64_t value = !bytes.empty() && static_cast<uint8_t>(bytes.back()) >= 0x80 ? ~uint64_t{0} : 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  push_integer(static_cast<int64_t>(value));
}

// Replaces the stack from `first` on by one value that holds it.
void Pickle::collect(Kind kind, std::size_t first) {
  Value value{kind, 0, {}, {stack_.begin() + static_cast<std::ptrdiff_t>(first), stack_.end()}};
  if (kind == Kind::dict && value.items.size() % 2) wrong("a dict with a key that has no value");
  stack_.resize(first);
  push(std::move(value));
}

// Moves the stack from `first` on into the list or dict below it.
void Pickle::extend(Kind kind, std::size_t first) {
  if (first == 0 || first > stack_.size()) wrong("values without the list or dict they belong to");
  Value& target = values_[stack_[first - 1]];
  if (target.kind != kind) wrong("elements for something that is no {}", kind == Kind::dict ? "dict" : "list");
  if (kind == Kind::dict && (stack_.size() - first) % 2) wrong("a dict with a key that has no value");
  target.items.insert(target.items.end(), stack_.begin() + static_cast<std::ptrdiff_t>(first), stack_.end());
  stack_.resize(first);
}

void Pickle::recall(uint64_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) wrong("memo {} was never set", key);
  stack_.push_back(found->second);
}

Pickle::Ref Pickle::top() const {
  if (stack_.empty()) wrong("a value is missing");
  return stack_.back();
}

Pickle::Ref Pickle::pop() {
  const Ref ref = top();
  stack_.pop_back();
  return ref;
}

std::size_t Pickle::pop_mark() {
  if (marks_.empty() || marks_.back() > stack_.size()) wrong("a mark is missing");
  const std::size_t mark = marks_.back();
  marks_.pop_back();
  return mark;
}

uint64_t Pickle::unsigned_integer(int size) {
  const std::string_view bytes = take(size);
  uint64_t value = 0;
  for (int i = size; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

std::string_view Pickle::take(uint64_t size) {
  if (size > content_.size() - position_) {
    wrong("the file is truncated: expected {} more bytes, {} are left", size, content_.size() - position_);
  }
  const std::string_view bytes(reinterpret_cast<const char*>(content_.data()) + position_, size);
  position_ += size;
  return bytes;
}

std::string_view Pickle::line() {
  const auto begin = content_.begin() + static_cast<std::ptrdiff_t>(position_);
  const auto end = std::find(begin, content_.end(), '\n');
  if (end == content_.end()) wrong("the file is truncated: expected the end of a line");
  const std::string_view text = take(end - begin);
  ++position_;
  return text;
}

// --- what it holds --------------------------------------------------------------------------------------------------

const Pickle::Value* Pickle::find(std::string_view key) const {
  const Value& root = values_[stack_[0]];
  if (root.kind != Kind::dict) wrong("the file holds no dict");
  for (std::size_t i = 0; i + 1 < root.items.size(); i += 2) {
    const Value& name = values_[root.items[i]];
    if (name.kind == Kind::bytes && name.bytes == key) return &values_[root.items[i + 1]];
  }
  return nullptr;
}

const Pickle::Value& Pickle::at(std::string_view key, std::initializer_list<Kind> kinds, const char* expected) const {
  const Value* value = find(key);
  engine::check(value != nullptr, "pickle", "{} has no '{}', expected {}", path_, key, expected);
  engine::check(std::find(kinds.begin(), kinds.end(), value->kind) != kinds.end(), "pickle",
                "{}: '{}' is of another type, expected {}", path_, key, expected);
  return *value;
}

std::vector<int64_t> Pickle::integers(std::string_view key) const {
  std::vector<int64_t> result;
  for (Ref ref : at(key, {Kind::list, Kind::tuple}, "a list of integers").items) {
    engine::check(values_[ref].kind == Kind::integer, "pickle", "{}: element {} of '{}' is no integer", path_,
                  result.size(), key);
    result.push_back(values_[ref].integer);
  }
  return result;
}

std::vector<std::string> Pickle::strings(std::string_view key) const {
  std::vector<std::string> result;
  for (Ref ref : at(key, {Kind::list, Kind::tuple}, "a list of strings").items) {
    engine::check(values_[ref].kind == Kind::bytes, "pickle", "{}: element {} of '{}' is no string", path_,
                  result.size(), key);
    result.emplace_back(values_[ref].bytes);
  }
  return result;
}

Pickle::ByteArray Pickle::byte_array(std::string_view key) const {
  const Value& array = at(key, {Kind::array}, "a numpy array of bytes");
  engine::check(array.items.size() == 2, "pickle", "{}: '{}' is an array without content", path_, key);
  ByteArray result{{}, values_[array.items[1]].bytes};
  uint64_t count = 1;
  for (Ref ref : values_[array.items[0]].items) {
    const int64_t dim = values_[ref].integer;
    engine::check(values_[ref].kind == Kind::integer && dim >= 0 && dim <= max_file_bytes, "pickle",
                  "{}: '{}' has a dimension of {}", path_, key, dim);
    result.shape.push_back(dim);
    count = std::min<uint64_t>(count * static_cast<uint64_t>(dim), uint64_t{1} << 33);
  }
  engine::check(count == result.bytes.size(), "pickle", "{}: the shape of '{}' asks for {} bytes, it has {}", path_,
                key, count, result.bytes.size());
  return result;
}

}  // namespace data
