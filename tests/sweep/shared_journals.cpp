// Several workers on one sweep: numbers claimed by many processes at once, claims of killed ones, histories
// that do not depend on whose journal is read first.
#include "sweep/shared_journals.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "sweep/journal_story.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

Record start_record() { return {.number = 0, .time = 0, .what = StartRecord{"toy", 1, "test"}}; }

Record suggest_record(int64_t trial) {
  SuggestRecord suggest;
  suggest.trial = trial;
  suggest.point = {static_cast<double>(trial)};
  return {.number = 0, .time = 0, .what = suggest};
}

// A worker as a sweep has it: what it writes is applied to its history.
struct ToyWorker {
  ToyWorker(const fs::path& folder, int64_t worker)
      : history(false, true), journals(folder, worker, history) {
    write(start_record());
  }
  void write(const Record& record) { history.apply(journals.append(record), journals.worker()); }
  History history;
  SharedJournals journals;
};

TEST(SharedJournals, WhatOthersWriteComesIn) {
  test::TemporaryFolder folder;
  ToyWorker one(folder.path(), 1);
  EXPECT_FALSE(one.journals.has_others());
  EXPECT_EQ(one.journals.claim(), 0);
  one.write(suggest_record(0));
  ToyWorker two(folder.path(), 2);
  EXPECT_TRUE(two.journals.has_others());
  EXPECT_EQ(two.history.trials().size(), 1u);
  EXPECT_FALSE(two.journals.is_mine(0));
  EXPECT_EQ(two.journals.claim(), 1);
  EXPECT_EQ(one.journals.claim(), 2);
  two.write(suggest_record(1));
  one.write(suggest_record(2));
  EXPECT_TRUE(one.history.trial(1).point.empty()) << "claimed, and not told of yet";
  EXPECT_EQ(one.journals.refresh(), 2) << "a start and a suggestion";
  EXPECT_EQ(one.journals.refresh(), 0);
  EXPECT_EQ(two.journals.refresh(), 1);
  for (const ToyWorker* worker : {&one, &two}) {
    ASSERT_EQ(worker->history.trials().size(), 3u);
    for (int64_t trial = 0; trial < 3; ++trial) {
      EXPECT_EQ(worker->history.trial(trial).point, Point{static_cast<double>(trial)});
      EXPECT_EQ(worker->history.worker_of(trial), trial == 1 ? 2 : 1);
    }
  }
  EXPECT_TRUE(one.journals.is_mine(2));
}

TEST(SharedJournals, AnotherSweepsJournalIsNamed) {
  test::TemporaryFolder folder;
  { ToyWorker one(folder.path(), 1); }
  {
    JournalWriter writer(journal_path(folder.path(), 3));
    Record other = start_record();
    std::get<StartRecord>(other.what).sweep = "other";
    writer.append(other);
  }
  test::expect_error(ExitCode::bad_data, {"journal/3.trj: record 0 ('start')", "another sweep"},
                     [&] { ToyWorker(folder.path(), 1); });
  test::put_file(journal_path(folder.path(), 3), "hello\n");
  test::expect_error(ExitCode::bad_data, {"journal/3.trj:1: "}, [&] { ToyWorker(folder.path(), 1); });
}

TEST(SharedJournals, ANewSweepBeginsWithoutThoseOfOthers) {
  test::TemporaryFolder folder;
  auto begin_anew = [&folder] {
    History history(false, true);
    JournalOptions options;
    options.start_over = [&folder] { fs::remove_all(folder / "claims"); };
    SharedJournals journals(folder.path(), 1, history, options);
    EXPECT_EQ(journals.claim(), 0);
    EXPECT_FALSE(journals.has_others());
  };
  { ToyWorker one(folder.path(), 1); }
  test::put_file(journal_path(folder.path(), 3), "damaged\n");
  {
    JournalWriter at_work(journal_path(folder.path(), 2));
    EXPECT_THROW(begin_anew(), ClaimError);
    EXPECT_EQ(read_journal(journal_path(folder.path(), 1)).records.size(), 1u);
  }
  begin_anew();
  EXPECT_THAT(find_journals(folder.path()), ElementsAre(testing::Key(1)));
  EXPECT_TRUE(read_journal(journal_path(folder.path(), 1)).records.empty());
}

TEST(Claims, AClaimThatCameToNothingIsTakenUpAgain) {
  test::TemporaryFolder folder;
  History history(false, true);
  {
    TrialClaims claims(folder.path(), 1);
    EXPECT_EQ(claims.claim(history), 0);
    EXPECT_EQ(claims.claim(history), 1);
    EXPECT_EQ(TrialClaims(folder.path(), 12).claim(history), 2);
    EXPECT_EQ(claims.claim(history), 3);
  }
  history.apply(start_record(), 1);
  history.apply(suggest_record(1), 1);
  TrialClaims claims(folder.path(), 1);  // started again, after a kill
  EXPECT_EQ(claims.claim(history), 0);
  EXPECT_EQ(claims.claim(history), 3);
  EXPECT_EQ(claims.claim(history), 4);
  claims.give_back(3);
  EXPECT_EQ(claims.claim(history), 3);
  EXPECT_EQ(TrialClaims(folder.path(), 12).claim(history), 2);
  EXPECT_EQ(TrialClaims(folder.path(), 2).claim(history), 5);
  EXPECT_EQ(test::text_of_file(folder / "claims/000003"), "worker 1\n");
}

