// A small text that can be learned: a few letters that follow each other in a pattern with exceptions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/hdf5.h"
#include "base/rng.h"

namespace trireme::test {

// Writes an HDF5 data set of characters by the contract.
inline void write_toy_text(const std::filesystem::path& path, int64_t count = 600) {
  std::vector<std::string> vocabulary{"a", "b", "c", "d", "e", "f", "g"};
  RandomStream noise(1, Purpose::test);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    bool exception = noise.below(5) == 0;
    tokens.push_back(exception ? static_cast<int32_t>(noise.below(7)) : static_cast<int32_t>(i * i % 7));
  }
  h5::Handle file = h5::create_file(path);
  h5::Handle set =
      h5::create_dataset(file, "/tokens", DType::uint8, {count}, {.chunk = Shape{64}, .fletcher32 = true});
  h5::write_all(set, DType::int32, tokens.data());
  h5::write_attribute(set, "encoding", std::string("characters"));
  h5::write_attribute(set, "vocabulary", vocabulary);
  h5::close_file(std::move(file));
}

}  // namespace trireme::test
