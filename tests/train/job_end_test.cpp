// The job's end, with a scontrol of the test's own on PATH and a clock that the test sets.
#include "train/job_end.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/temporary_folder.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr double start = 1'790'000'000;

class JobEndTest : public testing::Test {
 protected:
  JobEndTest() {
    ::setenv("PATH", (folder_.path().string() + ":" + path_).c_str(), 1);
    ::setenv("SLURM_JOB_ID", "7", 1);
    ::unsetenv("SLURM_JOB_END_TIME");
    ::setenv("TZ", "America/New_York", 1);
    ::tzset();
  }
  ~JobEndTest() override {
    ::setenv("PATH", path_.c_str(), 1);
    ::unsetenv("SLURM_JOB_ID");
    ::unsetenv("SLURM_JOB_END_TIME");
    ::unsetenv("TZ");
    ::tzset();
  }

  // scontrol from now on: its lines, and a count of how often it was asked.
  void scontrol(const std::string& body) {
    fs::path file = folder_ / "scontrol";
    fs::remove(file);
    std::ofstream(file) << "#!/bin/sh\necho \"$@ $SLURM_TIME_FORMAT\" >>" << folder_.path().string()
                        << "/asked\n"
                        << body << "\n";
    fs::permissions(file, fs::perms::owner_all);
  }
  void scontrol_says_end(const std::string& end) {
    scontrol("echo 'JobId=7 JobName=x StartTime=1 EndTime=" + end + " Deadline=N/A'");
  }
  void scontrol_says_end(double end) { scontrol_says_end(std::to_string(static_cast<long>(end))); }
  int asked() const {
    std::ifstream file(folder_ / "asked");
    int lines = 0;
    for (std::string line; std::getline(file, line);) {
      EXPECT_EQ(line, "show job -o 7 %s");
      ++lines;
    }
    return lines;
  }
  JobEnd job_end(double before) {
    return JobEnd(before, [this] { return now_; });
  }

  test::TemporaryFolder folder_;
  std::string path_ = std::getenv("PATH");
  double now_ = start;
};

TEST_F(JobEndTest, IsNearSoLongBeforeAsTheConfigSays) {
  scontrol_says_end(start + 600);
  JobEnd end = job_end(60);
  EXPECT_EQ(end.note(), "");
  EXPECT_FALSE(end.near());
  now_ = start + 539;
  EXPECT_FALSE(end.near());
  EXPECT_EQ(asked(), 1) << "a step costs a look at the clock alone";
  now_ = start + 542;
  EXPECT_TRUE(end.near());
  EXPECT_EQ(end.note(), "the job ends in 58 s by SLURM");
  EXPECT_TRUE(end.near());
  EXPECT_EQ(asked(), 2);
}

TEST_F(JobEndTest, TakesTheEnvironmentsWord) {
  scontrol_says_end(start + 600);
  ::setenv("SLURM_JOB_END_TIME", std::to_string(static_cast<long>(start + 600)).c_str(), 1);
  JobEnd end = job_end(60);
  EXPECT_EQ(asked(), 0);
  now_ = start + 541;
  EXPECT_TRUE(end.near());
}

TEST_F(JobEndTest, ReadsLocalTime) {
  scontrol_says_end("2026-09-21T10:23:20");  // 14:23:20 in UTC: start + 600
  JobEnd end = job_end(60);
  now_ = start + 600 - 61;
  EXPECT_FALSE(end.near());
  now_ = start + 600 - 59;
  EXPECT_TRUE(end.near());
}

TEST_F(JobEndTest, FollowsAnExtendedLimit) {
  scontrol_says_end(start + 600);
  JobEnd end = job_end(60);
  scontrol_says_end(start + 1200);
  now_ = start + 545;
  EXPECT_FALSE(end.near());
  now_ = start + 1139;
  EXPECT_FALSE(end.near());
  EXPECT_EQ(asked(), 2);
  now_ = start + 1141;
  EXPECT_TRUE(end.near());
  EXPECT_EQ(end.note(), "the job ends in 59 s by SLURM");
}

TEST_F(JobEndTest, FollowsALimitThatIsTakenAway) {
  scontrol_says_end(start + 600);
  JobEnd end = job_end(60);
  scontrol_says_end("Unknown");
  now_ = start + 545;
  EXPECT_FALSE(end.near());
  now_ = start + 1e6;
  EXPECT_FALSE(end.near());
  EXPECT_EQ(asked(), 2);
}

TEST_F(JobEndTest, AsksAtMostOnceAMinute) {
  scontrol_says_end(start + 600);
  JobEnd end = job_end(60);
  scontrol_says_end(start + 615);
  now_ = start + 545;
  EXPECT_FALSE(end.near());
  now_ = start + 556;
  EXPECT_TRUE(end.near());
  EXPECT_EQ(asked(), 2);
}

TEST_F(JobEndTest, KeepsTheEndItKnowsWhereScontrolFails) {
  scontrol_says_end(start + 600);
  JobEnd end = job_end(60);
  scontrol("exit 1");
  now_ = start + 541;
  EXPECT_TRUE(end.near());
}

TEST_F(JobEndTest, LeavesAShortJobHalfOfItsTime) {
  scontrol_says_end(start + 60);
  JobEnd end = job_end(60);
  EXPECT_EQ(end.note(),
            "the job has only 60 s left: the run stops 30 s before its end, not 60 s as "
            "checkpoint.before_end_seconds says");
  now_ = start + 29;
  EXPECT_FALSE(end.near());
  now_ = start + 31;
  EXPECT_TRUE(end.near());
}

TEST_F(JobEndTest, AShortJobThatIsExtendedHasTheFullMargin) {
  scontrol_says_end(start + 60);
  JobEnd end = job_end(60);
  scontrol_says_end(start + 600);
  now_ = start + 31;
  EXPECT_FALSE(end.near());
  now_ = start + 541;
  EXPECT_TRUE(end.near());
}

TEST_F(JobEndTest, FindsItsOwnTaskOfAJobArray) {
  scontrol("echo 'JobId=8 ArrayJobId=7 EndTime=1 X=1'; echo 'JobId=7 ArrayJobId=7 EndTime=1790000600 X=1'");
  JobEnd end = job_end(60);
  now_ = start + 539;
  EXPECT_FALSE(end.near());
  now_ = start + 541;
  EXPECT_TRUE(end.near());
}

TEST_F(JobEndTest, ThereIsNoneOutsideAJobOrForAJobWithoutALimitOrWhereNoneIsWanted) {
  scontrol_says_end("Unknown");
  JobEnd unlimited = job_end(60);
  EXPECT_EQ(asked(), 1);
  scontrol_says_end(start + 600);
  JobEnd unwanted = job_end(0);
  ::unsetenv("SLURM_JOB_ID");
  JobEnd outside = job_end(60);
  EXPECT_EQ(asked(), 1);
  now_ = start + 1e6;
  for (JobEnd* end : {&unlimited, &unwanted, &outside}) {
    EXPECT_FALSE(end->near());
    EXPECT_EQ(end->note(), "");
  }
}

TEST_F(JobEndTest, SaysWhereSlurmDoesNotAnswer) {
  scontrol("exit 1");
  JobEnd end = job_end(60);
  EXPECT_NE(end.note().find("does not say when job 7 ends"), std::string::npos) << end.note();
  now_ = start + 1e6;
  EXPECT_FALSE(end.near());
}

}  // namespace
}  // namespace trireme
