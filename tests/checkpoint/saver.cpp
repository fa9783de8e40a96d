// Saving beside the training, by one writer and by several.
#include "checkpoint/saver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "checkpoint/claim.h"
#include "checkpoint/manifest.h"
#include "checkpoint/sample.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using test::Folder;
using test::listing;
using test::Sample;
using testing::ElementsAre;
using testing::HasSubstr;

class Saving : public testing::Test {
 protected:
  SaveTarget target(int shard = 0, int shards = 1) const {
    return {folder_.path(), claim_.workshop(), claim_.start(), shard, shards};
  }
  static SaveReport only_report(Saver& saver) {
    saver.wait();
    auto reports = saver.take_reports();
    EXPECT_EQ(reports.size(), 1u);
    return reports.empty() ? SaveReport{} : reports[0];
  }
  // noise() has numbers that are none; parameters must be finite.
  static Sample finite(int64_t step, size_t bulk = 300) {
    Sample sample(step, bulk);
    for (auto& values : sample.memory) {
      for (float& value : values) value = std::isfinite(value) ? value : 0.5f;
    }
    return sample;
  }

  Folder folder_;
  RunClaim claim_{folder_.path(), {}};
};

TEST_F(Saving, TheStateMayChangeOnceItIsCopied) {
  Saver saver(target(), {.newest = 2}, 2);
  Sample sample = finite(10, 2000000), kept = sample;
  kept.content.parameters = kept.part(0);
  saver.prepare(sample.content);
  ASSERT_TRUE(saver.copy(sample.content));
  saver.write();
  for (auto& values : sample.memory) std::ranges::fill(values, 7.0f);
  SaveReport report = only_report(saver);
  EXPECT_EQ(report.error, "");
  EXPECT_EQ(report.step, 10);
  EXPECT_GT(report.bytes, 100u << 20);
  test::expect_equal(Checkpoint(folder_.path() / "step-0000000010"), kept);
}

TEST_F(Saving, OneAfterTheOther) {
  Saver saver(target(), {.newest = 2}, 1);
  for (int64_t step = 1; step <= 5; ++step) {
    Sample sample = finite(step, 30000);
    ASSERT_TRUE(saver.copy(sample.content));  // waits for the one before
    saver.write();
  }
  saver.wait();
  auto reports = saver.take_reports();
  ASSERT_EQ(reports.size(), 5u);
  for (int64_t step = 1; step <= 5; ++step) {
    EXPECT_EQ(reports[static_cast<size_t>(step - 1)].step, step);
    EXPECT_EQ(reports[static_cast<size_t>(step - 1)].error, "");
  }
  EXPECT_THAT(listing(folder_.path()), ElementsAre("step-0000000004", "step-0000000005"));
  test::expect_equal(Checkpoint(folder_.path() / "step-0000000004"), finite(4, 30000));
  EXPECT_EQ(saver.reports(), 0);
}

TEST_F(Saving, SeesParametersThatAreNoNumbers) {
  Saver saver(target(), {}, 1);
  Sample sample = finite(10);
  sample.memory[0].back() = INFINITY;
  EXPECT_FALSE(saver.copy(sample.content));
  sample.memory[0].back() = 0;
  sample.memory[5].back() = NAN;  // a slot's: no reason to refuse
  EXPECT_TRUE(saver.copy(sample.content));
}

TEST_F(Saving, AnotherLayoutIsLaidOutAnew) {
  Saver saver(target(), {.newest = 3}, 1);
  for (auto [step, bulk] : {std::pair<int64_t, size_t>{1, 300}, {2, 40000}, {3, 5}}) {
    Sample sample = finite(step, bulk);
    ASSERT_TRUE(saver.copy(sample.content));
    saver.write();
    saver.wait();
    test::expect_equal(Checkpoint(folder_.path() / step_folder_name(step)), sample);
  }
}

// Writers of several hosts, here threads of one process.
class Shards : public Saving, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(OfHosts, Shards, testing::Values(2, 3, 7), testing::PrintToStringParamName());

