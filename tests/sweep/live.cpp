// What a sweep tells while it runs: on a terminal, in a log, and in its folder's files.
#include "sweep/results/live.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <thread>

#include "base/atomic_file.h"
#include "config/config.h"
#include "support/expect_error.h"
#include "sweep/results/words.h"
#include "sweep/sample_folder.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class SweepLive : public testing::Test {
 protected:
  SweepLive() {
    fs::path file = write_sample_files(folder_ / "source");
    save_sweep_config(load_sweep_config(file.string()), folder_.path().string());
  }
  // The first `count` events of the sample as a view of its own.
  SweepView beginning(size_t count) const {
    SweepView view = open_sweep_without_records(folder_.path(), false);
    for (size_t i = 0; i < count && i < sample_.events.size(); ++i) view.add(sample_.events[i]);
    return view;
  }
  size_t events() const { return sample_.events.size(); }
  LiveOptions options() const {
    return {.folder = folder_.path(), .table_seconds = 0, .line_seconds = 0, .files_seconds = 1000};
  }
  TemporaryFolder folder_;
  SweepView sample_ = sample_sweep();
};

TEST_F(SweepLive, WithoutATerminalALineNowAndThen) {
  std::FILE* console = std::fopen((folder_ / "console").c_str(), "w");
  {
    Logger logger({.file = folder_ / "log.txt", .console = console});
    Live live(logger, options());
    for (size_t count = 1; count <= events(); ++count) {
      SweepView view = beginning(count);
      live.update(view, view.last_sign, false);
    }
    std::string said = read_file(folder_ / "console");
    int64_t best = pareto_front(sample_.history.trials()).front();
    EXPECT_THAT(said,
                HasSubstr("new best: validation.loss " + figure_text(sample_.history.trial(best).scores[0]) +
                          " of trial " + std::to_string(best)));
    EXPECT_THAT(said, HasSubstr("trial 3 "));
    EXPECT_THAT(said, HasSubstr("stopped after epoch 3: validation.loss "));
    EXPECT_THAT(said, ContainsRegex("[0-9]+/60 trials, about [0-9:]+ left, utilisation 9[0-9]\\.[0-9] %"));
    EXPECT_THAT(said, Not(HasSubstr("\x1b")));
    EXPECT_TRUE(fs::exists(folder_ / "best.toml"));  // at once
    EXPECT_FALSE(fs::exists(folder_ / "report.html"));
    live.update(beginning(events()), sample_.last_sign, true);
  }
  std::fclose(console);
  EXPECT_THAT(read_file(folder_ / "console"), HasSubstr("best    validation.loss"));
  EXPECT_THAT(read_file(folder_ / "log.txt"), HasSubstr("best    validation.loss"));
  for (const char* name : {"best.toml", "sweep.jsonl", "report.html"})
    EXPECT_TRUE(fs::exists(folder_ / name)) << name;
}

TEST_F(SweepLive, WhatEarlierStartsDidIsNoNews) {
  for (bool earlier : {false, true}) {
    fs::path file = folder_ / (earlier ? "earlier" : "now");
    std::FILE* console = std::fopen(file.c_str(), "w");
    {
      Logger logger({.console = console});
      Live live(logger, options());
      SweepView view = beginning(events() / 2);
      view.past = earlier ? view.events.size() : 0;
      live.update(view, view.last_sign, false);
    }
    std::fclose(console);
    // A sweep may be so short that it is all there when it is looked at first.
    EXPECT_EQ(read_file(file).empty(), earlier);
    EXPECT_EQ(read_file(file).find("new best") == std::string::npos, earlier);
  }
}

