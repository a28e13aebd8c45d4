#include "apps/common/table.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace apps {

Table::Table(std::vector<std::string> head) : rows_{std::move(head)} {}

void Table::add(std::vector<std::string> row) {
  engine::check(row.size() == rows_[0].size(), "table", "{} cells for {} columns", row.size(), rows_[0].size());
  rows_.push_back(std::move(row));
}

std::string Table::str() const {
  std::vector<std::size_t> widths(rows_[0].size(), 0);
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < widths.size(); ++i)
      line += i == 0 ? fmt::format("{:<{}}", rows_[r][i], widths[i]) : fmt::format("  {:>{}}", rows_[r][i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
    if (r > 0) continue;
    for (std::size_t i = 0; i < widths.size(); ++i) text += (i == 0 ? "" : "  ") + std::string(widths[i], '-');
    text += '\n';
  }
  return text;
}

std::string percent(double share, int decimals) {
  return std::isnan(share) ? "-" : fmt::format("{:.{}f}", 100 * share, decimals);
}

}  // namespace apps
