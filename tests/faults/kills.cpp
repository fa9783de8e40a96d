// A run killed before and after every call that changes its directory: what is left is a whole checkpoint,
// the newest, and going on from it gives the bits of a run that nothing happened to.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <mutex>

#include "faults/victim_process.h"
#include "faults/victim_run.h"

namespace trireme::test {
namespace {

constexpr int killed = 128 + SIGKILL;
// A run that dies loses what it did since the newest checkpoint; one that is being written then may be as old
// as the next that is due (training waits for it there).
constexpr int64_t most_steps_lost = 2 * victim_interval;

struct Figures {
  std::mutex mutex;
  int kills = 0;
  int beyond_the_end = 0;
  int64_t worst_loss = 0;
  std::map<std::string, int> kinds;  // of calls that were hit
};

// On one host, and on two that write a part of the state each.
class Kills : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const Fault counting;
    VictimEnd whole = victims_.run("whole", &counting);
    ASSERT_EQ(whole.code, 0) << whole.errors;
    sha256_ = sha256_of(victims_.run_directory("whole"));
    ASSERT_EQ(sha256_.size(), 64u);
    EXPECT_EQ(wrong_with_finished_run(victims_.run_directory("whole"), sha256_), "");
    EXPECT_EQ(whole.last_commit(), victim_steps);
    calls_ = static_cast<int64_t>(whole.calls.size());
    for (const Call& call : whole.calls) ++kinds_[call.name];
  }

  // Kills the start of run `name` at `fault`, then lets it go on; what was wrong.
  void kill_and_go_on(const std::string& name, const Fault& fault, int64_t steps_before, Figures& figures,
                      bool fresh = false) {
    VictimEnd end = fresh ? victims_.run_afresh(name, &fault) : victims_.run(name, &fault);
    SCOPED_TRACE(fmt::format("{} {}: {}", fault.deed, fault.at, end.hit_text()));
    // Not every run makes as many calls: how the two threads meet is left to chance.
    if (end.code == 0 && end.hit == 0) {
      std::lock_guard lock(figures.mutex);
      ++figures.beyond_the_end;
    } else {
      EXPECT_EQ(end.code, killed) << end.errors;
    }
    std::string wrong;
    int64_t newest = newest_whole_step(victims_.run_directory(name), wrong);
    EXPECT_EQ(wrong, "");
    EXPECT_GE(newest, std::max(end.last_commit(), steps_before)) << "a checkpoint was lost";
    int64_t loss = std::max<int64_t>(end.last_step() - newest, 0);
    EXPECT_LE(loss, most_steps_lost) << newest;
    VictimEnd rest = victims_.run(name);
    EXPECT_EQ(rest.code, 0) << rest.errors;
    // A removed run's newest checkpoint goes last: the rest of it is a run with that one alone.
    EXPECT_EQ(wrong_with_finished_run(victims_.run_directory(name), sha256_, fresh ? 1 : victim_keep), "");
    std::lock_guard lock(figures.mutex);
    if (end.code == killed) {
      ++figures.kills;
      ++figures.kinds[end.hit_name()];
    }
    figures.worst_loss = std::max(figures.worst_loss, loss);
    if (!HasFailure()) victims_.remove(name);
  }

  static std::vector<Fault> kills_at(int64_t calls, int64_t stride) {
    std::vector<Fault> faults;
    for (int64_t at = 1; at <= calls; ++at) {
      // Before one, after the next: with a stride, too, both of all kinds are met.
      if (stride == 1 || at % stride == 0) faults.push_back({at, "kill-before"});
      if (stride == 1 || at % stride == stride / 2) faults.push_back({at, "kill-after"});
    }
    return faults;
  }

  static void tell(const char* what, int64_t calls, const Figures& figures) {
    fmt::print(
        "{}: {} calls, {} kills ({} came after the end), worst loss {} steps of {} between checkpoints\n"
        "  hit: {}\n",
        what, calls, figures.kills, figures.beyond_the_end, figures.worst_loss, victim_interval,
        tally_text(figures.kinds));
  }

  Victims victims_{GetParam()};
  std::string sha256_;
  int64_t calls_ = 0;
  std::map<std::string, int> kinds_;
};

TEST_P(Kills, at_every_call_of_a_run) {
  fmt::print("a whole run: {}\n", tally_text(kinds_));
  // A few calls more than were counted: other runs may make more.
  std::vector<Fault> faults = kills_at(calls_ + 4, all_of_them() ? 1 : 1 + 2 * GetParam());
  Figures figures;
  deal_out(faults.size(), [&](size_t i) {
    kill_and_go_on(fmt::format("killed-{}-{}", faults[i].at, faults[i].deed), faults[i], 0, figures);
  });
  tell("killed in its first start", calls_, figures);
  EXPECT_GT(figures.kills, static_cast<int>(faults.size()) * 8 / 10);
}

// The start that takes over a killed one is killed, too: in its claim, its clearing up, its first saves.
TEST_P(Kills, at_every_call_of_the_start_after_a_kill) {
  const Fault first{calls_ / 2, "kill-after"};
  VictimEnd end = victims_.run("half", &first);
  ASSERT_EQ(end.code, killed);
  std::string wrong;
  int64_t before = newest_whole_step(victims_.run_directory("half"), wrong);
  EXPECT_EQ(wrong, "");
  EXPECT_GT(before, 0);
  victims_.copy("half", "counted");
  const Fault counting;
  VictimEnd rest = victims_.run("counted", &counting);
  ASSERT_EQ(rest.code, 0) << rest.errors;
  auto calls = static_cast<int64_t>(rest.calls.size());
  std::vector<Fault> faults = kills_at(calls + 2, all_of_them() ? 1 : 3 + 2 * GetParam());
  Figures figures;
  deal_out(faults.size(), [&](size_t i) {
    std::string name = fmt::format("again-{}-{}", faults[i].at, faults[i].deed);
    victims_.copy("half", name);
    kill_and_go_on(name, faults[i], before, figures);
  });
  tell("killed in its second start", calls, figures);
  EXPECT_GT(figures.kills, static_cast<int>(faults.size()) * 8 / 10);
}

// A start that is to remove a finished run, killed while it does so: what it leaves is a run that can be gone
// on with, from one of the old checkpoints or from the beginning.
TEST_P(Kills, at_every_call_of_a_fresh_start) {
  victims_.copy("whole", "counted");
  const Fault counting;
  VictimEnd all = victims_.run_afresh("counted", &counting);
  ASSERT_EQ(all.code, 0) << all.errors;
  EXPECT_EQ(all.last_step(), victim_steps);
  int64_t removing = 0;  // calls until the first step is saved
  while (!all.calls.at(static_cast<size_t>(removing)).path.ends_with("step-0000000002")) ++removing;
  std::vector<Fault> faults = kills_at(removing, all_of_them() ? 1 : 3);
  Figures figures;
  deal_out(faults.size(), [&](size_t i) {
    std::string name = fmt::format("fresh-{}-{}", faults[i].at, faults[i].deed);
    victims_.copy("whole", name);
    kill_and_go_on(name, faults[i], 0, figures, true);
  });
  tell("killed while it removes a run", removing, figures);
  EXPECT_GT(figures.kills, static_cast<int>(faults.size()) * 8 / 10);
}

INSTANTIATE_TEST_SUITE_P(on, Kills, testing::Values(1, 2),
                         [](const auto& tested) { return fmt::format("{}_hosts", tested.param); });

}  // namespace
}  // namespace trireme::test
