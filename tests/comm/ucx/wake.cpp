// Sleep and waking: an idle worker costs nothing and is there at once.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include <atomic>

#include "comm/ucx/process.h"

namespace trireme::test {
namespace {

using Clock = std::chrono::steady_clock;

double thread_seconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class UcxWake : public testing::TestWithParam<bool> {};

TEST_P(UcxWake, IdleCostsNothing) {
  Process process;
  Client client(process, GetParam());
  ASSERT_TRUE(client.echo());
  const auto start = Clock::now();
  const double before = thread_seconds();
  while (Clock::now() - start < 1500ms) client.worker.wait(1500ms - (Clock::now() - start));
  const double taken = thread_seconds() - before;
  std::printf("  idle: %.2f ms of 1500\n", 1e3 * taken);
  EXPECT_LT(taken, 0.05) << "of 1.5 s";
}

TEST_P(UcxWake, ASleeperIsThereAtOnce) {
  Process process;  // sleeps up to 20 ms at a time, so the way there counts, and its answer
  Client client(process, GetParam());
  ASSERT_TRUE(client.echo());
  auto best = std::chrono::nanoseconds(10s);
  for (int i = 0; i < 20 && best > 5ms; ++i) {
    std::this_thread::sleep_for(3ms);
    const auto start = Clock::now();
    ASSERT_TRUE(client.echo());
    best = std::min(best, std::chrono::nanoseconds(Clock::now() - start));
  }
  std::printf("  an answer of a sleeper: %.3f ms\n", best / 1us / 1e3);
  EXPECT_LT(best, 5ms);
}

TEST_P(UcxWake, TheDescriptorTells) {
  Process process;
  Client client(process, GetParam());
  ASSERT_TRUE(client.echo());
  auto armed = [&] {
    const auto end = Clock::now() + kGenerous;
    while (!client.worker.arm()) {
      if (Clock::now() > end) return false;
      client.worker.progress();
    }
    return true;
  };
  ASSERT_TRUE(armed());
  auto request = client.endpoint->send(kEcho, {}, nullptr, 0);
  const int before = client.echoes;
  const auto end = Clock::now() + kGenerous;
  while (client.echoes == before && Clock::now() < end) {
    if (client.worker.progress()) continue;
    if (!client.worker.arm()) continue;
    pollfd descriptor = {client.worker.event_descriptor(), POLLIN, 0};
    ASSERT_EQ(poll(&descriptor, 1, 10000), 1) << "asleep with a message waiting";
  }
  EXPECT_EQ(client.echoes, before + 1);
}

INSTANTIATE_TEST_SUITE_P(Ways, UcxWake, testing::Bool(),
                         [](const auto& param_info) { return param_info.param ? "address" : "listener"; });

TEST(UcxSignal, EndsAWait) {
  UcxContext context;
  UcxWorker worker(context);
  std::atomic<bool> waiting = false;
  std::thread other([&] {
    while (!waiting) std::this_thread::yield();
    std::this_thread::sleep_for(50ms);
    worker.signal();
  });
  waiting = true;
  const auto start = Clock::now();
  while (worker.wait(10s)) {
  }
  const auto taken = Clock::now() - start;
  other.join();
  EXPECT_GT(taken, 40ms);
  EXPECT_LT(taken, 5s);
}

TEST(UcxSignal, ThatCameBeforeTheWaitCounts) {
  UcxContext context;
  UcxWorker worker(context);
  for (int i = 0; i < 1000; ++i) worker.signal();
  const auto start = Clock::now();
  while (worker.wait(10s)) {
  }
  EXPECT_LT(Clock::now() - start, 5s);
  // And all of them for one wait.
  const auto again = Clock::now();
  while (worker.wait(200ms)) {
  }
  EXPECT_GT(Clock::now() - again, 150ms);
}

TEST(UcxSignal, ReadsOnTheDescriptor) {
  UcxContext context;
  UcxWorker worker(context);
  while (worker.progress() || !worker.arm()) {
  }
  pollfd descriptor = {worker.event_descriptor(), POLLIN, 0};
  EXPECT_EQ(poll(&descriptor, 1, 0), 0);
  worker.signal();
  EXPECT_EQ(poll(&descriptor, 1, 10000), 1);
}

TEST(UcxSignal, ManyThreadsWhileMessagesPass) {
  Pair pair;
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!over) {
        pair.server.signal();
        std::this_thread::sleep_for(100us);
      }
    });
  }
  int arrived = 0;
  pair.server.on_message(1, [&](UcxMessage&&) { ++arrived; });
  for (int i = 0; i < 200; ++i) {
    pair.to_server->send(1, {}, nullptr, 0);
    for (int tries = 0; arrived == i && tries < 10000; ++tries) {
      pair.client.progress();
      pair.server.wait(1ms);
    }
    ASSERT_EQ(arrived, i + 1);
  }
  over = true;
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace trireme::test
