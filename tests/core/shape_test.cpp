#include "engine/core/shape.h"

#include <doctest/doctest.h>

#include <vector>

#include "engine/core/memory_format.h"

using namespace engine;

TEST_CASE("a shape knows its size and text") {
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{2, 0, 3}.numel() == 0);
  CHECK(Shape{2, 3, 4}.numel() == 24);
  CHECK(Shape{}.str() == "()");
  CHECK(Shape{5}.str() == "(5,)");
  CHECK(Shape{8, 3, 32, 32}.str() == "(8, 3, 32, 32)");
  CHECK(Shape{2, 3} != Shape{2, 3, 1});
}

TEST_CASE("axes wrap from the end and refuse to leave the shape") {
  const Shape shape{2, 3, 4};
  CHECK(shape.at(-1) == 4);
  CHECK(shape.wrap_axis(-3, "op") == 0);
  CHECK_THROWS_WITH_AS(shape.wrap_axis(3, "sum"), "[sum] axis 3 is out of range for shape (2, 3, 4)", Error);
  CHECK_THROWS_AS(shape.wrap_axis(-4, "sum"), Error);
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), Error);
}

TEST_CASE("erased, inserted and replaced change one axis") {
  const Shape shape{2, 3, 4};
  CHECK(shape.erased(1) == Shape{2, 4});
  CHECK(shape.inserted(0, 7) == Shape{7, 2, 3, 4});
  CHECK(shape.inserted(3, 7) == Shape{2, 3, 4, 7});
  CHECK(shape.replaced(2, 9) == Shape{2, 3, 9});
}

TEST_CASE("broadcast follows numpy's rule") {
  struct Row {
    Shape a, b, expected;
  };
  for (const Row& row : std::vector<Row>{{{}, {3}, {3}},
                                         {{3}, {3}, {3}},
                                         {{2, 3}, {3}, {2, 3}},
                                         {{2, 1}, {1, 3}, {2, 3}},
                                         {{4, 1, 3}, {2, 1}, {4, 2, 3}},
                                         {{0, 3}, {1, 3}, {0, 3}},
                                         {{1}, {0}, {0}},
                                         {{5, 1, 1, 1}, {1, 6}, {5, 1, 1, 6}}}) {
    CHECK(broadcast(row.a, row.b, "add") == row.expected);
    CHECK(broadcast(row.b, row.a, "add") == row.expected);
  }
}

TEST_CASE("broadcast names both shapes and the axis that does not fit") {
  CHECK_THROWS_WITH_AS(broadcast({2, 3}, {2, 4}, "add"),
                       "[add] shapes (2, 3) and (2, 4) don't broadcast: axis 1 has 3 and 4", Error);
  CHECK_THROWS_AS(broadcast({0}, {3}, "add"), Error);
}

TEST_CASE("strides of the memory formats") {
  CHECK(contiguous_strides({2, 3, 4}) == Strides{12, 4, 1});
  CHECK(strides_of({2, 3, 4, 5}, MemoryFormat::contiguous) == Strides{60, 20, 5, 1});
  CHECK(strides_of({2, 3, 4, 5}, MemoryFormat::channels_last) == Strides{60, 1, 15, 3});
  CHECK_THROWS_AS(strides_of({2, 3}, MemoryFormat::channels_last), Error);
  CHECK(name(MemoryFormat::channels_last) == "channels_last");
}