TEST_P(Shards, MakeOneCheckpoint) {
  int shards = GetParam();
  std::vector<std::unique_ptr<Saver>> savers;
  for (int shard = 0; shard < shards; ++shard) {
    savers.push_back(std::make_unique<Saver>(target(shard, shards), KeepRule{.newest = 1}, 1));
  }
  for (int64_t step : {10, 20}) {
    Sample sample = finite(step, 20000);
    for (auto& saver : savers) ASSERT_TRUE(saver->copy(sample.content));
    for (auto& saver : savers) saver->write();  // shard 0 first: it waits for the others
    for (auto& saver : savers) EXPECT_EQ(only_report(*saver).error, "");
    Checkpoint checkpoint(folder_.path() / step_folder_name(step));
    test::expect_equal(checkpoint, sample);
    EXPECT_EQ(read_manifest(checkpoint.directory()).files.size(), static_cast<size_t>(shards));
  }
  EXPECT_THAT(listing(folder_.path()), ElementsAre("step-0000000020"));
}

TEST_F(Saving, EveryTensorIsInOneShard) {
  Sample sample(1);
  for (int shards : {1, 2, 3, 16}) {
    std::vector<std::string> names;
    for (int shard = 0; shard < shards; ++shard) {
      CheckpointContent part = shard_of(sample.content, shard, shards);
      EXPECT_EQ(part.slots.size(), sample.content.slots.size());
      for (const auto& tensor : part.parameters) names.push_back(tensor.name);
      for (const auto& slot : part.slots) {
        for (const auto& tensor : slot.tensors) names.push_back(slot.name + "/" + tensor.name);
      }
      for (const auto& tensor : part.states) names.push_back("state/" + tensor.name);
    }
    std::ranges::sort(names);
    EXPECT_EQ(names.size(), 16u) << shards;
    EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
  }
}

// A disk full on another host: shard 0 must neither wait for ever nor commit.
TEST_F(Saving, AFailedShardIsNoCheckpoint) {
  Saver first(target(0, 2), {.newest = 3}, 1), second(target(1, 2), {.newest = 3}, 1);
  Sample sample = finite(10);
  ASSERT_TRUE(first.copy(sample.content) && second.copy(sample.content));
  // Its file cannot be written: something else has the name.
  fs::create_directories(folder_.path() / "step-0000000010" / state_file_name(claim_.start(), 1, false));
  first.write();
  second.write();
  EXPECT_THAT(only_report(second).error, HasSubstr("-1.h5"));
  EXPECT_THAT(only_report(first).error, HasSubstr("shard 1"));
  EXPECT_TRUE(list_checkpoints(folder_.path()).empty());
  fs::remove_all(folder_.path() / "step-0000000010");
  sample.content.run.step = 20;
  ASSERT_TRUE(first.copy(sample.content) && second.copy(sample.content));
  first.write();
  second.write();
  EXPECT_EQ(only_report(first).error + only_report(second).error, "");
  EXPECT_THAT(listing(folder_.path()), ElementsAre("step-0000000020"));
}

TEST_F(Saving, WhatWillNotComeIsNotWaitedFor) {
  Saver first(target(0, 2), {}, 1);
  ASSERT_TRUE(first.copy(finite(10).content));
  first.write();
  EXPECT_EQ(first.wait_for_part(), "");
  first.give_up("the other has died");
  EXPECT_THAT(only_report(first).error, HasSubstr("the other has died"));
  EXPECT_TRUE(listing(folder_.path()).empty());
}

// A rank on a node that was cut off and comes back: the run is another's by then.
TEST(SavingOfAFormerStart, CommitsAndDeletesNothing) {
  Folder folder;
  auto former = std::make_unique<RunClaim>(folder.path(), ClaimOptions{});
  Saver zombie({folder.path(), former->workshop(), former->start()}, {.newest = 1}, 1);
  Sample first(10), second(20), third(30);
  for (Sample* sample : {&first, &second, &third}) {
    for (auto& values : sample->memory) std::ranges::fill(values, 1.0f);
  }
  zombie.copy(first.content);
  zombie.write();
  zombie.wait();
  zombie.copy(third.content);  // and here its node freezes
  former.reset();
  RunClaim claim(folder.path(), {});
  Saver saver({folder.path(), claim.workshop(), claim.start()}, {.newest = 2}, 1);
  saver.copy(second.content);
  saver.write();
  saver.wait();
  zombie.write();
  zombie.wait();
  auto reports = zombie.take_reports();
  EXPECT_TRUE(reports.back().taken_over);
  EXPECT_THAT(reports.back().error, HasSubstr("start 2"));
  EXPECT_THAT(listing(folder.path()), ElementsAre("step-0000000010", "step-0000000020"));
  EXPECT_THROW(delete_checkpoint(folder.path() / "step-0000000010", folder.path() / "start-0001"),
               ClaimError);
  EXPECT_EQ(open_newest_checkpoint(folder.path(), {})->start(), 2);
}

}  // namespace
}  // namespace trireme
