// What the watchdog concludes from what it has heard.
#include "comm/watch_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace trireme {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

RankStatus at(uint64_t begun, uint64_t done, const char* operation = "all_reduce",
              const char* phase = "training", int64_t step = 812, bool resumable = false) {
  return status_of({begun, done, operation, phase, step, resumable});
}

WatchTable table_of_four() { return WatchTable({"n1", "n1", "n2", "n2"}, 10, 100); }

TEST(WatchTable, FindsNothingWhileRanksMove) {
  WatchTable table = table_of_four();
  for (int second = 101; second < 200; ++second) {
    for (int r = 0; r < 4; ++r)
      table.hear(r, at(static_cast<uint64_t>(second), static_cast<uint64_t>(second) - 1), second);
    EXPECT_EQ(table.judge(second), std::nullopt);
  }
}

TEST(WatchTable, NamesWhoHasNotArrivedAndWhere) {
  WatchTable table = table_of_four();
  for (int second : {101, 105, 110, 111}) {
    for (int r : {0, 1, 2}) table.hear(r, at(7, 6), second);
    table.hear(3, at(6, 6, "barrier", "loading", -1), second);
  }
  EXPECT_EQ(table.judge(110.9), std::nullopt);
  EXPECT_THAT(table.judge(111).value(),
              AllOf(HasSubstr("rank 3 on n2 has not arrived at all_reduce of step 812, phase training"),
                    HasSubstr("waited for 10 s"), HasSubstr("barrier of phase loading")));
}

TEST(WatchTable, LetsRanksComputeAsLongAsNobodyWaits) {
  WatchTable table = table_of_four();
  for (int second : {105, 150, 300}) {
    for (int r = 0; r < 4; ++r) table.hear(r, at(7, 7), second);
    EXPECT_EQ(table.judge(second), std::nullopt);
  }
}

TEST(WatchTable, TellsWhenMessagesDoNotGetThrough) {
  WatchTable table = table_of_four();
  for (int second : {101, 112}) {
    for (int r = 0; r < 4; ++r) table.hear(r, at(7, 6), second);
  }
  EXPECT_THAT(table.judge(112).value(), HasSubstr("all ranks have waited 10 s at all_reduce of step 812"));
}

TEST(WatchTable, NamesTheSilent) {
  WatchTable table = table_of_four();
  for (int second : {101, 105, 111}) {
    for (int r : {0, 1}) table.hear(r, at(7, 7), second);
  }
  EXPECT_THAT(table.judge(111).value(),
              AllOf(HasSubstr("rank 2 on n2 and rank 3 on n2"), HasSubstr("nothing has been heard")));
  table.do_without(2);
  EXPECT_THAT(table.judge(111).value(), Not(HasSubstr("rank 2")));
  table.leave(3);
  EXPECT_EQ(table.judge(111), std::nullopt);
}

TEST(WatchTable, ALostRankEndsTheJobAtOnceButOneThatLeftDoesNot) {
  WatchTable table = table_of_four();
  table.leave(1);
  table.lose(1);
  EXPECT_EQ(table.judge(100), std::nullopt);
  EXPECT_FALSE(table.anyone_lost());
  table.hear(2, at(9, 9, "broadcast", "checkpoint", 40, true), 100);
  table.lose(2);
  EXPECT_TRUE(table.anyone_lost());
  EXPECT_TRUE(table.resumable());
  EXPECT_THAT(table.judge(100).value(),
              AllOf(HasSubstr("rank 2 on n2 is gone without a word"), HasSubstr("step 40")));
}

TEST(WatchTable, LeavesTheEndToARankThatFailsForAWhile) {
  WatchTable table = table_of_four();
  table.fail(1, 100);
  table.lose(1);
  table.lose(2);  // taken down by it
  EXPECT_EQ(table.judge(100 + WatchTable::failing_seconds - 0.1), std::nullopt);
  EXPECT_THAT(table.judge(100 + WatchTable::failing_seconds).value(), HasSubstr("rank 1 on n1 has failed"));
}

TEST(WatchTable, ARankThatHasEndedIsNamedWhereOthersWaitForIt) {
  WatchTable table = table_of_four();
  for (int second : {101, 111}) {
    for (int r : {0, 1, 2}) table.hear(r, at(7, 6), second);
  }
  table.hear(3, at(6, 6), 101);
  table.leave(3);
  EXPECT_THAT(table.judge(111).value(),
              AllOf(HasSubstr("rank 3 on n2 has not arrived"), HasSubstr("it has ended")));
}

}  // namespace
}  // namespace trireme
