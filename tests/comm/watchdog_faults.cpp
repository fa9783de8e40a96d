// No job hangs: whatever a rank does or has done to it, the job ends within the deadline and says who it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "comm/world.h"
#include "support/run_command.h"

namespace trireme {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using Result = test::CommandResult;

// mpirun kills what is left, stopped processes too, when the first rank has ended with a code.
Result job(const std::string& arguments) {
  return test::run_command(fmt::format("mpirun -n 3 {} {}", FAULTY_JOB, arguments), 60);
}

constexpr double busy = 10;  // seconds that a busy machine may take on top of a deadline of 3

std::string rank_here(int rank) { return fmt::format("rank {} on {}", rank, host_name()); }

TEST(Watchdog, NamesAStoppedRankWithinTheDeadline) {
  for (int rank : {0, 1, 2}) {
    Result result = job(fmt::format("freeze {} 3", rank));
    EXPECT_EQ(result.code, 70) << result.output;
    EXPECT_THAT(result.output, AllOf(HasSubstr(rank_here(rank)), HasSubstr("stopped"), HasSubstr("step 17"),
                                     HasSubstr("no checkpoint")));
    EXPECT_LT(result.seconds, 3 + busy);
  }
}

TEST(Watchdog, EndsWith75WhereThereIsACheckpoint) {
  for (int rank : {0, 2}) {
    Result result = job(fmt::format("freeze-resumable {} 3", rank));
    EXPECT_EQ(result.code, 75) << result.output;
    EXPECT_THAT(result.output, HasSubstr("submit again"));
  }
}

TEST(Watchdog, NamesARankThatNeverArrives) {
  Result result = job("dawdle 1 3");
  EXPECT_EQ(result.code, 70) << result.output;
  EXPECT_THAT(result.output, AllOf(HasSubstr(rank_here(1) + " has not arrived at all_reduce of step 17"),
                                   HasSubstr("phase dawdling")));
}

TEST(Watchdog, NamesARankThatHasLeft) {
  // Shared memory notices it by itself. Messages do not: rank 0's watchdog says so, or rank 2, whose
  // MPI_Finalize does not return, whichever deadline is first.
  for (std::string backend : {"shared_memory", "mpi"}) {
    Result result = job("leave 2 3 " + backend);
    EXPECT_EQ(result.code, 70) << result.output;
    EXPECT_THAT(result.output, HasSubstr("rank 2 o"));
    EXPECT_LT(result.seconds, 3 + busy);
  }
}

TEST(Watchdog, CoversMpiInit) {
  Result result = job("late 1 3");
  EXPECT_EQ(result.code, 70) << result.output;
  EXPECT_THAT(result.output, AllOf(HasSubstr("starting MPI"), HasSubstr("has not returned within 3 s")));
  EXPECT_LT(result.seconds, 3 + busy);
}

// Nobody is to blame for the time in which nobody ran.
TEST(Watchdog, LetsAJobBeSuspendedAsAWhole) {
  Result result = job("suspend 7 3");
  EXPECT_EQ(result.code, 0) << result.output;
  EXPECT_EQ(result.output, "");
  EXPECT_GT(result.seconds, 6.5);
}

// The launcher's code tells of the signal; the line tells who it was.
TEST(Watchdog, AKilledRankIsNamedAndEndsTheJobWithinThreeSeconds) {
  for (std::string how : {"kill", "crash"}) {
    for (int rank : {0, 2}) {
      Result result = job(fmt::format("{} {} 60", how, rank));
      EXPECT_EQ(result.code, how == "kill" ? 137 : 134) << result.output;
      EXPECT_THAT(result.output, HasSubstr(rank_here(rank) + " is gone without a word"));
      EXPECT_LT(result.seconds, 3 + busy);
    }
  }
}

TEST(Watchdog, LeavesMessageAndCodeToARankThatFails) {
  Result result = job("data 2 3");
  EXPECT_EQ(result.code, 65) << result.output;
  EXPECT_THAT(result.output, HasSubstr(rank_here(2) + ": train.h5: bad checksum"));
  EXPECT_EQ(result.output.find("gone without a word"), std::string::npos) << result.output;
}

}  // namespace
}  // namespace trireme