TEST(Claims, StopAtTheLimit) {
  test::TemporaryFolder folder;
  History history(false, true);
  TrialClaims one(folder.path(), 1), two(folder.path(), 2);
  EXPECT_EQ(one.claim(history, 3), 0);
  EXPECT_EQ(two.claim(history, 3), 1);
  EXPECT_EQ(one.claim(history, 3), 2);
  EXPECT_EQ(one.claim(history, 3), std::nullopt);
  EXPECT_EQ(two.claim(history, 3), std::nullopt);
  two.give_back(1);
  EXPECT_EQ(one.claim(history, 3), std::nullopt) << "another's";
  EXPECT_EQ(two.claim(history, 1), std::nullopt);
  EXPECT_EQ(two.claim(history, 3), 1);
}

// A journal that knows of numbers whose claims are gone, or never were (a sweep that was brought here without
// them).
TEST(Claims, NumbersOfTheHistoryAreTaken) {
  test::TemporaryFolder folder;
  History history(false, true);
  history.apply(start_record(), 7);
  history.apply(suggest_record(0), 7);
  history.apply(suggest_record(1), 7);
  EXPECT_EQ(TrialClaims(folder.path(), 1).claim(history), 2);
}

TEST(Claims, EightProcessesClaimFiveHundredNumbersEachOnce) {
  constexpr int workers = 8;
  constexpr int64_t numbers = 500;
  test::TemporaryFolder folder;
  std::array<int, 2> gate{};
  ASSERT_EQ(::pipe2(gate.data(), O_CLOEXEC), 0);
  std::vector<pid_t> children;
  for (int worker = 0; worker < workers; ++worker) {
    pid_t child = ::fork();
    if (child == 0) {
      ::close(gate[1]);
      char byte = 0;
      if (::read(gate[0], &byte, 1) != 0) ::_exit(2);  // until all have been made
      try {
        TrialClaims claims(folder.path(), worker);
        History history(false, true);
        std::string mine;
        while (auto number = claims.claim(history, numbers)) {
          mine += fmt::format("{}\n", *number);
          ::usleep(
              static_cast<useconds_t>(*number * 7 % 300));  // so that nobody takes them all in one breath
        }
        test::put_file(folder / fmt::format("claimed-{}", worker), mine);
      } catch (...) {
        ::_exit(1);
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  ::close(gate[0]);
  ::close(gate[1]);
  for (pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::multiset<int64_t> all;
  int idle = 0;
  for (int worker = 0; worker < workers; ++worker) {
    std::istringstream lines(test::text_of_file(folder / fmt::format("claimed-{}", worker)));
    std::vector<int64_t> mine;
    for (int64_t number = 0; lines >> number;) {
      mine.push_back(number);
      EXPECT_EQ(test::text_of_file(folder / fmt::format("claims/{:06}", number)),
                fmt::format("worker {}\n", worker));
    }
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(mine.begin(), mine.end());
    idle += mine.empty();
  }
  EXPECT_LT(idle, workers - 1) << "one alone has had all: nothing was tried";
  ASSERT_EQ(all.size(), static_cast<size_t>(numbers));
  EXPECT_EQ(std::set<int64_t>(all.begin(), all.end()).size(), static_cast<size_t>(numbers));
}

// Killed at any moment between a claim and its record, again and again: in the end every number has its
// trial.
TEST(Claims, KilledWorkersLeaveNoHoles) {
  constexpr int64_t numbers = 60;
  test::TemporaryFolder folder;
  auto work = [&folder](int64_t worker) {
    ToyWorker self(folder.path(), worker);
    while (auto number = self.journals.claim(numbers)) {
      ::usleep(500);  // where a kill hurts
      self.write(suggest_record(*number));
      self.journals.refresh();
    }
  };
  auto begin = [&work](int64_t worker) {
    pid_t child = ::fork();
    if (child == 0) {
      try {
        work(worker);
      } catch (...) {
        ::_exit(1);
      }
      ::_exit(0);
    }
    return child;
  };
  int kills = 0;
  std::map<pid_t, int64_t> children;
  for (int64_t worker : {1, 2}) children[begin(worker)] = worker;
  for (unsigned round = 0; !children.empty(); ++round) {
    auto [child, worker] = *std::next(children.begin(), round % children.size());
    ::usleep(kills < 40 ? 1000 + 997 * (round % 17) : 50000);
    if (kills < 40) ::kill(child, SIGKILL);
    int status = 0;
    if (::waitpid(child, &status, kills < 40 ? 0 : WNOHANG) == 0) continue;
    children.erase(child);
    if (WIFSIGNALED(status)) {
      ++kills;
      children[begin(worker)] = worker;
    } else {
      ASSERT_EQ(WEXITSTATUS(status), 0);
    }
  }
  EXPECT_GT(kills, 0);
  ToyWorker last(folder.path(), 1);
  ASSERT_EQ(last.history.trials().size(), static_cast<size_t>(numbers));
  for (int64_t trial = 0; trial < numbers; ++trial)
    EXPECT_FALSE(last.history.trial(trial).point.empty()) << trial;
}

}  // namespace
}  // namespace trireme
