// A run whose calls fail: a disk that is full, over quota or broken, once or for good. It goes on to the same
// bits, or ends with an exit code and a message that names the place; it never crashes, and never harms a
// checkpoint.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "faults/victim_process.h"
#include "faults/victim_run.h"

namespace trireme::test {
namespace {

constexpr std::array<int, 3> errors{ENOSPC, EIO, EDQUOT};

struct Figures {
  std::mutex mutex;
  int went_on = 0;
  int checkpoints_failed = 0;
  int ended = 0;
  int beyond_the_end = 0;
  std::map<std::string, int> kinds;
};

nlohmann::json summary_of(const std::filesystem::path& run_directory) {
  std::ifstream file(run_directory / "summary.json");
  return nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
}

int times(const std::string& text, const std::string& what) {
  int found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

// On one host, and on two that write a part of the state each.
class Failures : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const Fault counting;
    VictimEnd whole = victims_.run("whole", &counting);
    ASSERT_EQ(whole.code, 0) << whole.errors;
    sha256_ = sha256_of(victims_.run_directory("whole"));
    ASSERT_EQ(sha256_.size(), 64u);
    calls_ = whole.calls;
  }

  // A start with `fault`, and one without after it.
  void fail_and_go_on(const Fault& fault, Figures& figures) {
    std::string name = fmt::format("{}-{}-{}-{}", fault.deed, fault.only, fault.at, fault.error);
    std::filesystem::path run_directory = victims_.run_directory(name);
    VictimEnd end = victims_.run(name, &fault);
    SCOPED_TRACE(fmt::format("{} {} {} with {}: {}\n{}", fault.deed, fault.only, fault.at,
                             strerrorname_np(fault.error), end.hit_text(), end.errors));
    int failed = times(end.errors, "WAS NOT WRITTEN");
    if (end.code == 0) {
      nlohmann::json summary = summary_of(run_directory);
      ASSERT_TRUE(summary.is_object());
      EXPECT_EQ(summary["state"], "finished");
      EXPECT_EQ(summary["parameters_sha256"], sha256_);
      EXPECT_EQ(summary["checkpoints_failed"], failed);
    } else {
      EXPECT_EQ(end.code, static_cast<int>(ExitCode::io)) << "no proper end";
      EXPECT_THAT(end.errors, testing::HasSubstr("error: "));
      EXPECT_THAT(end.errors.substr(std::min(end.errors.find("error: "), end.errors.size())),
                  testing::HasSubstr(run_directory.string()))
          << "names no place";
      nlohmann::json summary = summary_of(run_directory);
      // It may say finished where the very last could not be done: to make it durable.
      EXPECT_TRUE(!summary.is_object() || summary["state"] == "failed" ||
                  summary["parameters_sha256"] == sha256_)
          << summary;
    }
    std::string wrong;
    int64_t newest = newest_whole_step(run_directory, wrong);
    EXPECT_EQ(wrong, "");
    EXPECT_GE(newest, end.last_commit()) << "a checkpoint was lost";
    VictimEnd rest = victims_.run(name);
    EXPECT_EQ(rest.code, 0) << rest.errors;
    EXPECT_EQ(wrong_with_finished_run(run_directory, sha256_), "");
    std::lock_guard lock(figures.mutex);
    if (end.hit == 0) {
      ++figures.beyond_the_end;
    } else {
      ++figures.kinds[end.hit_name()];
      ++(end.code == 0 ? figures.went_on : figures.ended);
      figures.checkpoints_failed += failed;
    }
    if (!HasFailure()) victims_.remove(name);
  }

  void try_all(const char* what, const std::vector<Fault>& faults) {
    Figures figures;
    deal_out(faults.size(), [&](size_t i) { fail_and_go_on(faults[i], figures); });
    fmt::print(
        "{}: {} of {} runs went on to the same bits, {} ended properly, {} came after the end; {} "
        "checkpoints "
        "not written and told\n  hit: {}\n",
        what, figures.went_on, faults.size(), figures.ended, figures.beyond_the_end,
        figures.checkpoints_failed, tally_text(figures.kinds));
    EXPECT_GT(figures.went_on + figures.ended, static_cast<int>(faults.size()) * 8 / 10);
  }

  // Every call with every error; or, as a sample, every `stride`th with one of them in turn. (An odd one:
  // what a save calls repeats itself.)
  std::vector<Fault> faults_at_calls(const std::string& deed, int64_t stride) const {
    std::vector<Fault> faults;
    for (int64_t at = 1; at <= static_cast<int64_t>(calls_.size()); ++at) {
      for (size_t e = 0; e < errors.size(); ++e) {
        bool sampled = at % stride == 0 && static_cast<size_t>(at / stride) % errors.size() == e;
        if (all_of_them() || sampled) faults.push_back({at, deed, errors[e]});
      }
    }
    return faults;
  }

  // At every write of each kind; as a sample at every second.
  std::vector<Fault> faults_at_writes(const std::string& deed) const {
    std::vector<Fault> faults;
    std::map<std::string, int64_t> writes;
    for (const Call& call : calls_) {
      if (call.name.find("write") == std::string::npos) continue;
      int64_t at = ++writes[call.name];
      if (all_of_them() || at % 2 == 1) faults.push_back({at, deed, ENOSPC, call.name});
    }
    return faults;
  }

  Victims victims_{GetParam()};
  std::string sha256_;
  std::vector<Call> calls_;
};

TEST_P(Failures, of_one_call) { try_all("one call fails", faults_at_calls("fail", 2 * GetParam() - 1)); }

TEST_P(Failures, of_all_calls_from_one_on) {
  try_all("all calls fail from one on", faults_at_calls("fail-on", 1 + 4 * GetParam()));
}

TEST_P(Failures, a_write_takes_half_of_its_bytes) { try_all("a short write", faults_at_writes("short")); }

TEST_P(Failures, a_write_takes_half_of_its_bytes_and_the_disk_is_full) {
  try_all("a short write, then all calls fail", faults_at_writes("short-on"));
}

INSTANTIATE_TEST_SUITE_P(on, Failures, testing::Values(1, 2),
                         [](const auto& tested) { return fmt::format("{}_hosts", tested.param); });

}  // namespace
}  // namespace trireme::test
