// show, best, importance and export on folders as a sweep leaves them, or is writing them.
#include "sweep/results/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/atomic_file.h"
#include "comm/thread_ranks.h"
#include "config/config.h"
#include "support/expect_error.h"
#include "sweep/results/importance_text.h"
#include "sweep/sample_folder.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_error;
using test::TemporaryFolder;
using testing::ContainsRegex;
using testing::HasSubstr;

// What a command prints.
std::string run(std::vector<std::string> arguments) {
  CommandSuite suite{.program = "trireme-sweep",
                     .summary = "Searches.",
                     .default_command = "show",
                     .commands = result_commands()};
  arguments.insert(arguments.begin(), "trireme-sweep");
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  CommandLine line = parse_command_line(suite, static_cast<int>(pointers.size()), pointers.data());
  std::FILE* out = std::tmpfile();
  std::string text;
  try {
    EXPECT_EQ(run_result_command(line, out), 0);
    std::rewind(out);
    char buffer[4096];
    for (size_t bytes; (bytes = std::fread(buffer, 1, sizeof buffer, out)) > 0;) text.append(buffer, bytes);
  } catch (...) {
    std::fclose(out);
    throw;
  }
  std::fclose(out);
  return text;
}

class SweepCommands : public testing::Test {
 protected:
  void write(const SampleOptions& options = {}) {
    sample_ = std::make_unique<SweepView>(sample_sweep(options));
    write_sample_folder(path(), *sample_);
  }
  fs::path path() const { return folder_ / "sweep"; }
  std::string text() const { return path().string(); }
  const Trial& best() const {
    return sample_->history.trial(pareto_front(sample_->history.trials()).front());
  }
  TemporaryFolder folder_;
  std::unique_ptr<SweepView> sample_;
};

// The journal that is written has the times of its writing, and what a crash has cost is told by them.
std::vector<nlohmann::json> without_times(const std::string& trials) {
  std::vector<nlohmann::json> found;
  std::istringstream lines(trials);
  for (std::string line; std::getline(lines, line);) {
    found.push_back(nlohmann::json::parse(line));
    found.back().erase("rank_seconds");
  }
  return found;
}

TEST_F(SweepCommands, ReadBackWhatWasWritten) {
  write();
  SweepView view = open_sweep(path());
  EXPECT_EQ(view.history.trials().size(), 60u);
  EXPECT_EQ(view.events.size(), sample_->events.size());
  EXPECT_EQ(view.max_epochs, 9);
  EXPECT_FALSE(view.is_open());
  EXPECT_TRUE(view.warnings.empty());
  EXPECT_EQ(without_times(trials_of(view)), without_times(trials_of(*sample_)));
  EXPECT_EQ(find_sweep(text()), path());
  EXPECT_EQ(find_sweep((path() / "sweep.toml").string()), path());
  EXPECT_EQ(find_sweep((path() / "source/search.toml").string(), text()), path());
}

TEST_F(SweepCommands, ShowTellsTheBest) {
  write({.finished = false});
  std::string shown = run({"show", text()});
  EXPECT_THAT(shown, HasSubstr("of trial " + std::to_string(best().number)));
  EXPECT_THAT(shown, HasSubstr("running"));
  // Until the sweep is over: this one is.
  write_sample_folder(folder_ / "over", sample_sweep());
  EXPECT_THAT(run({"show", (folder_ / "over").string(), "--watch", "0.1"}), HasSubstr("finished"));
}

TEST_F(SweepCommands, BestIsAConfigThatLoads) {
  write();
  std::string printed = run({"best", text()});
  EXPECT_THAT(printed, HasSubstr("# " + (path() / "best.toml").string() + "\n"));
  EXPECT_THAT(printed, HasSubstr("trial " + std::to_string(best().number)));
  EXPECT_THAT(printed, HasSubstr("validation.loss"));
  Config config = load_config((path() / "best.toml").string());
  EXPECT_EQ(config.optimizer.learning_rate, best().point[1]);
  EXPECT_EQ(config.data.batch, static_cast<int64_t>(best().point[3]));
  EXPECT_EQ(config.model.dense, static_cast<int64_t>(best().point[4]));
  EXPECT_EQ(config.train.epochs, 9);
  EXPECT_EQ(config.run.name, "sample_best");
  EXPECT_EQ(parse_config(printed, "printed"), config);
  // Once more: what is up to date is left alone.
  auto time = fs::last_write_time(path() / "best.toml");
  run({"best", text()});
  EXPECT_EQ(fs::last_write_time(path() / "best.toml"), time);
}

TEST_F(SweepCommands, BestOfSeveralObjectivesIsTheFront) {
  write({.accuracy_too = true});
  std::ofstream(path() / "best-17.toml") << "nobody's";
  SweepView view = open_sweep(path());
  size_t front = pareto_front(view.history.trials()).size();
  ASSERT_GT(front, 1u);
  std::ofstream(path() / ("best-" + std::to_string(front) + ".toml")) << "of a longer front";
  EXPECT_EQ(write_best(path(), view).size(), front);
  EXPECT_THAT(load_config((path() / "best-1.toml").string()).run.name, "sample_best-1");
  EXPECT_FALSE(fs::exists(path() / ("best-" + std::to_string(front) + ".toml")));
}

