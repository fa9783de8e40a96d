// A worker that is killed before and after each of its calls on the sweep's folder, or whose calls fail or
// write half of what they should (tests/faults/shim.cpp): what it was told is appended is there, and a start
// without faults goes on.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "support/run_command.h"
#include "support/temporary_folder.h"
#include "sweep/journal_story.h"
#include "sweep/shared_journals.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr int64_t trials = 4;

struct Fault {
  int64_t at = 0;
  std::string deed;
  int error = 0;
  std::string only = {};
  std::string text() const { return fmt::format("{} of call {} {} ({})", deed, at, only, error); }
};

class JournalFaults : public testing::Test {
 protected:
  test::CommandResult run(const fs::path& folder, const Fault* fault) {
    std::string words;
    if (fault) {
      fs::remove(log_);
      words = fmt::format("env LD_PRELOAD={} FAULTS_ROOT={} FAULTS_LOG={} ", TRIREME_FAULTS_SHIM,
                          folder.string(), log_.string());
      if (fault->at > 0)
        words +=
            fmt::format("FAULTS_AT={} FAULTS_DO={} FAULTS_ERROR={} ", fault->at, fault->deed, fault->error);
      if (!fault->only.empty()) words += fmt::format("FAULTS_ONLY={} ", fault->only);
    }
    return test::run_command(
        fmt::format("{}{} {} {}", words, TRIREME_JOURNAL_VICTIM, folder.string(), trials), 60);
  }

  // The number after the last `word` that begins a line; -1: none.
  static int64_t last(const std::string& word, const std::string& output) {
    int64_t found = -1;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(word + " ")) found = std::stoll(line.substr(word.size() + 1));
    }
    return found;
  }

  int64_t calls_of(const fs::path& folder) {
    Fault none;
    fs::create_directories(folder);
    EXPECT_EQ(run(folder, &none).code, 0);
    int64_t calls = 0;
    std::istringstream lines(test::text_of_file(log_));
    for (std::string line; std::getline(lines, line);) calls += line.starts_with("done ");
    return calls;
  }

  // One run with the fault in a new folder, and one without it behind.
  void break_at(const Fault& fault) {
    fs::path folder = folder_ / fmt::format("sweep-{}", ++count_);
    fs::create_directories(folder);
    test::CommandResult broken = run(folder, &fault);
    ++ends_[broken.code];
    bool killed = fault.deed.starts_with("kill");
    EXPECT_TRUE(broken.code == 0 || broken.code == (killed ? 128 + SIGKILL : 74))
        << fault.text() << broken.output;
    if (broken.code == 74) {
      EXPECT_THAT(broken.output, testing::HasSubstr(folder.string())) << fault.text();
    }
    JournalContent content;
    ASSERT_NO_THROW(content = read_journal(journal_path(folder, 1))) << fault.text();
    auto records = static_cast<int64_t>(content.records.size());
    EXPECT_GE(records, last("ack", broken.output) + 1) << fault.text() << ": what was acknowledged is lost";

    test::CommandResult whole = run(folder, nullptr);
    ASSERT_EQ(whole.code, 0) << fault.text() << whole.output;
    History history(false, true);
    content = read_journal(journal_path(folder, 1));
    EXPECT_EQ(content.torn, "");
    for (const Record& record : content.records) history.apply(record, 1);
    ASSERT_EQ(history.trials().size(), static_cast<size_t>(trials)) << fault.text();
    for (const Trial& trial : history.trials()) EXPECT_EQ(trial.state, TrialState::finished) << fault.text();
    for (const auto& entry : fs::directory_iterator(folder / "journal")) {
      EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("1.trj", "1.claim")) << fault.text();
    }
    fs::remove_all(folder);
  }

  test::TemporaryFolder folder_;
  fs::path log_ = folder_ / "calls";
  int count_ = 0;
  // A sample, or every call.
  const int64_t stride_ = std::getenv("TRIREME_FAULTS_ALL") ? 1 : 7;
  std::map<int, int> ends_;  // by exit code
};

TEST_F(JournalFaults, KilledBeforeAndAfterEachCall) {
  int64_t calls = calls_of(folder_ / "counted");
  ASSERT_GT(calls, 40);
  for (int64_t at = 1; at <= calls; at += stride_) {
    for (const char* deed : {"kill-before", "kill-after"}) break_at({at, deed});
  }
  EXPECT_GT(ends_[128 + SIGKILL], count_ * 9 / 10);
}

TEST_F(JournalFaults, ACallFails) {
  int64_t calls = calls_of(folder_ / "counted");
  for (int64_t at = 1; at <= calls; at += stride_) {
    for (const char* deed : {"fail", "fail-on", "short", "short-on"}) {
      break_at({at, deed, count_ % 3 ? ENOSPC : EIO});
    }
  }
  EXPECT_GT(ends_[74], count_ / 3);
}

// The lines themselves: each of them refused, in each way.
TEST_F(JournalFaults, ALineIsNotWritten) {
  for (const char* deed : {"fail", "short-on"}) {
    for (int64_t at = 2; at <= 18; at += 4) break_at({at, deed, ENOSPC, "pwrite"});
  }
  EXPECT_EQ(ends_[74], 10) << "each is told of";
  ends_.clear();
  for (int64_t at = 1; at <= 5; ++at) break_at({at, "fail", EIO, "fdatasync"});
  EXPECT_EQ(ends_[74], 5) << "each is told of";
  ends_.clear();
  for (int64_t at = 2; at <= 10; ++at) break_at({at, "short", 0, "pwrite"});
  EXPECT_EQ(ends_[0], 9) << "the rest is written by another call";
}

}  // namespace
}  // namespace trireme
