// What SLURM says of another job, and how often one job may start again without getting anywhere.
#include <gmock/gmock.h>

#include "checkpoint/claim_fixture.h"

namespace trireme {
namespace {

using test::claim_options;
using test::message_of;
using test::Variable;
using testing::AllOf;
using testing::HasSubstr;

class ClaimJob : public test::ClaimTest {
 protected:
  // Judged without a heartbeat: a wait would be for ever.
  static ClaimOptions patient(int64_t step = -1) {
    ClaimOptions options = claim_options(step);
    options.silence_seconds = 1e9;
    return options;
  }
  int64_t start_of(const ClaimOptions& options) const { return RunClaim(checkpoints(), options).start(); }
  std::string refusal(const ClaimOptions& options) const {
    return message_of<ClaimError>([&] { start_of(options); });
  }
};

TEST_F(ClaimJob, IsDeadWhenSlurmSaysSo) {
  int64_t number = 20;
  for (const char* answer : {
           "echo 16 RUNNING",
           "exit 0",
           "echo 17 COMPLETED",
           "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
           "echo 17 NODE_FAIL",
           "echo 17 PENDING",
           "echo 17 PREEMPTED",
       }) {
    put(foreign(number, "17"));
    squeue(answer);
    EXPECT_EQ(start_of(patient()), number + 1) << answer;
    number += 2;
  }
}

TEST_F(ClaimJob, TheHeartbeatDecidesWhereSlurmDoesNot) {
  for (const char* answer : {"echo 17 RUNNING", "echo 17 COMPLETING", "echo 17 SOMETHING_NEW",
                             "echo 'Unable to contact' >&2; exit 1", "echo 17 RUNNING; kill -KILL $$"}) {
    std::filesystem::path start = put(foreign(50, "17"));
    squeue(answer);
    {
      test::Toucher toucher(start / "holder.json");
      ClaimOptions options = claim_options();
      options.silence_seconds = 60;
      EXPECT_THAT(refusal(options), HasSubstr("in use by")) << answer;
    }
    EXPECT_EQ(start_of(claim_options()), 51) << answer;
    std::filesystem::remove_all(checkpoints());
  }
}

TEST_F(ClaimJob, AnotherClustersJobIsNotAskedFor) {
  Variable job("SLURM_JOB_ID", "17"), cluster("SLURM_CLUSTER_NAME", "here");
  Holder holder = foreign(1, "17");
  holder.cluster = "there";
  put(holder);
  squeue("exit 0");
  std::filesystem::path file = checkpoints() / "start-0001" / "holder.json";
  ClaimOptions options = claim_options();
  options.silence_seconds = 60;
  {
    test::Toucher toucher(file);
    EXPECT_THAT(refusal(options), HasSubstr("in use by"));
  }
  EXPECT_EQ(start_of(claim_options()), 2) << "silent";
  EXPECT_FALSE(std::filesystem::exists(arguments()));
}

TEST_F(ClaimJob, AnEarlierStartOfTheSameJobIsTakenOverAtOnce) {
  Variable job("SLURM_JOB_ID", "17");
  put(foreign(1, "17"));
  squeue("echo 17 RUNNING");
  EXPECT_EQ(start_of(patient()), 2);
  EXPECT_FALSE(std::filesystem::exists(arguments())) << "SLURM need not be asked";
}

TEST_F(ClaimJob, ButNotOneThatIsSeenToLive) {
  Variable job("SLURM_JOB_ID", "17");
  RunClaim claim(checkpoints(), patient());
  EXPECT_NE(refusal(patient()), "");
}

class ClaimProgress : public ClaimJob {
 protected:
  ClaimOptions at(int64_t step, int64_t restarts = 2) const {
    ClaimOptions options = patient(step);
    options.restarts = restarts;
    return options;
  }
  bool begins(const ClaimOptions& options) const {
    try {
      RunClaim claim(checkpoints(), options);
      return true;
    } catch (const NoProgressError&) {
      return false;
    }
  }
};

TEST_F(ClaimProgress, StartsWithoutProgressAreCounted) {
  Variable job("SLURM_JOB_ID", "17");
  EXPECT_TRUE(begins(at(-1)));
  EXPECT_TRUE(begins(at(-1)));
  EXPECT_TRUE(begins(at(-1)));
  EXPECT_THAT(message_of<NoProgressError>([&] { start_of(at(-1)); }),
              AllOf(HasSubstr("job 17"), HasSubstr("3 times"), HasSubstr("log"),
                    HasSubstr("checkpoint.restarts"), HasSubstr("submit it anew")));
  EXPECT_FALSE(begins(at(-1))) << "nor does the next automatic start";
  EXPECT_FALSE(begins(at(-1)));
  EXPECT_TRUE(begins(at(-1, 3))) << "raised by one";
  EXPECT_FALSE(begins(at(-1, 3)));
}

TEST_F(ClaimProgress, ANewerStepBeginsTheCountAnew) {
  Variable job("SLURM_JOB_ID", "17");
  for (int64_t step : {-1, -1, -1, 0, 0, 0, 10, 10, 10}) EXPECT_TRUE(begins(at(step))) << step;
  EXPECT_FALSE(begins(at(10)));
  EXPECT_FALSE(begins(at(5))) << "an older one is no progress";
}

TEST_F(ClaimProgress, AnotherJobBeginsTheCountAnewAndNoJobHasNone) {
  std::optional<Variable> job;
  job.emplace("SLURM_JOB_ID", "17");
  for (int time = 0; time < 4; ++time) begins(at(10));
  EXPECT_FALSE(begins(at(10)));
  job.reset();
  job.emplace("SLURM_JOB_ID", "18");
  EXPECT_TRUE(begins(at(10)));
  job.reset();
  for (int time = 0; time < 6; ++time) EXPECT_TRUE(begins(at(10)));
}

TEST_F(ClaimProgress, AKilledStartOfANewJobIsNotChargedWithTheCountOfTheFormerJob) {
  {
    Variable job("SLURM_JOB_ID", "17");
    for (int time = 0; time < 4; ++time) begins(at(10));
  }
  Variable job("SLURM_JOB_ID", "18");
  ClaimOptions killed = at(10);
  killed.newest_step = []() -> int64_t {
    ::kill(::getpid(), SIGKILL);
    return 0;
  };
  test::Child child([&] { RunClaim claim(checkpoints(), killed); });
  EXPECT_FALSE(child.ready());
  EXPECT_TRUE(begins(at(10)));
}

TEST_F(ClaimProgress, ARunThatCameToItsEndIsNoRestart) {
  Variable job("SLURM_JOB_ID", "17");
  for (int time = 0; time < 6; ++time) {
    RunClaim claim(checkpoints(), at(10));
    claim.mark_done();
  }
}

TEST_F(ClaimProgress, AStartThatIsKilledBeforeItLooksCounts) {
  Variable job("SLURM_JOB_ID", "17");
  EXPECT_TRUE(begins(at(10)));
  for (int time = 0; time < 2; ++time) {
    ClaimOptions killed = at(10);
    killed.newest_step = []() -> int64_t {
      ::kill(::getpid(), SIGKILL);
      return 0;
    };
    test::Child child([&] { RunClaim claim(checkpoints(), killed); });
    EXPECT_FALSE(child.ready());
  }
  EXPECT_FALSE(begins(at(10)));
  EXPECT_TRUE(begins(at(11)));
}

}  // namespace
}  // namespace trireme
