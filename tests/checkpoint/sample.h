// A small run's content, a function of its step, and a folder to save it into.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/rng.h"
#include "checkpoint/content.h"
#include "checkpoint/reader.h"

namespace trireme::test {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "trireme-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline std::string text_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// The state file of a checkpoint's folder that has but one.
inline fs::path state_file(const fs::path& checkpoint) {
  for (const auto& entry : fs::directory_iterator(checkpoint)) {
    if (entry.path().extension() == ".h5") return entry.path();
  }
  return checkpoint / "there is no state file";
}

inline void put_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

// As if it had been written so: with a hash of its own that is right.
inline void put_manifest(const fs::path& at, const std::string& text) {
  std::string body = text.substr(0, text.rfind(",\n  \"hash\""));
  std::string hash = xxh3_hex(std::as_bytes(std::span(body)));
  put_text(at / "manifest.json", body + ",\n  \"hash\": \"" + hash + "\"\n}\n");
}

// Any bit patterns: numbers, denormals, infinities, nans with payloads.
inline std::vector<float> noise(size_t count, int64_t step, uint32_t which) {
  RandomStream stream(42, Purpose::test, static_cast<uint64_t>(step), which);
  std::vector<float> values(count);
  for (float& value : values) value = std::bit_cast<float>(stream.next());
  return values;
}

struct Sample {
  explicit Sample(int64_t step, size_t bulk = 300)
      : Sample(step, {{"conv1.weight", {3, 3, 1, 8}},
                      {"conv1.bias", {8}},
                      {"block/linear.weight", {static_cast<int64_t>(bulk), 5}},
                      {"scale", {}}}) {}
  Sample(int64_t step, std::vector<std::pair<std::string, Shape>> tensors) : names(std::move(tensors)) {
    for (uint32_t part = 0; part < 4; ++part) {
      for (uint32_t i = 0; i < names.size(); ++i) {
        memory.push_back(noise(static_cast<size_t>(names[i].second.elements()), step, part * 16 + i));
      }
    }
    content.parameters = part(0);
    content.slots = {{"momentum", part(1)}, {"second_moment", part(2)}};
    content.states = part(3);
    content.run.step = step;
    content.run.epoch = step / 10;
    content.run.samples = step * 64;
    content.run.seed = 0xfedcba9876543210ull;
    content.run.world_size = 2;
    content.run.config = "[run]\nname = \"übung\"\n";
    content.run.version = "0.1.0";
    content.run.dataset_identity = "0123abcd";
    content.run.validation = CheckpointValidation{step, step / 10, 0.1, 0.925};
    content.run.train_seconds = 12.25;
  }

  std::vector<NamedTensor> part(size_t index) const {
    std::vector<NamedTensor> tensors;
    for (size_t i = 0; i < names.size(); ++i) {
      tensors.push_back({names[i].first, names[i].second, memory[index * names.size() + i]});
    }
    return tensors;
  }

  std::vector<std::pair<std::string, Shape>> names;
  std::vector<std::vector<float>> memory;  // content points into it
  CheckpointContent content;
};

// Everything in `checkpoint` is, bit for bit, what `sample` holds.
inline void expect_equal(const Checkpoint& checkpoint, const Sample& sample) {
  for (size_t part = 0; part < 4; ++part) {
    std::vector<std::vector<float>> memory;
    std::vector<MutableTensor> tensors;
    for (const auto& [name, shape] : sample.names)
      memory.emplace_back(static_cast<size_t>(shape.elements()), -1.0f);
    for (size_t i = 0; i < sample.names.size(); ++i) {
      tensors.push_back({sample.names[i].first, sample.names[i].second, memory[i]});
    }
    if (part == 0) checkpoint.load_parameters(tensors);
    if (part == 1) checkpoint.load_slot("momentum", tensors);
    if (part == 2) checkpoint.load_slot("second_moment", tensors);
    if (part == 3) checkpoint.load_states(tensors);
    for (size_t i = 0; i < memory.size(); ++i) {
      const auto& expected = sample.memory[part * sample.names.size() + i];
      ASSERT_EQ(memory[i].size(), expected.size());
      EXPECT_EQ(std::memcmp(memory[i].data(), expected.data(), expected.size() * sizeof(float)), 0)
          << sample.names[i].first << " of part " << part;
    }
  }
  EXPECT_EQ(checkpoint.run().step, sample.content.run.step);
}

// Names of what lies in a folder, sorted; without claims (start-0001).
inline std::vector<std::string> listing(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename();
    if (!name.starts_with("start-")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace trireme::test
