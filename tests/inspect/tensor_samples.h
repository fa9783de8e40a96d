// Tensors to be written and compared, and files made by hand.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "inspect/tensor_file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace trireme::test {

// Owns what its views show.
class TensorSamples {
 public:
  template <class T>
  void add(const std::string& name, const Shape& shape, const std::vector<T>& values) {
    const auto* begin = reinterpret_cast<const std::byte*>(values.data());
    memory_.emplace_back(begin, begin + values.size() * sizeof(T));
    views.push_back({name, shape, dtype_of<T>(), memory_.back()});
  }
  std::vector<TensorBytes> views;

 private:
  std::deque<std::vector<std::byte>> memory_;
};

// Of every type, with a scalar, nothing at all, and a name that has a folder and letters beyond ASCII in it.
inline TensorSamples all_types(bool with_bfloat16) {
  TensorSamples samples;
  samples.add<float>("conv1.weight", {2, 3}, {1.5f, -2, 3, 4, 5, 1e-42f});
  samples.add<double>("block/überlinear.weight", {2}, {0.1, -1e300});
  samples.add<Float16>("half", {3}, {Float16(1.f), Float16(-0.333f), Float16(65504.f)});
  if (with_bfloat16) samples.add<BFloat16>("brain", {2}, {BFloat16(1.f), BFloat16(-3e38f)});
  samples.add<int32_t>("counts", {1, 2}, {-7, INT32_MAX});
  samples.add<int64_t>("large", {}, {INT64_MIN});
  samples.add<uint8_t>("bytes", {3}, {0, 128, 255});
  samples.add<uint16_t>("words", {2}, {0, 65535});
  samples.add<float>("nothing", {4, 0}, {});
  return samples;
}

inline void expect_same(const TensorFile& file, const TensorSamples& samples) {
  ASSERT_EQ(file.tensors.size(), samples.views.size());
  for (const TensorBytes& expected : samples.views) {
    const FileTensor* found = nullptr;
    for (const FileTensor& tensor : file.tensors) {
      if (tensor.name == expected.name) found = &tensor;
    }
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->shape, expected.shape) << expected.name;
    EXPECT_EQ(found->type, expected.type) << expected.name;
    ASSERT_EQ(found->bytes.size(), expected.bytes.size()) << expected.name;
    if (!found->bytes.empty()) {
      EXPECT_EQ(std::memcmp(found->bytes.data(), expected.bytes.data(), found->bytes.size()), 0)
          << expected.name;
    }
  }
}

inline void put_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// A little-endian number.
template <class T>
std::string raw(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

}  // namespace trireme::test
