#include "apps/common/table.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/error.h"

using namespace apps;

TEST_CASE("table: first column left, the others right, no trailing blanks") {
  Table table({"method", "all", "few"});
  table.add({"cross-entropy", percent(0.391), percent(0.106)});
  table.add({"RIDE-3", percent(0.48), percent(std::nan(""))});
  table.add({"", "", ""});
  CHECK(table.str() ==
        "method          all   few\n"
        "-------------  ----  ----\n"
        "cross-entropy  39.1  10.6\n"
        "RIDE-3         48.0     -\n"
        "\n");
  CHECK_THROWS_AS(table.add({"one"}), engine::Error);
}

TEST_CASE("table: percent") {
  CHECK(percent(1) == "100.0");
  CHECK(percent(0.12345, 2) == "12.35");
}
