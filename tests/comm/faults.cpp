// However a rank goes wrong, the whole job ends within seconds, with the right exit code and one message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "comm/world.h"
#include "support/run_command.h"

namespace trireme {
namespace {

using testing::HasSubstr;
using testing::Not;

using Result = test::CommandResult;

Result run(const std::string& command) { return test::run_command(command, 30); }

Result mpirun(int ranks, const std::string& arguments) {
  return run(fmt::format("mpirun -n {} {} {}", ranks, FAULTY_JOB, arguments));
}

constexpr double soon = 10;  // seconds; a busy machine is allowed for

TEST(Faults, NoneAtAll) {
  Result result = mpirun(2, "none");
  EXPECT_EQ(result.code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("ranks 2"));
  Result alone = run(std::string(FAULTY_JOB) + " none");
  EXPECT_EQ(alone.code, 0) << alone.output;
  EXPECT_THAT(alone.output, HasSubstr("ranks 1 init 0.000"));
}

TEST(Faults, StoppedKeepsItsCode) { EXPECT_EQ(mpirun(2, "stopped").code, 75); }

TEST(Faults, ABadConfigIsPrintedOnce) {
  for (int ranks : {1, 2, 3}) {
    Result result = mpirun(ranks, "config");
    EXPECT_EQ(result.code, 78) << result.output;
    EXPECT_EQ(result.times("trireme-faulty: error: run.toml:3:1: unknown key 'learning_rat'\n"), 1)
        << result.output;
    EXPECT_LT(result.seconds, soon);
  }
}

TEST(Faults, OneRankBeforeInit) {
  for (int culprit : {0, 1}) {
    Result result = mpirun(2, fmt::format("before-init {}", culprit));
    EXPECT_EQ(result.code, 74) << result.output;
    EXPECT_EQ(result.times("/data: permission denied"), 1) << result.output;
    EXPECT_LT(result.seconds, soon);
  }
}

TEST(Faults, AllRanksBeforeInit) {
  Result result = mpirun(3, "all-before-init");
  EXPECT_EQ(result.code, 74) << result.output;
  EXPECT_EQ(result.times("/data: permission denied"), 1) << result.output;
  EXPECT_LT(result.seconds, soon);
}

TEST(Faults, OneRankWhileTheOthersWaitInACollective) {
  for (int culprit : {0, 1, 2}) {
    Result result = mpirun(3, fmt::format("data {}", culprit));
    EXPECT_EQ(result.code, 65) << result.output;
    EXPECT_EQ(result.times(fmt::format("trireme-faulty: error: rank {} on {}: train.h5: bad checksum\n",
                                       culprit, host_name())),
              1)
        << result.output;
    EXPECT_LT(result.seconds, soon);
  }
}

TEST(Faults, AllRanksAlikeArePrintedOnce) {
  Result result = mpirun(3, "all");
  EXPECT_EQ(result.code, 65) << result.output;
  EXPECT_EQ(result.times("train.h5: bad checksum"), 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("rank 0 on "));
}

TEST(Faults, OutOfMemoryAndTheUnknown) {
  Result memory = mpirun(2, "memory 1");
  EXPECT_EQ(memory.code, 70) << memory.output;
  EXPECT_THAT(memory.output, HasSubstr("out of memory"));
  Result unknown = mpirun(2, "unknown 1");
  EXPECT_EQ(unknown.code, 70) << unknown.output;
  EXPECT_THAT(unknown.output, HasSubstr("unknown type"));
}

TEST(Faults, ACommErrorNamesTheRankOnce) {
  Result result = mpirun(2, "comm 1");
  EXPECT_EQ(result.code, 70) << result.output;
  EXPECT_THAT(result.output, HasSubstr("trireme-faulty: error: rank 1 on " + host_name() + ": broadcast"));
}

TEST(Faults, ADestructorThatJoinsACommunicationThread) {
  Result result = mpirun(2, "thread 0");
  EXPECT_EQ(result.code, 65) << result.output;
  EXPECT_LT(result.seconds, soon);
}

TEST(Faults, AKilledRankEndsTheJob) {
  Result result = mpirun(2, "kill 1");
  EXPECT_EQ(result.code, 137) << result.output;
  EXPECT_LT(result.seconds, soon);
}

// UCX's own handler of such signals frees memory, and waits for the lock that malloc held.
TEST(Faults, ACrashInsideMallocEndsTheProcess) {
  Result alone = run(std::string(FAULTY_JOB) + " crash-in-malloc");
  EXPECT_EQ(alone.code, 139) << alone.output;
  EXPECT_LT(alone.seconds, soon);
  EXPECT_THAT(alone.output, HasSubstr(fmt::format("trireme-faulty: error: rank 0 on {}: signal 11, segmentation "
                                                  "fault, at address 0x",
                                                  host_name())));
  EXPECT_THAT(alone.output, HasSubstr("malloc"));  // in the stack
  Result result = mpirun(2, "crash-in-malloc 1");
  EXPECT_EQ(result.code, 139) << result.output;
  EXPECT_LT(result.seconds, soon);
  EXPECT_THAT(result.output, HasSubstr("rank 1 on " + host_name() + ": signal 11"));
}

TEST(Faults, ACallOfANullPointerNamesItsCaller) {
  Result result = run(std::string(FAULTY_JOB) + " call-of-nothing");
  EXPECT_EQ(result.code, 139) << result.output;
  EXPECT_THAT(result.output, testing::ContainsRegex("at address 0x0; .*\n[^ ]*comm_faulty_job\\("));
}

TEST(Faults, ASignalStopsAllRanksTogether) {
  // mpirun passes SIGUSR1 on to the ranks; only after they listen.
  std::string script = fmt::format(
      "sh -c 'mpirun -n 2 {} signal 2>ready.$$ & job=$!; "
      "for i in $(seq 100); do grep -q ready ready.$$ && break; sleep 0.05; done; rm -f ready.$$; "
      "kill -USR1 $job; wait $job'",
      FAULTY_JOB);
  Result result = run(script);
  EXPECT_EQ(result.code, 75) << result.output;
  EXPECT_LT(result.seconds, soon);
}

}  // namespace
}  // namespace trireme
