// What is written comes back: data sets, groups, attributes, on disk and in memory.
#include "base/hdf5.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/atomic_file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace trireme {
namespace {

using test::expect_error;
using test::TemporaryFolder;

template <class T>
std::vector<T> counted(int64_t n) {
  std::vector<T> values(static_cast<size_t>(n));
  std::iota(values.begin(), values.end(), T{1});
  return values;
}

template <class T>
class Hdf5Types : public testing::Test {};
using AllTypes = testing::Types<float, double, int32_t, int64_t, uint8_t>;
TYPED_TEST_SUITE(Hdf5Types, AllTypes);

TYPED_TEST(Hdf5Types, DatasetsComeBack) {
  TemporaryFolder folder;
  constexpr DType type = dtype_of<TypeParam>();
  const Shape shape{5, 3, 2};
  auto values = counted<TypeParam>(shape.elements());
  {
    h5::Handle file = h5::create_file(folder / "a.h5");
    h5::write_all(h5::create_dataset(file, "/deep/down/plain", type, shape), type, values.data());
    h5::Handle chunked =
        h5::create_dataset(file, "/chunked", type, shape, {.chunk = Shape{2, 100, 2}, .fletcher32 = true});
    h5::write_rows(chunked, type, 0, 3, values.data());
    h5::write_rows(chunked, type, 3, 2, values.data() + 18);
    chunked = {};
    h5::close_file(std::move(file));
  }
  h5::Handle file = h5::open_file(folder / "a.h5");
  for (const char* name : {"/deep/down/plain", "/chunked"}) {
    h5::Handle dataset = h5::open_dataset(file, name);
    EXPECT_EQ(h5::shape_of(dataset), shape);
    EXPECT_EQ(h5::dtype_of(dataset), type);
    std::vector<TypeParam> read(values.size());
    h5::read_all(dataset, type, read.data());
    EXPECT_EQ(read, values);
    std::vector<TypeParam> rows(12);
    h5::read_rows(dataset, type, 1, 2, rows.data());
    EXPECT_EQ(rows, std::vector<TypeParam>(values.begin() + 6, values.begin() + 18));
    EXPECT_EQ(h5::has_fletcher32(dataset), name == std::string("/chunked"));
  }
  EXPECT_EQ(h5::chunk_of(h5::open_dataset(file, "/chunked")), (Shape{2, 3, 2}));
  EXPECT_EQ(h5::chunk_of(h5::open_dataset(file, "/deep/down/plain")), Shape{});
}

TEST(Hdf5, ScalarsAndEmptyDatasets) {
  h5::Handle file = h5::create_file_in_memory();
  int64_t step = 42;
  h5::write_all(h5::create_dataset(file, "step", DType::int64, {}), DType::int64, &step);
  h5::create_dataset(file, "none", DType::float32, {0, 4}, {.chunk = Shape{8, 4}, .fletcher32 = true});
  int64_t read = 0;
  h5::read_all(h5::open_dataset(file, "step"), DType::int64, &read);
  EXPECT_EQ(read, 42);
  EXPECT_EQ(h5::shape_of(h5::open_dataset(file, "step")), Shape{});
  h5::Handle none = h5::open_dataset(file, "none");
  EXPECT_EQ(h5::shape_of(none), (Shape{0, 4}));
  float nothing = 7;
  h5::read_all(none, DType::float32, &nothing);
  EXPECT_EQ(nothing, 7);
}

TEST(Hdf5, ConvertsBetweenNumberTypes) {
  h5::Handle file = h5::create_file_in_memory();
  auto bytes = counted<uint8_t>(4);
  h5::Handle dataset = h5::create_dataset(file, "x", DType::uint8, {4});
  h5::write_all(dataset, DType::uint8, bytes.data());
  std::vector<double> wide(4);
  h5::read_all(dataset, DType::float64, wide.data());
  EXPECT_EQ(wide, (std::vector<double>{1, 2, 3, 4}));
}

TEST(Hdf5, AttributesOfAllKindsAreReplaced) {
  h5::Handle file = h5::create_file_in_memory();
  h5::Handle group = h5::create_group(file, "a/b");
  h5::Handle dataset = h5::create_dataset(file, "a/x", DType::float32, {1});
  const std::vector<double> numbers{0.25, -1e300};
  const std::vector<std::string> names{"T-shirt", "", "Straße", "two words"};
  for (const h5::Handle* at : {&file, &group, &dataset}) {
    EXPECT_FALSE(h5::has_attribute(*at, "text"));
    h5::write_attribute(*at, "text", 3.0);
    h5::write_attribute(*at, "text", "first");
    h5::write_attribute(*at, "text", std::string("last, and longer"));
    h5::write_attribute(*at, "empty", std::string());
    h5::write_attribute(*at, "whole", int64_t{1} << 53);
    h5::write_attribute(*at, "real", 0.1);
    h5::write_attribute(*at, "reals", numbers);
    h5::write_attribute(*at, "names", names);
    EXPECT_TRUE(h5::has_attribute(*at, "text"));
    EXPECT_EQ(h5::read_string_attribute(*at, "text"), "last, and longer");
    EXPECT_EQ(h5::read_string_attribute(*at, "empty"), "");
    EXPECT_EQ(h5::read_int_attribute(*at, "whole"), int64_t{1} << 53);
    EXPECT_EQ(h5::read_double_attribute(*at, "real"), std::vector<double>{0.1});
    EXPECT_EQ(h5::read_double_attribute(*at, "reals"), numbers);
    EXPECT_EQ(h5::read_strings_attribute(*at, "names"), names);
  }
}

TEST(Hdf5, LongAttributesFit) {
  h5::Handle file = h5::create_file_in_memory();
  std::string text(200'000, 'x');
  std::vector<std::string> names(1000, std::string(130, 'n'));
  h5::write_attribute(file, "text", text);
  h5::write_attribute(file, "names", names);
  EXPECT_EQ(h5::read_string_attribute(file, "text"), text);
  EXPECT_EQ(h5::read_strings_attribute(file, "names"), names);
}

TEST(Hdf5, ReadsStringsOfVariableLength) {
  h5::Handle file = h5::create_file_in_memory();
  h5::Handle type(H5Tcopy(H5T_C_S1), "H5Tcopy");
  h5::check(H5Tset_size(type, H5T_VARIABLE), "H5Tset_size");
  hsize_t count = 2;
  h5::Handle space(H5Screate_simple(1, &count, nullptr), "H5Screate_simple");
  {
    h5::Handle attribute(H5Acreate2(file, "names", type, space, H5P_DEFAULT, H5P_DEFAULT), "H5Acreate2");
    const char* values[] = {"cat", "a longer name"};
    h5::check(H5Awrite(attribute, type, values), "H5Awrite");
  }
  EXPECT_EQ(h5::read_strings_attribute(file, "names"), (std::vector<std::string>{"cat", "a longer name"}));
}

TEST(Hdf5, GroupsAndMembers) {
  h5::Handle file = h5::create_file_in_memory();
  h5::create_group(file, "/parameters/layer");
  h5::create_dataset(file, "/parameters/b", DType::float32, {1});
  h5::create_dataset(file, "/parameters/a", DType::float32, {1});
  EXPECT_EQ(h5::members(file, "/parameters"), (std::vector<std::string>{"a", "b", "layer"}));
  EXPECT_EQ(h5::members(file, "/"), (std::vector<std::string>{"parameters"}));
  EXPECT_TRUE(h5::exists(file, "/parameters/a"));
  EXPECT_TRUE(h5::exists(file, "parameters/layer"));
  EXPECT_TRUE(h5::exists(file, "/"));
  EXPECT_FALSE(h5::exists(file, "/parameters/c"));
  EXPECT_FALSE(h5::exists(file, "/nowhere/at/all"));
  EXPECT_TRUE(h5::is_group(file, "/parameters/layer"));
  EXPECT_FALSE(h5::is_group(file, "/parameters/a"));
  EXPECT_TRUE(h5::is_dataset(file, "/parameters/a"));
  h5::Handle inner = h5::open_group(file, "parameters");
  EXPECT_TRUE(h5::exists(inner, "a"));
  expect_error(ExitCode::bad_data, {"opening group /nowhere"}, [&] { h5::open_group(file, "/nowhere"); });
  expect_error(ExitCode::io, {"creating group /parameters/a"},
               [&] { h5::create_group(file, "/parameters/a"); });
}

TEST(Hdf5, ImageIsTheFileOnDisk) {
  TemporaryFolder folder;
  auto fill = [](const h5::Handle& file) {
    auto values = counted<float>(1000);
    h5::write_all(
        h5::create_dataset(file, "/x", DType::float32, {1000}, {.chunk = Shape{100}, .fletcher32 = true}),
        DType::float32, values.data());
    h5::write_attribute(file, "step", int64_t{7});
  };
  h5::Handle memory = h5::create_file_in_memory();
  fill(memory);
  auto image = h5::file_image(memory);
  h5::Handle again = h5::create_file_in_memory();
  fill(again);
  EXPECT_EQ(h5::file_image(again), image) << "the same content must give the same bytes";

  write_file_atomically(folder / "image.h5", image);
  for (bool on_disk : {true, false}) {
    h5::Handle file = on_disk ? h5::open_file(folder / "image.h5") : h5::open_file_image(image, "image");
    std::vector<float> read(1000);
    h5::read_all(h5::open_dataset(file, "/x"), DType::float32, read.data());
    EXPECT_EQ(read, counted<float>(1000));
    EXPECT_EQ(h5::read_int_attribute(file, "step"), 7);
  }
}

TEST(Hdf5, ImagesOfTheSameNameAreDifferentFiles) {
  auto make = [](int64_t value) {
    h5::Handle file = h5::create_file_in_memory();
    h5::write_attribute(file, "value", value);
    return h5::file_image(file);
  };
  auto first = make(1), second = make(2);
  h5::Handle one = h5::open_file_image(first, "same");
  h5::Handle two = h5::open_file_image(second, "same");
  EXPECT_EQ(h5::read_int_attribute(one, "value"), 1);
  EXPECT_EQ(h5::read_int_attribute(two, "value"), 2);
}

TEST(Hdf5, HandlesMoveAndCloseOnce) {
  hid_t id;
  {
    h5::Handle file = h5::create_file_in_memory();
    id = file.id();
    h5::Handle other = std::move(file);
    EXPECT_EQ(other.id(), id);
    EXPECT_LT(file.id(), 0);
    h5::Handle third;
    third = std::move(other);
    EXPECT_GT(H5Iis_valid(id), 0);
  }
  EXPECT_EQ(H5Iis_valid(id), 0);
}

}  // namespace
}  // namespace trireme
