#include "data/cifar.h"
#include "data/pickle.h"
#include "tests/data/support.h"

namespace {

using test::golden;

uint8_t expected_pixel(int i, int k) { return static_cast<uint8_t>((7 * i + 13 * k + k / 256) % 256); }

// `labels` before the pixels of image i of the formula above.
std::string record(const std::string& labels, int i) {
  std::string bytes = labels;
  for (int k = 0; k < 3072; ++k) bytes.push_back(static_cast<char>(expected_pixel(i, k)));
  return bytes;
}

void check_three_images(const data::Dataset& set) {
  REQUIRE(set.size() == 3);
  CHECK(set.num_classes() == 100);
  CHECK(data::all_labels(set) == std::vector<int64_t>{5, 99, 0});
  for (int i = 0; i < 3; ++i) {
    const data::Image image = set.image(i);
    CHECK(image.channels == 3);
    CHECK(image.bytes() == 3072);
    int different = 0;
    for (int k = 0; k < 3072; ++k) different += image.pixels[k] != expected_pixel(i, k);
    CHECK(different == 0);
  }
}

TEST_CASE("cifar: pickles of Python 2 and 3, protocols 0, 2 and 4") {
  for (const char* folder : {"python2", "protocol0", "python3_protocol2", "python3_protocol4"}) {
    CAPTURE(folder);
    check_three_images(*data::load_cifar100(golden(folder), true));
  }
  CHECK(data::load_cifar100(golden("protocol0"), true)->class_names()[42] == "class 42");
  CHECK(data::load_cifar100(golden("python3_protocol4"), true)->class_names()[99] == "class 99");
  CHECK(data::load_cifar100(golden("python2"), true)->class_names()[7] == "7");  // no meta file there
}

TEST_CASE("cifar: binary records, in the folder itself and in the archive's") {
  const std::string content = record({1, 5}, 0) + record({19, 99}, 1) + record({0, 0}, 2);
  for (const char* place : {"train.bin", "cifar-100-binary/train.bin"}) {
    const TemporaryFolder folder;
    test::write_file(folder / place, content);
    check_three_images(*data::load_cifar100(folder.path.string(), true));
  }
}

TEST_CASE("cifar: the five parts of CIFAR-10") {
  const TemporaryFolder folder;
  for (int part = 1; part <= 5; ++part) {
    test::write_file(folder / fmt::format("cifar-10-batches-bin/data_batch_{}.bin", part),
                     record(std::string(1, static_cast<char>(part)), part) + record(std::string(1, '\0'), 0));
  }
  std::string names;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "truck"}) names += std::string(name) + "\n";
  test::write_file(folder / "cifar-10-batches-bin/batches.meta.txt", names + "\n");
  const auto set = data::load_cifar10(folder.path.string(), true);
  CHECK(data::all_labels(*set) == std::vector<int64_t>{1, 0, 2, 0, 3, 0, 4, 0, 5, 0});
  CHECK(set->image(8).pixels[100] == expected_pixel(5, 100));
  CHECK(set->class_names()[9] == "truck");
  CHECK_ERROR(data::load_cifar10(folder.path.string(), false), "test_batch.bin", "test_batch", "cifar-10-batches-py");
}

TEST_CASE("cifar: the real CIFAR-100") {
  const std::string folder = test::shared_data("cifar-100-binary");
  if (folder.empty()) return;
  const auto set = data::load_cifar100(folder, false);
  CHECK(set->size() == 10000);
  CHECK(data::class_counts(*set) == std::vector<int64_t>(100, 100));
  CHECK(set->class_names()[0] == "apple");
  CHECK(set->class_names()[99] == "worm");
  CHECK_ERROR(set->image(10000), "index 10000", "10000 images");
  CHECK_ERROR(set->label(-1), "index -1");
}