TEST_F(SweepCommands, ImportanceIsTheSameOnAllRanks) {
  write();
  std::string alone = run({"importance", text()});
  EXPECT_THAT(alone, HasSubstr("validation.loss: share of the variance"));
  EXPECT_THAT(alone, ContainsRegex("optimizer.learning_rate +[0-9]+\\.[0-9] % ± +[0-9.]+  █"));
  json rows = json::parse(run({"importance", text(), "--json", "--trees", "8"}));
  EXPECT_EQ(rows[0]["objective"], "validation.loss");
  EXPECT_EQ(rows[0]["importances"].size(), 6u + 15u);
  std::mutex mutex;
  run_ranks(3, [&](Communicator& communicator) {
    SweepView view = open_sweep_alike(path(), communicator);
    std::string together = importance_text(view, {}, communicator);
    std::lock_guard lock(mutex);
    EXPECT_EQ(together, alone);
  });
  expect_error(ExitCode::usage, {"loss", "validation.loss"}, [&] {
    run({"importance", text(), "--objective", "loss"});
  });
  expect_error(ExitCode::usage, {"--trees"}, [&] { run({"importance", text(), "--trees", "none"}); });
}

TEST_F(SweepCommands, Export) {
  write();
  EXPECT_EQ(run({"export", "--csv", text()}), csv_of(open_sweep(path())));
  EXPECT_EQ(run({"export", text(), "--jsonl"}), trials_of(open_sweep(path())));
  std::string file = (folder_ / "out.html").string();
  EXPECT_EQ(run({"export", text(), "--html", "--output", file}), "");
  EXPECT_THAT(read_file(file), testing::StartsWith("<!DOCTYPE html>"));
  expect_error(ExitCode::usage, {"--csv"}, [&] { run({"export", text()}); });
}

TEST_F(SweepCommands, TellWhatIsMissingOrWrong) {
  expect_error(ExitCode::no_input, {"nowhere", "folder"}, [&] {
    run({"show", (folder_ / "nowhere").string()});
  });
  expect_error(ExitCode::no_input, {"sweep.toml"}, [&] { run({"show", folder_.path().string()}); });
  fs::path file = write_sample_files(folder_ / "source");
  expect_error(ExitCode::no_input, {"has not been begun", "nothing"}, [&] {
    run({"show", file.string(), "--run-dir", (folder_ / "nothing").string()});
  });
  write({.trials = 1, .finished = false, .crash = false});
  expect_error(ExitCode::no_input, {"no trial"}, [&] { run({"best", text()}); });
  EXPECT_THAT(run({"importance", text()}), HasSubstr("too few"));
  std::string journal = read_file(path() / "journal/0.trj");
  journal[journal.size() / 2] ^= 1;
  std::ofstream(path() / "journal/0.trj", std::ios::binary) << journal;
  expect_error(ExitCode::bad_data, {"0.trj"}, [&] { run({"show", text()}); });
}

TEST_F(SweepCommands, ATornLastLineIsNormalWhileSomebodyWrites) {
  write({.finished = false});
  size_t records = open_sweep(path()).events.size();
  std::ofstream(path() / "journal/0.trj", std::ios::binary | std::ios::app) << "TRJ1 0123";
  SweepView view = open_sweep(path());
  EXPECT_EQ(view.events.size(), records);
  EXPECT_TRUE(view.warnings.empty());
  EXPECT_THAT(run({"show", text()}), HasSubstr("running"));
  // Nobody has written for long: it was killed in the middle of a line.
  for (const auto& entry : fs::recursive_directory_iterator(path() / "journal")) {
    fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  view = open_sweep(path());
  EXPECT_FALSE(view.is_silent(view.last_sign));
  EXPECT_TRUE(view.is_silent(view.last_sign + 3600));
}

TEST_F(SweepCommands, ReadBesideAWriter) {
  SweepView sample = sample_sweep();
  fs::path file = write_sample_files(path() / "source");
  save_sweep_config(load_sweep_config(file.string()), text());
  fs::create_directories(path() / "journal");
  std::atomic<bool> written = false;
  std::thread writer([&] {
    JournalWriter journal(journal_path(path(), 0));
    for (const SweepEvent& event : sample.events) journal.append(event.record);
    written = true;
  });
  size_t records = 0;
  for (bool last = false; !last;) {
    last = written;
    size_t now = open_sweep(path()).events.size();
    EXPECT_GE(now, records);
    records = now;
  }
  writer.join();
  EXPECT_EQ(records, sample.events.size());
}

TEST_F(SweepCommands, JournalsOfSeveralWorkersAreOne) {
  SweepView sample = sample_sweep({.trials = 3, .crash = false});
  write_sample_folder(path(), sample);
  {
    JournalWriter other(journal_path(path(), 3));
    other.append({.what = StartRecord{.sweep = "sample", .ranks = 1, .version = "test"}});
    SuggestRecord suggest{.trial = 4, .values = {}, .point = sample.history.trial(0).point};
    other.append({.what = std::move(suggest)});
    other.append({.what = begin_record(4, 1, {0})});
  }
  SweepView view = open_sweep(path());
  EXPECT_TRUE(view.is_open());
  ASSERT_EQ(view.history.trials().size(), 5u);
  EXPECT_TRUE(view.history.trial(3).point.empty());  // claimed, and not told of yet
  EXPECT_EQ(view.history.trial(4).state, TrialState::running);
  EXPECT_THAT(run({"show", text()}), HasSubstr("running 1"));
  EXPECT_THAT(run({"export", "--csv", text()}), testing::Not(HasSubstr("\n3,")));
}

}  // namespace
}  // namespace trireme
