// A bounded cache: what was used least recently goes first.
#pragma once
#include <cstddef>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>

namespace engine {

// Values are shared, so one in use survives its eviction. For one thread at a time.
template <class Key, class Value, class Hash>
class LruCache {
 public:
  explicit LruCache(std::size_t capacity) : capacity_(capacity) {}

  // The value under `key`, made by make() where there is none.
  template <class Make>
  std::shared_ptr<const Value> get(const Key& key, Make&& make) {
    if (auto found = index_.find(key); found != index_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return found->second->second;
    }
    auto value = std::make_shared<const Value>(make());
    entries_.emplace_front(key, value);
    index_[key] = entries_.begin();
    if (entries_.size() > capacity_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return value;
  }
  std::size_t size() const { return entries_.size(); }

 private:
  using Entry = std::pair<Key, std::shared_ptr<const Value>>;
  std::size_t capacity_;
  std::list<Entry> entries_;
  std::unordered_map<Key, typename std::list<Entry>::iterator, Hash> index_;
};

}  // namespace engine
