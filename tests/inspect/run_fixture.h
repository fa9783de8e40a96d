// Runs on the disk, made without training.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/writer.h"
#include "inspect/owned_content.h"
#include "inspect/tensor_samples.h"
#include "inspect/where.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace trireme::test {

using testing::HasSubstr;

class RunTest : public testing::Test {
 protected:
  // Two parameters, a slot, and a moving statistic, all of which are `value` or near it.
  static OwnedContent content(int64_t step, float value = 1, std::optional<double> accuracy = {}) {
    OwnedContent owned;
    CheckpointContent& content = owned.content;
    owned.add(content.parameters, "conv1.bias", {2}, {value, -value});
    owned.add(content.parameters, "conv1.weight", {2, 3}, std::vector<float>(6, 2 * value));
    content.slots.push_back({"momentum", {}});
    owned.add(content.slots[0].tensors, "conv1.bias", {2}, {7, 8});
    owned.add(content.slots[0].tensors, "conv1.weight", {2, 3}, std::vector<float>(6, 9));
    owned.add(content.states, "norm1.running_mean", {1}, {10 * value});
    content.run.step = step;
    content.run.epoch = step / 10;
    content.run.samples = step * 64;
    content.run.seed = 5;
    content.run.world_size = 2;
    content.run.config = "[run]\nname = \"toy\"\n\n[checkpoint]\nkeep = 2\n";
    content.run.version = "0.1.0";
    content.run.dataset_identity = "0123abcd";
    content.run.train_seconds = 12.25;
    if (accuracy) content.run.validation = CheckpointValidation{step, step / 10, 1 - *accuracy, accuracy};
    return owned;
  }
  std::filesystem::path save(const std::string& run, const OwnedContent& owned) const {
    return save_checkpoint(folder_ / run / "checkpoints", owned.content, KeepRule{});
  }
  std::filesystem::path save(const std::string& run, int64_t step, float value = 1,
                             std::optional<double> accuracy = {}) const {
    return save(run, content(step, value, accuracy));
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Where where(const std::string& name) const { return find_where(path(name)); }
  Checkpoint open(const std::string& name) const { return open_where(where(name), {}); }
  // The file of the state in a checkpoint's folder.
  static std::filesystem::path state_file(const std::filesystem::path& checkpoint) {
    for (const auto& entry : std::filesystem::directory_iterator(checkpoint)) {
      if (entry.path().extension() == ".h5") return entry.path();
    }
    return {};
  }
  static void flip_a_bit(const std::filesystem::path& file) {
    std::string bytes = bytes_of(file);
    bytes[bytes.size() / 2] ^= 1;
    put_bytes(file, bytes);
  }
  static std::vector<float> values(const std::vector<NamedTensor>& tensors, const std::string& name) {
    for (const NamedTensor& tensor : tensors) {
      if (tensor.name == name) return {tensor.values.begin(), tensor.values.end()};
    }
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  static std::function<void(const std::string&)> nobody() {
    return [](const std::string&) {};
  }
  TemporaryFolder folder_;
};

}  // namespace trireme::test
