// Many contenders, and kills at any moment.
#include <gmock/gmock.h>

#include <random>
#include <set>

#include "checkpoint/claim_fixture.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using test::Child;
using test::claim_options;
using test::put_text;
using testing::ElementsAre;

class ClaimContention : public test::ClaimTest {};

TEST_F(ClaimContention, OneOfTwoDozenProcessesWins) {
  constexpr int contenders = 24;
  for (int round = 1; round <= 3; ++round) {
    std::array<int, 2> gate{}, result{}, release{};
    for (auto* ends : {&gate, &result, &release}) ASSERT_EQ(::pipe2(ends->data(), O_CLOEXEC), 0);
    std::vector<pid_t> children;
    for (int i = 0; i < contenders; ++i) {
      pid_t pid = ::fork();
      if (pid == 0) {
        ::close(gate[1]);
        ::close(release[1]);
        char byte = 0;
        if (::read(gate[0], &byte, 1) != 0) ::_exit(1);  // until all have been made
        char outcome = 'e';
        std::unique_ptr<RunClaim> claim;
        try {
          claim = std::make_unique<RunClaim>(checkpoints(), claim_options());
          outcome = claim->start() == round ? 'w' : 'n';
        } catch (const ClaimError&) {
          outcome = 'l';
        } catch (...) {
        }
        if (::write(result[1], &outcome, 1) != 1 || ::read(release[0], &byte, 1) != 0) ::_exit(1);
        claim.reset();
        ::_exit(0);
      }
      children.push_back(pid);
    }
    ::close(gate[1]);
    std::string outcomes;
    char outcome = 0;
    for (int i = 0; i < contenders && ::read(result[0], &outcome, 1) == 1; ++i) outcomes += outcome;
    EXPECT_EQ(std::count(outcomes.begin(), outcomes.end(), 'w'), 1) << outcomes;
    EXPECT_EQ(std::count(outcomes.begin(), outcomes.end(), 'l'), contenders - 1) << outcomes;
    ::close(release[1]);
    for (pid_t child : children) ::waitpid(child, nullptr, 0);
    for (int end : {gate[0], result[0], result[1], release[0]}) ::close(end);
    EXPECT_THAT(names(), ElementsAre(fmt::format("start-{:04}", round)));
  }
}

TEST_F(ClaimContention, OneAtATimeAndNumbersOnlyRise) {
  std::atomic<int> inside{0};
  std::atomic<int64_t> last{0};
  std::atomic<int> turns{0};
  auto contend = [&] {
    for (int won = 0; won < 6;) {
      try {
        RunClaim claim(checkpoints(), claim_options());
        EXPECT_EQ(inside.fetch_add(1), 0);
        EXPECT_GT(claim.start(), last.exchange(claim.start()));
        fs::path file = claim.workshop() / "manifest.json";
        put_text(file, "whole");
        commit_from_workshop(claim.workshop(), file, checkpoints() / "manifest.json");
        ++turns;
        ++won;
        inside.fetch_sub(1);
      } catch (const ClaimError&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back(contend);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turns, 48);
  EXPECT_EQ(names().size(), 2u) << "the last workshop, and what was committed";
}

TEST_F(ClaimContention, AKillAtAnyMomentIsNotInTheWay) {
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    pid_t pid = ::fork();
    if (pid == 0) {
      while (true) RunClaim claim(checkpoints(), claim_options());
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 6000));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    RunClaim claim(checkpoints(), claim_options());
    EXPECT_EQ(test::all_names(claim.workshop()).size(), 1u);
    for (const std::string& name : names()) {
      // Killed between making the folder and writing into it, a contender leaves one that says nothing.
      bool silent = name.starts_with(".claim-") && !fs::exists(checkpoints() / name / "holder.json");
      EXPECT_TRUE(silent || name == claim.workshop().filename()) << name;
    }
  }
}

TEST_F(ClaimContention, FoldersAsideOfDeadContendersGoAndOfOthersStay) {
  auto aside = [this](const std::string& name, int hours) {
    fs::path folder = checkpoints() / name;
    fs::create_directories(folder);
    fs::last_write_time(folder, fs::file_time_type::clock::now() - std::chrono::hours(hours));
  };
  Child child([] {});
  ASSERT_TRUE(child.ready());
  std::string dead = fmt::format(".claim-{}-{}-1", own_holder().host, child.pid());
  child.kill();
  child.reap();
  std::string lives = fmt::format(".claim-{}-{}-x", own_holder().host, ::getpid());
  aside(dead, 0);
  aside(lives, 0);
  aside(".claim-elsewhere-4711-1", 0);
  aside(".claim-elsewhere-4711-2", 5);
  RunClaim claim(checkpoints(), claim_options());
  EXPECT_THAT(names(), testing::UnorderedElementsAre(".claim-elsewhere-4711-1", lives, "start-0001"));
}

TEST_F(ClaimContention, AWinnerThatWasKilledBeforeItFencedIsCleanedUpAfter) {
  put_text(put(foreign(1)) / "manifest.json", "in flight");
  Holder dead = own_holder();
  dead.process_start += 1;
  dead.start = 2;
  fs::path second = put(dead);
  fs::create_directories(second / "former-start-0000" / "deep");
  RunClaim claim(checkpoints(), claim_options());
  EXPECT_EQ(claim.start(), 3);
  EXPECT_THAT(names(), ElementsAre("start-0003"));
  EXPECT_THAT(test::all_names(claim.workshop()), ElementsAre("holder.json"));
}

}  // namespace
}  // namespace trireme