TEST_F(SweepLive, TheBestMayFail) {
  SweepView view = open_sweep_without_records(folder_.path(), false);
  std::FILE* console = std::fopen((folder_ / "console").c_str(), "w");
  {
    Logger logger({.file = folder_ / "log.txt", .console = console});
    Live live(logger, options());
    int reports = 0;
    for (const SweepEvent& event : sample_.events) {
      if (std::holds_alternative<EndRecord>(event.record.what)) continue;
      reports += std::holds_alternative<ReportRecord>(event.record.what) ? 1 : 0;
      if (reports > 2) break;
      view.add(event);
      live.update(view, view.last_sign, false);
    }
    std::vector<Trial> trials = view.history.trials();
    for (const Trial& trial : trials) {
      if (trial.state != TrialState::running) continue;
      Record record = sample_.events.back().record;
      record.what = EndRecord{.trial = trial.number, .state = "failed", .reason = "no luck"};
      view.add({0, record});
      live.update(view, view.last_sign, false);
    }
  }
  std::fclose(console);
  EXPECT_THAT(read_file(folder_ / "console"), AllOf(HasSubstr("new best"), HasSubstr("(no luck)")));
}

TEST_F(SweepLive, TheBestThatGetsWorseAndRecoversIsNoNews) {
  for (bool at_best : {false, true}) {
    fs::path folder = folder_ / (at_best ? "at_best" : "at_last");
    fs::path file = write_sample_files(folder / "source");
    if (at_best) std::ofstream(file, std::ios::app) << "at = \"best\"\n";
    save_sweep_config(load_sweep_config(file.string()), folder.string());
    SweepView view = open_sweep_without_records(folder, false);
    std::FILE* console = std::fopen((folder / "console").c_str(), "w");
    {
      Logger logger({.console = console});
      LiveOptions there = options();
      there.folder = folder;
      Live live(logger, there);
      auto tell = [&](decltype(Record::what) what) {
        double time = SampleSweep::begin + static_cast<double>(view.history.records());
        view.add({.worker = 0,
                  .record = {.number = view.history.records(), .time = time, .what = std::move(what)}});
        live.update(view, time, false);
      };
      tell(StartRecord{.sweep = "sample", .ranks = 1, .version = "test"});
      for (int64_t trial : {0, 1}) {
        Point point = sample_.history.trial(trial).point;
        tell(SuggestRecord{.trial = trial, .values = {}, .point = point, .width = 1, .based_on = 0});
        tell(begin_record(trial, 1, {0}));
        int64_t epoch = 0;
        for (double loss : trial == 0 ? std::vector<double>{0.5, 0.625, 0.5625, 0.4375}
                                      : std::vector<double>{0.75, 0.375, 0.40625}) {
          ReportRecord report;
          report.trial = trial;
          report.epoch = ++epoch;
          report.scores = {loss};
          tell(report);
        }
      }
    }
    std::fclose(console);
    std::string said = read_file(folder / "console");
    std::vector<std::string> told;
    for (size_t at = 0; (at = said.find("new best: ", at)) != std::string::npos; ++at) {
      told.push_back(said.substr(at, said.find(';', at) - at));
    }
    EXPECT_THAT(told, testing::ElementsAre("new best: validation.loss 0.5000 of trial 0, epoch 1",
                                           "new best: validation.loss 0.4375 of trial 0, epoch 4",
                                           "new best: validation.loss 0.3750 of trial 1, epoch 2"))
        << said;
  }
}

// With objective.at = "best" the score of a trial that has gone on since is of an earlier epoch.
TEST_F(SweepLive, NamesTheEpochOfTheScore) {
  fs::path file = write_sample_files(folder_ / "another");
  std::ofstream(file, std::ios::app) << "at = \"best\"\n";
  fs::path folder = folder_ / "at_best";
  fs::create_directories(folder);
  save_sweep_config(load_sweep_config(file.string()), folder.string());
  SweepView view = open_sweep_without_records(folder, false);
  auto tell = [&](decltype(Record::what) what) {
    Record record{.number = view.history.records(), .time = SampleSweep::begin, .what = std::move(what)};
    view.add({.worker = 0, .record = std::move(record)});
  };
  tell(StartRecord{.sweep = "sample", .ranks = 1, .version = "test"});
  Point point = sample_.history.trial(0).point;
  tell(SuggestRecord{.trial = 0, .values = {}, .point = point, .width = 1, .based_on = 0});
  tell(begin_record(0, 1, {0}));
  for (int64_t epoch : {1, 2, 3}) {
    ReportRecord report;
    report.trial = 0;
    report.epoch = epoch;
    report.scores = {epoch == 2 ? 0.25 : 0.5};
    tell(report);
  }
  std::FILE* console = std::fopen((folder_ / "console").c_str(), "w");
  {
    Logger logger({.console = console});
    LiveOptions there = options();
    there.folder = folder;
    Live(logger, there).update(view, view.last_sign, false);
  }
  std::fclose(console);
  EXPECT_THAT(read_file(folder_ / "console"),
              HasSubstr("new best: validation.loss 0.2500 of trial 0, epoch 2;"));
}

