// Which checkpoints stay.
#include "checkpoint/keep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/sample.h"
#include "checkpoint/writer.h"

namespace trireme {
namespace {

using test::Folder;
using test::Sample;
using testing::ElementsAre;
using testing::IsEmpty;

// Steps 10, 20, ... with a loss and an accuracy each.
class Keeping : public testing::Test {
 protected:
  void save(int64_t step, double loss, double accuracy, int64_t validated_at) {
    Sample sample(step, 5);
    sample.content.run.validation = CheckpointValidation{validated_at, 1, loss, accuracy};
    save_checkpoint(folder_.path(), sample.content, {});
  }
  std::vector<int64_t> stay(const KeepRule& rule) const {
    auto all = list_checkpoints(folder_.path());
    auto gone = not_kept(all, rule);
    std::vector<int64_t> steps;
    for (const auto& entry : all) {
      bool goes = std::ranges::count(gone, entry.step, &CheckpointEntry::step) > 0;
      if (!goes) steps.push_back(entry.step);
    }
    return steps;
  }
  Folder folder_;
};

TEST_F(Keeping, NewestMultiplesAndBest) {
  save(10, 0.9, 0.1, 10);
  save(20, 0.3, 0.5, 20);
  save(30, 0.3, 0.7, 30);
  save(40, 0.1, 0.9, 30);  // the figures of an earlier step: not its own
  save(50, 0.5, 0.6, 50);
  save(60, 0.8, 0.2, 60);
  EXPECT_THAT(stay({}), ElementsAre(60, 50, 40, 30, 20, 10)) << "0 keeps all";
  EXPECT_THAT(stay({.newest = 2}), ElementsAre(60, 50));
  EXPECT_THAT(stay({.newest = 1, .every = 20}), ElementsAre(60, 40, 20));
  EXPECT_THAT(stay({.newest = 1, .best = 1}), ElementsAre(60, 30)) << "of equals the newest";
  EXPECT_THAT(stay({.newest = 1, .best = 2}), ElementsAre(60, 30, 20));
  EXPECT_THAT(stay({.newest = 1, .best = 1, .metric = "accuracy"}), ElementsAre(60, 30)) << "the highest";
  EXPECT_THAT(stay({.newest = 1, .best = 1, .metric = "perplexity"}), ElementsAre(60)) << "no such figure";
  EXPECT_THAT(stay({.newest = 10}), ElementsAre(60, 50, 40, 30, 20, 10));
}

TEST_F(Keeping, ADamagedOneTakesNobodysPlace) {
  for (int64_t step : {10, 20, 30, 40}) save(step, 0.5, 0.5, step);
  test::put_text(folder_.path() / "step-0000000030" / "manifest.json", "{");
  EXPECT_THAT(stay({.newest = 2}), ElementsAre(40, 30, 20));
  EXPECT_THAT(stay({.newest = 1}), ElementsAre(40));
}

TEST_F(Keeping, LeftoversOfLaterStartsAreTheirs) {
  save(10, 0.5, 0.5, 10);
  auto at = folder_.path() / "step-0000000020";
  std::filesystem::create_directory(at);
  for (const char* name : {"state-0001-0.h5", "state-0007-0.h5", "state.h5", "manifest.json.partial-17"}) {
    test::put_text(at / name, "x");
  }
  remove_leftovers(folder_.path(), 6);
  EXPECT_THAT(test::listing(at), ElementsAre("state-0007-0.h5"));
  remove_leftovers(folder_.path(), 7);
  EXPECT_FALSE(std::filesystem::exists(at));
  EXPECT_EQ(list_checkpoints(folder_.path()).size(), 1u);
}

TEST(StateFileName, SaysItsStart) {
  EXPECT_EQ(state_file_name(4, 1, false), "state-0004-1.h5");
  EXPECT_EQ(start_of_file_name(state_file_name(4, 1, true)), 4);
  EXPECT_EQ(start_of_file_name(state_file_name(12345, 77, false)), 12345);
  EXPECT_EQ(start_of_file_name("state.h5"), 0);
  EXPECT_EQ(start_of_file_name("notes-0004-1.h5"), 0);
}

}  // namespace
}  // namespace trireme
