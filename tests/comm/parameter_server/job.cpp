// Whole jobs of servers and workers, whose processes die, freeze and come: nothing hangs, and every ticket is
// applied exactly once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "comm/parameter_server/job_processes.h"

namespace trireme::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

constexpr double limit = 60;

// Soak runs do what the suite does a few times as often as asked for.
int times(int few) {
  const char* asked = std::getenv("TRIREME_SOAK");
  return asked != nullptr ? 50 : few;
}

void expect_good_end(ToyJob& job, int without_server = -1, int without_worker = -1) {
  bool good = false;
  for (int i = 0; i < static_cast<int>(job.server.size()); ++i) {
    if (i == without_server) continue;
    EXPECT_EQ(job.server[static_cast<size_t>(i)]->wait(limit), 0) << job.all();
    if (job.server[static_cast<size_t>(i)]->output().find("last good") != std::string::npos) good = true;
  }
  for (int i = 0; i < static_cast<int>(job.worker.size()); ++i) {
    if (i == without_worker) continue;
    EXPECT_EQ(job.worker[static_cast<size_t>(i)]->wait(limit), 0) << job.all();
  }
  EXPECT_TRUE(good) << job.all();
}

TEST(Job, CountsEveryTicketOnce) {
  for (const char* staleness : {"-1", "0", "3"}) {
    for (int servers : {1, 3}) {
      ToyJob job;
      job.servers = servers;
      job.arguments = {"--clocks", "60", "--staleness", staleness, "--cut-every", "7"};
      job.start();
      expect_good_end(job);
      EXPECT_THAT(job.all(), HasSubstr("cut 56 good"));
    }
  }
}

// From memory, by gets (over UCX's shared memory, where they are real ones), by messages.
TEST(Job, PullsAreWholeUnderLoad) {
  for (const char* transfer : {"0", "1", "2"}) {
    ToyJob job;
    job.servers = 2;
    job.workers = 2;
    job.arguments = {"--clocks", "100", "--transfer", transfer, "--elements", "300000", "--compute-us", "0"};
    if (transfer[0] == '1') job.arguments.insert(job.arguments.end(), {"--transports", "posix,tcp,self"});
    job.start();
    expect_good_end(job);
    EXPECT_THAT(job.all(), Not(HasSubstr("TORN")));
  }
}

TEST(Job, AKilledWorkerIsDoneWithout) {
  std::mt19937 random(1);
  for (int i = 0; i < times(4); ++i) {
    ToyJob job;
    job.servers = 1 + i % 2;
    job.workers = 3;
    job.arguments = {"--clocks", "150", "--staleness", i % 3 == 0 ? "0" : "4", "--cut-every", "20"};
    job.start();
    ASSERT_TRUE(job.server[0]->says("cut 20 good", limit)) << job.all();
    std::this_thread::sleep_for(milliseconds(random() % 200));
    job.worker[1]->kill();
    expect_good_end(job, -1, 1);
  }
}

TEST(Job, AWorkerMayComeLater) {
  ToyJob job;
  job.workers = 1;
  job.arguments = {"--clocks", "3000"};
  job.start();
  ASSERT_TRUE(job.server[0]->says("worker 0", limit));
  job.start_worker();
  expect_good_end(job);
  EXPECT_THAT(job.worker[1]->output(), Not(HasSubstr("did 0 tickets")));
}

TEST(Job, AKilledServerLosesNothingWithTwoReplicas) {
  std::mt19937 random(2);
  for (int i = 0; i < times(6); ++i) {
    ToyJob job;
    job.servers = 2 + i % 2;
    job.workers = 2;
    job.arguments = {"--clocks",    "200", "--replicas", "2", "--staleness", i % 3 == 0 ? "0" : "4",
                     "--cut-every", "20"};
    job.start();
    ASSERT_TRUE(job.server[0]->says("cut 20 good", limit)) << job.all();
    std::this_thread::sleep_for(milliseconds(random() % 150));
    int victim = static_cast<int>(random() % static_cast<unsigned>(job.servers));
    job.server[static_cast<size_t>(victim)]->kill();
    expect_good_end(job, victim);
    if (HasFailure()) FAIL() << "victim " << victim << ", round " << i;
  }
}

