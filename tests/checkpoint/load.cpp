// Loading straight to where the values belong.
#include "checkpoint/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "base/error.h"
#include "checkpoint/sample.h"
#include "checkpoint/writer.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using test::Folder;
using test::Sample;
using testing::HasSubstr;

// Places for all of a sample, filled with -1.
struct Places {
  explicit Places(const Sample& sample) {
    targets.parameters = part(sample);
    for (const char* slot : {"momentum", "second_moment"}) targets.slots.push_back({slot, part(sample)});
    targets.states = part(sample);
  }
  std::vector<MutableTensor> part(const Sample& sample) {
    std::vector<MutableTensor> tensors;
    for (const auto& [name, shape] : sample.names) {
      memory.emplace_back(static_cast<size_t>(shape.elements()), -1.0f);
      tensors.push_back({name, shape, memory.back()});
    }
    return tensors;
  }
  bool untouched() const {
    return std::ranges::all_of(memory, [](const auto& values) {
      return std::ranges::all_of(values, [](float value) { return value == -1.0f; });
    });
  }
  bool holds(const Sample& sample) const {
    for (size_t i = 0; i < memory.size(); ++i) {
      if (std::memcmp(memory[i].data(), sample.memory[i].data(), memory[i].size() * sizeof(float)) != 0)
        return false;
    }
    return true;
  }
  std::deque<std::vector<float>> memory;
  LoadTargets targets;
};

std::vector<std::string> told;
void tell(const std::string& text) { told.push_back(text); }

// Small files are read by the caller alone; large ones in blocks, whose borders cut tensors.
TEST(Load, FillsEveryPlaceBitForBit) {
  for (size_t bulk : {300u, 1500000u}) {
    Folder folder;
    Sample sample(20, bulk);
    save_checkpoint(folder.path(), sample.content, {3});
    Places places(sample);
    auto loaded = load_newest_checkpoint(folder.path(), places.targets, {});
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(places.holds(sample)) << bulk;
    EXPECT_EQ(loaded->run.step, 20);
    EXPECT_EQ(loaded->run.config, sample.content.run.config);
    EXPECT_EQ(loaded->directory, folder.path() / "step-0000000020");
    EXPECT_TRUE(loaded->has_slots);
  }
}

TEST(Load, NothingThereTouchesNothing) {
  Folder folder;
  Places places(Sample(1));
  EXPECT_FALSE(load_newest_checkpoint(folder.path() / "none", places.targets, {}));
  EXPECT_TRUE(places.untouched());
}

TEST(Load, PassesOverADamagedOne) {
  Folder folder;
  Sample older(10, 400000), newer(20, 400000);
  save_checkpoint(folder.path(), older.content, {3});
  fs::path newest = save_checkpoint(folder.path(), newer.content, {3});
  // The last byte of the largest file: all of it has been put in place by then.
  fs::path state = test::state_file(newest);
  std::fstream file(state, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(fs::file_size(state) / 2));
  file.put('x');
  file.close();
  told.clear();
  Places places(newer);
  auto loaded = load_newest_checkpoint(folder.path(), places.targets, tell);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->run.step, 10);
  EXPECT_TRUE(places.holds(older)) << "what the damaged one filled must be overwritten";
  EXPECT_THAT(told, testing::ElementsAre(testing::AllOf(HasSubstr("step 20"), HasSubstr("is damaged"))));
  fs::resize_file(test::state_file(folder.path() / "step-0000000010"), 5000);
  EXPECT_THROW(load_newest_checkpoint(folder.path(), places.targets, tell), CheckpointError);
}

TEST(Load, WhatDoesNotFitIsRefusedBeforeAnythingIsFilled) {
  Folder folder;
  Sample sample(20);
  save_checkpoint(folder.path(), sample.content, {3});
  auto message = [&](auto&& change) {
    Places places(sample);
    change(places);
    try {
      load_newest_checkpoint(folder.path(), places.targets, {});
    } catch (const CheckpointMismatch& error) {
      EXPECT_TRUE(places.untouched());
      return std::string(error.what());
    }
    return std::string("no CheckpointMismatch");
  };
  EXPECT_THAT(message([](Places& p) { p.targets.parameters[0].name = "conv9.weight"; }),
              HasSubstr("no tensor /parameters/conv9.weight"));
  EXPECT_THAT(message([](Places& p) {
                p.targets.states[0].shape = {9, 1, 8};
              }),
              HasSubstr("/state/conv1.weight has shape"));
  EXPECT_THAT(message([](Places& p) { p.targets.slots[0].name = "first_moment"; }),
              HasSubstr("no optimizer state 'first_moment'"));
}

// A checkpoint that does not fit and is damaged too is no reason to refuse the run: the damage may be why.
TEST(Load, DamageComesBeforeMisfits) {
  Folder folder;
  Sample older(10);
  save_checkpoint(folder.path(), older.content, {3});
  Sample other(20, {{"other", {7}}});
  fs::path newest = save_checkpoint(folder.path(), other.content, {3});
  std::string text = test::text_of(test::state_file(newest));
  text.back() = static_cast<char>(text.back() ^ 1);
  test::put_text(test::state_file(newest), text);
  Places places(older);
  auto loaded = load_newest_checkpoint(folder.path(), places.targets, tell);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->run.step, 10);
}

TEST(Load, ImportedParametersHaveNoSlots) {
  Folder folder;
  Sample sample(0);
  sample.content.slots.clear();
  save_checkpoint(folder.path(), sample.content, {3});
  Places places(sample);
  auto loaded = load_newest_checkpoint(folder.path(), places.targets, {});
  ASSERT_TRUE(loaded);
  EXPECT_FALSE(loaded->has_slots);
  EXPECT_EQ(places.targets.slots[0].tensors[0].values[0], -1.0f);
}

}  // namespace
}  // namespace trireme
