// Reads the pickles that CIFAR's python version is made of: dicts, lists, tuples, numbers, strings and numpy arrays of
// bytes, protocols 0 to 4. It executes nothing: the few names numpy's pickles refer to are known here, any other is an
// error, and so are opcodes beyond these.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace data {

class Pickle {
 public:
  using Ref = uint32_t;  // of a value; values are shared, so a pickle can't nest deeper than its reader's stack
  enum class Kind : uint8_t { none, boolean, integer, number, bytes, list, tuple, dict, global, dtype, array };
  struct Value {
    Kind kind = Kind::none;
    int64_t integer = 0;     // of booleans too
    std::string_view bytes;  // of strings, and the name of a global
    std::vector<Ref> items;  // of lists and tuples; of a dict: key, value, key, value, ...; of an array: shape, bytes
  };
  struct ByteArray {
    std::vector<int64_t> shape;
    std::string_view bytes;  // row-major
  };

  // Reads the file. Throws with its name and the offset where it is not such a pickle.
  explicit Pickle(const std::string& path);

  // The value of `key` in the dict that the file holds; nullptr when there is none. Throws when it holds no dict.
  const Value* find(std::string_view key) const;
  const Value& operator[](Ref ref) const { return values_[ref]; }
  // The elements of what find returned; throw, naming `key`, when it is of another type.
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<std::string> strings(std::string_view key) const;
  ByteArray byte_array(std::string_view key) const;

 private:
  const Value& at(std::string_view key, std::initializer_list<Kind> kinds, const char* expected) const;
  void step(uint8_t opcode);
  void step_binary(uint8_t opcode);
  void call();
  void build();
  Ref push(Value value);
  void push_bytes(std::string_view bytes) { push({Kind::bytes, 0, bytes, {}}); }
  void push_integer(int64_t integer, Kind kind = Kind::integer) { push({kind, integer, {}, {}}); }
  void push_global(std::string_view module, std::string_view name);
  void push_text_integer();
  void push_quoted();
  void push_long(std::size_t size);
  void collect(Kind kind, std::size_t first);
  void extend(Kind kind, std::size_t first);
  void remember(uint64_t key) { memo_[key] = top(); }
  void recall(uint64_t key);
  Ref top() const;
  Ref pop();
  std::size_t pop_mark();
  uint64_t unsigned_integer(int size);
  std::string_view take(uint64_t size);
  std::string_view line();
  template <class... Args>
  [[noreturn]] void wrong(const char* text, Args... args) const;

  std::string path_;
  std::vector<uint8_t> content_;
  std::size_t position_ = 0;
  std::vector<Value> values_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<uint64_t, Ref> memo_;
  std::deque<std::string> decoded_;  // strings that stand in the file in another form
};

}  // namespace data
