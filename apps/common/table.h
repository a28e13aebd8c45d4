// Plain text tables: the first column to the left, the others to the right, a rule under the head.
#pragma once
#include <string>
#include <vector>

namespace apps {

class Table {
 public:
  explicit Table(std::vector<std::string> head);

  // One cell per column; throws otherwise.
  void add(std::vector<std::string> row);
  std::string str() const;  // ends with a line break

 private:
  std::vector<std::vector<std::string>> rows_;  // the head first
};

// A share in [0, 1] as percent, "48.0"; "-" for NaN (a split without classes).
std::string percent(double share, int decimals = 1);

}  // namespace apps