TEST_F(SweepLive, ManyShortTrialsAreFewLines) {
  std::FILE* console = std::fopen((folder_ / "console").c_str(), "w");
  LiveOptions slow = options();
  slow.line_seconds = 1000;
  {
    Logger logger({.file = folder_ / "log.txt", .console = console});
    Live live(logger, slow);
    for (size_t count = 1; count <= events(); count += 5) {
      SweepView view = beginning(count);
      live.update(view, view.last_sign, false);
    }
  }
  std::fclose(console);
  std::string said = read_file(folder_ / "console");
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
  // The log has them all.
  std::string logged = read_file(folder_ / "log.txt");
  SweepView then = beginning(events() - 20);
  for (const Trial& trial : then.history.trials()) {
    if (!trial.is_over()) continue;
    EXPECT_THAT(logged,
                HasSubstr("trial " + std::to_string(trial.number) + " " + std::string(name_of(trial.state))));
  }
}

TEST_F(SweepLive, OnATerminalATableThatFits) {
  int master = -1, slave = -1;
  winsize size{24, 90, 0, 0};
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, &size), 0);
  std::FILE* console = ::fdopen(slave, "w");
  std::string seen;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t bytes; (bytes = ::read(master, buffer, sizeof buffer)) > 0;) {
      seen.append(buffer, static_cast<size_t>(bytes));
      if (seen.find("THE END") != std::string::npos) return;
    }
  });
  {
    Logger logger({.file = folder_ / "log.txt", .console = console});
    Live live(logger, options());
    for (size_t count : {size_t{3}, events() / 4, events() / 2}) {
      SweepView view = beginning(count);
      live.update(view, view.last_sign, false);
    }
    live.update(beginning(events()), sample_.last_sign, true);
    logger.info("THE END");
  }
  reader.join();
  std::fclose(console);
  ::close(master);
  EXPECT_THAT(seen, HasSubstr("\x1b[1msample   random + asha   running"));
  EXPECT_THAT(seen, ContainsRegex("\r\x1b\\[[0-9]+A\x1b\\[J"));
  // Between two erasures there are no more lines than the terminal has.
  size_t lines = 0, most = 0;
  for (size_t i = 0; i < seen.size() && seen.find("\x1b[J", i) != std::string::npos; ++i) {
    lines = seen.compare(i, 3, "\x1b[J") == 0 ? 0 : lines + (seen[i] == '\n' ? 1 : 0);
    most = std::max(most, lines);
  }
  EXPECT_GT(most, 4u);  // of the first view at least; later ones may come too fast to be drawn
  EXPECT_LT(most, 24u);
  // Lines on trials that have ended are in the log alone.
  EXPECT_THAT(seen, Not(HasSubstr("new best")));
  EXPECT_THAT(read_file(folder_ / "log.txt"), HasSubstr("new best"));
}

TEST_F(SweepLive, AFileThatCannotBeWrittenEndsNothing) {
  std::FILE* console = std::fopen((folder_ / "console").c_str(), "w");
  {
    Logger logger({.console = console});
    LiveOptions nowhere = options();
    nowhere.folder = folder_ / "not" / "there";
    nowhere.files_seconds = 0;
    Live live(logger, nowhere);
    live.update(beginning(2), 0, false);
    for (int i = 0; i < 5; ++i) live.update(beginning(events() / 2), 0, false);
    test::expect_error(ExitCode::io, {"not/there"}, [&] { live.update(beginning(events()), 0, true); });
  }
  std::fclose(console);
  std::string said = read_file(folder_ / "console");
  size_t at = said.find("warning: ");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(said.find("warning: ", at + 1), std::string::npos);
}

}  // namespace
}  // namespace trireme