TEST(Job, AKilledServerEndsTheJobWithOneReplica) {
  for (int victim : {0, 1}) {
    ToyJob job;
    job.servers = 2;
    job.arguments = {"--clocks", "100000", "--cut-every", "20"};
    job.start();
    ASSERT_TRUE(job.server[0]->says("cut 20 good", limit)) << job.all();
    ASSERT_TRUE(job.server[0]->says("worker 1 on", limit)) << job.all();  // who comes later finds nobody
    job.server[static_cast<size_t>(victim)]->kill();
    EXPECT_EQ(job.server[static_cast<size_t>(1 - victim)]->wait(limit), 75) << job.all();
    for (auto& worker : job.worker) EXPECT_EQ(worker->wait(limit), 75) << job.all();
  }
}

TEST(Job, TwoServersAtOnceEndTheJobWithTwoReplicas) {
  for (int stays : {0, 1, 2}) {
    ToyJob job;
    job.servers = 3;
    job.arguments = {"--clocks", "100000", "--replicas", "2", "--cut-every", "20"};
    job.start();
    ASSERT_TRUE(job.server[0]->says("cut 20 good", limit)) << job.all();
    ASSERT_TRUE(job.server[0]->says("worker 1", limit)) << job.all();
    for (int i = 0; i < 3; ++i) {
      if (i != stays) job.server[static_cast<size_t>(i)]->kill();
    }
    EXPECT_EQ(job.server[static_cast<size_t>(stays)]->wait(limit), 75) << job.all();
    for (auto& worker : job.worker) EXPECT_EQ(worker->wait(limit), 75) << job.all();
  }
}

TEST(Job, AFrozenWorkerIsFencedAndComesBack) {
  ToyJob job;
  job.workers = 2;
  job.arguments = {"--clocks", "4000", "--lease-ms", "500", "--staleness", "4", "--cut-every", "100"};
  job.start();
  ASSERT_TRUE(job.server[0]->says("cut 100 good", limit)) << job.all();
  job.worker[0]->signal(SIGSTOP);
  ASSERT_TRUE(job.server[0]->says("its samples go to others", limit)) << job.all();
  job.worker[0]->signal(SIGCONT);
  expect_good_end(job);
  EXPECT_THAT(job.worker[0]->output(), HasSubstr("joined 2 times"));
}

TEST(Job, AFrozenServerIsTakenOverAndKeepsOut) {
  for (int victim : {0, 1}) {
    ToyJob job;
    job.servers = 2;
    job.arguments = {"--clocks", "3000", "--lease-ms", "700", "--replicas", "2", "--cut-every", "100"};
    job.start();
    ASSERT_TRUE(job.server[0]->says("cut 100 good", limit)) << job.all();
    job.server[static_cast<size_t>(victim)]->signal(SIGSTOP);
    ASSERT_TRUE(job.server[static_cast<size_t>(1 - victim)]->says("has been taken over", limit)) << job.all();
    job.server[static_cast<size_t>(victim)]->signal(SIGCONT);
    EXPECT_EQ(job.server[static_cast<size_t>(victim)]->wait(limit), 75) << job.all();
    expect_good_end(job, victim);
  }
}

TEST(Job, StrangersAreRefused) {
  ToyJob job;
  job.arguments = {"--clocks", "300"};
  job.start();
  job.start_worker({"--fingerprint", "8"});
  EXPECT_EQ(job.worker.back()->wait(limit), 78) << job.all();
  EXPECT_THAT(job.worker.back()->output(), HasSubstr("another config"));
  expect_good_end(job, -1, 2);
}

TEST(Job, WithoutWorkersItEnds) {
  ToyJob job;
  job.workers = 1;
  job.arguments = {"--clocks", "100000", "--patience-ms", "1000"};
  job.start();
  ASSERT_TRUE(job.server[0]->says("worker 0", limit));
  job.worker[0]->kill();
  EXPECT_EQ(job.server[0]->wait(limit), 75);
  EXPECT_THAT(job.server[0]->output(), HasSubstr("no worker is left"));
}

}  // namespace
}  // namespace trireme::test