TEST_CASE("cifar: broken binary files") {
  const TemporaryFolder folder;
  CHECK_ERROR(data::load_cifar100(folder.path.string(), true), folder.path.string(), "train.bin", "cifar-100-python");
  test::write_file(folder / "train.bin", record({0, 1}, 0) + record({0, 100}, 1));
  CHECK_ERROR(data::load_cifar100(folder.path.string(), true), "train.bin, offset 3075: label 100, expected 0 to 99");
  test::write_file(folder / "train.bin", record({0, 1}, 0) + record({0, 2}, 1).substr(0, 1000));
  CHECK_ERROR(data::load_cifar100(folder.path.string(), true), "truncated",
              "offset 3074 has 1000 bytes, expected 3074");
  test::write_file(folder / "train.bin", "");
  CHECK_ERROR(data::load_cifar100(folder.path.string(), true), "train.bin is empty");
  test::write_file(folder / "train.bin", record({0, 1}, 0));
  test::write_file(folder / "fine_label_names.txt", "apple\n");
  CHECK_ERROR(data::load_cifar100(folder.path.string(), true), "fine_label_names.txt has 1 names, expected 100");
}

TEST_CASE("pickle: nothing is executed, and other content is refused") {
  CHECK_ERROR(data::load_cifar100(golden("malicious"), true), "a call of 'os system'", "offset 26");
  CHECK_ERROR(data::load_cifar100(golden("wrong_dtype"), true), "dtype 'i4'", "u1");
  const TemporaryFolder folder;
  const auto read = [&](const std::string& content) {
    test::write_file(folder / "train", content);
    return error_of([&] { data::Pickle(folder / "train").integers("fine_labels"); });
  };
  CHECK(read("}U\x0b"
             "fine_labels](K\x01K\x02"
             "es.")
            .empty());
  CHECK(contains(read("]."), "holds no dict"));
  CHECK(contains(read("}."), "has no 'fine_labels'"));
  CHECK(contains(read("}U\x0b"
                      "fine_labelsK\x01s."),
                 "another type"));
  CHECK(contains(read("}U\x0b"
                      "fine_labels](U\x01xes."),
                 "element 0 of 'fine_labels' is no integer"));
  CHECK(contains(read(std::string("\x80\x05}.")), "protocol 5"));
  CHECK(contains(read("\xff"), "opcode 0xff"));
  CHECK(contains(read("T\xff\xff\xff\xff"
                      "abc"),
                 "truncated: expected 4294967295 more bytes, 3 are left"));
  CHECK(contains(read("}e."), "mark is missing"));
  CHECK(contains(read("h\x07."), "memo 7"));
  CHECK(contains(read("\x86."), "tuple of 2"));
  CHECK(contains(read("s."), "without the list or dict"));
  CHECK(contains(read("NN."), "ends with 2 values"));
  CHECK(contains(read("S'abc\n."), "without quotes"));
  CHECK(contains(read("I12x\n."), "'12x' is no integer"));
  CHECK(contains(read("R"), "a value is missing"));
  CHECK(contains(read(""), "truncated"));
}

TEST_CASE("pickle: a file cut anywhere, or with any byte changed, is read or refused, never worse") {
  const TemporaryFolder folder;
  for (const char* name : {"python2", "protocol0", "python3_protocol4"}) {
    const std::string content = test::read_file(golden(std::string(name) + "/train"));
    REQUIRE(content.size() > 9000);
    for (std::size_t size = 0; size < content.size(); size += size < 300 ? 1 : 1171) {
      test::write_file(folder / "train", content.substr(0, size));
      CHECK_ERROR(data::load_cifar100(folder.path.string(), true), "train");
    }
    for (std::size_t at = 0; at < 300; ++at) {
      std::string changed = content;
      changed[at] = static_cast<char>(changed[at] + 1 + at % 251);
      test::write_file(folder / "train", changed);
      const std::string error = error_of([&] { data::load_cifar100(folder.path.string(), true); });
      CHECK((error.empty() || error.find("train") != std::string::npos));
    }
  }
}

}  // namespace
