// A small data set that can be learned: every class is a pattern of its own under noise.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/hdf5.h"
#include "base/rng.h"

namespace trireme::test {

struct ToyImages {
  int64_t count = 64;
  int64_t side = 8;
  int64_t classes = 4;
  uint64_t seed = 1;  // of noise and labels; the classes' patterns are always the same
  double noise = 0.5;
  double mean = 0.5;  // the attribute, not the pixels
};

// Writes an HDF5 data set by the contract.
inline void write_toy_images(const std::filesystem::path& path, const ToyImages& toy) {
  int64_t pixels = toy.side * toy.side;
  std::vector<uint8_t> images(static_cast<size_t>(toy.count * pixels));
  std::vector<uint8_t> labels(static_cast<size_t>(toy.count));
  for (int64_t n = 0; n < toy.count; ++n) {
    RandomStream noise(toy.seed, Purpose::test, static_cast<uint64_t>(n));
    auto label = static_cast<uint8_t>(noise.below(static_cast<uint32_t>(toy.classes)));
    RandomStream pattern(99, Purpose::test, label);
    labels[static_cast<size_t>(n)] = label;
    for (int64_t p = 0; p < pixels; ++p) {
      double value = (1 - toy.noise) * pattern.uniform() + toy.noise * noise.uniform();
      images[static_cast<size_t>(n * pixels + p)] = static_cast<uint8_t>(std::clamp(value * 255, 0.0, 255.0));
    }
  }
  h5::Handle file = h5::create_file(path);
  h5::Layout layout;
  layout.chunk = {std::max<int64_t>(1, std::min<int64_t>(16, toy.count)), toy.side, toy.side, 1};
  layout.fletcher32 = true;
  {
    h5::Handle set =
        h5::create_dataset(file, "/images", DType::uint8, {toy.count, toy.side, toy.side, 1}, layout);
    h5::write_all(set, DType::uint8, images.data());
    std::vector<double> mean{toy.mean};
    std::vector<double> deviation{0.25};
    std::vector<std::string> names;
    for (int64_t c = 0; c < toy.classes; ++c) names.push_back("class " + std::to_string(c));
    h5::write_attribute(set, "mean", mean);
    h5::write_attribute(set, "std", deviation);
    h5::write_attribute(set, "class_names", names);
    h5::Handle truth = h5::create_dataset(file, "/labels", DType::uint8, {toy.count});
    h5::write_all(truth, DType::uint8, labels.data());
  }
  h5::close_file(std::move(file));
}

}  // namespace trireme::test
