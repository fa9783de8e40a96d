// What people take out of a sweep: the table on a terminal, the CSV, sweep.jsonl, the page.
#include "sweep/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "sweep/results/progress.h"
#include "sweep/results/report_data.h"
#include "sweep/results/table.h"
#include "sweep/results/timeline.h"
#include "sweep/results/words.h"
#include "sweep/sample_sweep.h"

namespace trireme {
namespace {

using nlohmann::json;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// The fields of a CSV, by RFC 4180.
std::vector<std::vector<std::string>> csv_rows(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1, {""});
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') {
      rows.back().back() += text[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      rows.back().emplace_back();
    } else if (c == '\r' && !quoted) {
      EXPECT_EQ(text[++i], '\n');
      if (i + 1 < text.size()) rows.push_back({""});
    } else {
      rows.back().back() += c;
    }
  }
  return rows;
}

TEST(SweepWords, FiguresAndCurves) {
  EXPECT_EQ(figure_text(0.27141), "0.2714");
  EXPECT_EQ(figure_text(12.3), "12.30");
  EXPECT_EQ(figure_text(421738), "421738");
  EXPECT_EQ(figure_text(1.2e-5), "1.2e-05");
  EXPECT_EQ(figure_text(kNan), "-");
  EXPECT_EQ(sparkline({0, 1, 2, 3.5, 7}, 0, 7, 10), "▁▂▃▅█");
  EXPECT_EQ(sparkline({0, 0, 7, 0, 0, 7}, 0, 7, 2), "██");  // every third, the last among them
  EXPECT_EQ(sparkline({3, 3}, 3, 3, 10), "▅▅");
  EXPECT_EQ(clock_text(3725.4), "1:02:05");
  EXPECT_EQ(fit("▁▂▃▄", 3), "▁▂…");
  EXPECT_EQ(fit("a\nb\x1b[1m", 9), "a b [1m");
  EXPECT_EQ(pad("▁▂", 4, true), "  ▁▂");
  Space space = toy_space({real_parameter("optimizer.rate", 0, 1), real_parameter("decay.rate", 0, 1),
                           real_parameter("data.batch", 0, 1)});
  EXPECT_EQ(short_keys(space), (std::vector<std::string>{"optimizer.rate", "decay.rate", "batch"}));
}

TEST(SweepTimeline, CountsWhatRanksDidAndLost) {
  SweepView view{.config = SampleSweep::config({}), .space = SampleSweep::space(), .history = History()};
  Point point = view.space.from_unit(std::vector<double>{0.5, 0.5, 0.5, 0.5, 0.5, 0.5});
  view.space.settle(point);
  int64_t number = 0;
  auto tell = [&](double time, decltype(Record::what) what) {
    view.add({.worker = 0, .record = {.number = number++, .time = time, .what = std::move(what)}});
  };
  auto suggest = [&](double time, int64_t trial) {
    tell(time, SuggestRecord{.trial = trial, .values = {}, .point = point, .width = 2});
  };
  tell(100, StartRecord{.sweep = "x", .ranks = 4, .version = ""});
  suggest(100, 0);
  suggest(100, 1);
  tell(100, begin_record(0, 1, {0, 1}));
  tell(102, begin_record(1, 1, {2, 3}));
  tell(110, EndRecord{.trial = 0, .state = "finished", .reason = "", .seconds = 10});
  // Killed, and started again much later: what was between is neither time of the sweep nor of its ranks.
  tell(1000, StartRecord{.sweep = "x", .ranks = 2, .version = ""});
  tell(1000, begin_record(1, 2, {0, 1}));
  Timeline timeline = timeline_of(view, 1005);
  EXPECT_EQ(timeline.seconds, 15);
  EXPECT_EQ(timeline.rank_seconds, 4 * 10 + 2 * 5);
  EXPECT_EQ(timeline.busy_seconds, 2 * 10 + 2 * 8 + 2 * 5);
  ASSERT_EQ(timeline.spans.size(), 3u);
  EXPECT_EQ(timeline.spans[1].how, "lost");
  EXPECT_EQ(timeline.spans[1].end, 110);
  EXPECT_EQ(timeline.spans[2].how, "running");
  EXPECT_TRUE(view.is_open());
  EXPECT_FALSE(view.is_silent(1005));
  // Nothing was heard of it for an hour: it ended with its last sign of life.
  EXPECT_TRUE(view.is_silent(4600));
  EXPECT_EQ(timeline_of(view, 4600).seconds, 10);
  tell(1020, CloseRecord{.state = "stopped", .reason = ""});
  EXPECT_FALSE(view.is_open());
  EXPECT_EQ(state_of(view), SweepState::stopped);
  EXPECT_EQ(timeline_of(view, 9999).seconds, 30);
}

TEST(SweepTable, FitsTheTerminal) {
  for (bool finished : {false, true}) {
    for (bool accuracy : {false, true}) {
      SweepView view = sample_sweep({.trials = 80, .accuracy_too = accuracy, .finished = finished});
      for (int columns : {20, 40, 80, 132}) {
        for (int rows : {0, 4, 10, 24, 60}) {
          std::vector<std::string> lines = lines_of(table_of(view, columns, rows, view.last_sign + 1));
          if (rows > 0) {
            EXPECT_LE(lines.size(), static_cast<size_t>(rows));
          }
          for (const std::string& line : lines) {
            EXPECT_LE(text_columns(line), static_cast<size_t>(columns)) << line;
          }
        }
      }
    }
  }
}

TEST(SweepTable, TellsTheBestWhatRunsAndHowLong) {
  SweepView view = sample_sweep({.trials = 80, .finished = false});
  std::string text = table_of(view, 100, 40, view.last_sign + 1);
  int64_t best = pareto_front(view.history.trials()).front();
  EXPECT_THAT(text, HasSubstr("validation.loss " + figure_text(view.history.trial(best).scores[0])));
  EXPECT_THAT(text, HasSubstr("of trial " + std::to_string(best)));
  EXPECT_THAT(text, HasSubstr("sample   random + asha   running "));
  EXPECT_THAT(text, HasSubstr("/80 trials"));
  EXPECT_THAT(text, ContainsRegex("about [0-9:]+ left"));
  EXPECT_THAT(text, ContainsRegex("utilisation 9[0-9]\\.[0-9] %"));
  EXPECT_THAT(text, HasSubstr("optimizer.learning_rate="));
  for (const Trial& trial : view.history.trials()) {
    if (trial.state != TrialState::running) continue;
    EXPECT_THAT(text, ContainsRegex("\n +" + std::to_string(trial.number) + " +[0-9]/9 "));
  }
  // Where lines are short the running ones stay longer than those that have ended.
  EXPECT_THAT(table_of(view, 100, 16, view.last_sign),
              AllOf(HasSubstr("running epoch"), Not(HasSubstr("latest"))));
  // Killed long ago.
  EXPECT_THAT(table_of(view, 100, 40, view.last_sign + 7200), HasSubstr("silent for 2 h"));
  EXPECT_THAT(table_of(sample_sweep(), 100, 40, 0), HasSubstr("finished"));
}

TEST(SweepTable, OfASweepThatHasJustBegun) {
  SweepView view{.config = SampleSweep::config({}), .space = SampleSweep::space(), .history = History()};
  EXPECT_THAT(table_of(view, 80, 24, 1.7e9), AllOf(HasSubstr("not begun"), HasSubstr("none yet")));
  view.add(
      {.worker = 0, .record = {.time = 1.7e9, .what = StartRecord{.sweep = "x", .ranks = 1, .version = ""}}});
  EXPECT_THAT(table_of(view, 80, 24, 1.7e9 + 1), AllOf(HasSubstr("running 0:01"), HasSubstr("none yet")));
  EXPECT_FALSE(report_of(view, 1.7e9 + 1).empty());
  EXPECT_EQ(csv_rows(csv_of(view)).size(), 1u);
  EXPECT_EQ(trials_of(view), "");
}

TEST(SweepCsv, HasALineATrial) {
  std::string nasty = "a \"quoted\", and\r\nbroken line";
  SweepView view = sample_sweep({.trials = 60, .accuracy_too = true, .reason = nasty});
  auto rows = csv_rows(csv_of(view));
  ASSERT_EQ(rows.size(), 61u);
  auto column = [&rows](const std::string& name) {
    auto found = std::find(rows[0].begin(), rows[0].end(), name);
    EXPECT_NE(found, rows[0].end()) << name;
    return static_cast<size_t>(found - rows[0].begin());
  };
  bool failed = false;
  for (size_t i = 1; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].size(), rows[0].size());
    const Trial& trial = view.history.trial(static_cast<int64_t>(i) - 1);
    EXPECT_EQ(rows[i][column("trial")], std::to_string(trial.number));
    EXPECT_EQ(rows[i][column("state")], name_of(trial.state));
    EXPECT_EQ(rows[i][column("reason")], trial.reason);
    failed = failed || rows[i][column("reason")] == nasty;
    if (trial.scores.empty()) {
      EXPECT_EQ(rows[i][column("validation.loss")], "");
    } else {
      EXPECT_EQ(std::stod(rows[i][column("validation.loss")]), trial.scores[0]);
      EXPECT_EQ(std::stod(rows[i][column("validation.accuracy")]), -trial.scores[1]);
    }
    EXPECT_EQ(std::stod(rows[i][column("optimizer.learning_rate")]), trial.point[1]);
    EXPECT_EQ(rows[i][column("optimizer.momentum")].empty(), std::isnan(trial.point[2]));
  }
  EXPECT_TRUE(failed);
  // A figure that is no objective has a column, too.
  EXPECT_THAT(csv_of(sample_sweep()), HasSubstr(",validation.loss,validation.accuracy,"));
}

TEST(SweepJsonLines, HaveATrialEach) {
  SweepView view = sample_sweep({.trials = 30, .reason = "not UTF-8: \xff"});
  std::vector<std::string> lines = lines_of(trials_of(view));
  ASSERT_EQ(lines.size(), 30u);
  for (size_t i = 0; i < lines.size(); ++i) {
    json line = json::parse(lines[i]);
    const Trial& trial = view.history.trial(static_cast<int64_t>(i));
    EXPECT_EQ(line["trial"], trial.number);
    EXPECT_EQ(line["state"], std::string(name_of(trial.state)));
    EXPECT_EQ(line["curve"].size(), trial.reports.size());
    EXPECT_EQ(line["values"]["optimizer.learning_rate"], trial.point[1]);
    EXPECT_EQ(line["values"].contains("optimizer.momentum"), !std::isnan(trial.point[2]));
    EXPECT_TRUE(line["values"]["data.transform.horizontal_flip"].is_boolean());
    if (trial.reports.empty()) continue;
    EXPECT_EQ(line["scores"]["validation.loss"], trial.scores[0]);
    EXPECT_EQ(line["curve"][0]["epoch"], 1);
    EXPECT_GT(line["curve"][0]["validation.accuracy"], 0);
  }
}

// The data of a page, as its script reads it.
json data_of(const std::string& page) {
  std::string opening = "<script type=\"application/json\" id=\"data\">";
  size_t begin = page.find(opening) + opening.size();
  return json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

TEST(SweepReport, HoldsTheSweepAndLoadsNothing) {
  SweepView view = sample_sweep({.trials = 120});
  std::string page = report_of(view, view.last_sign);
  json data = data_of(page);
  EXPECT_EQ(data["trials"].size(), 120u);
  EXPECT_EQ(data["parameters"].size(), view.space.size());
  EXPECT_EQ(data["state"], "finished");
  EXPECT_EQ(data["importances"][0]["singles"].size(), view.space.size());
  // The last trials end one after another, and a crash leaves ranks idle.
  EXPECT_GT(data["utilisation"].get<double>(), 0.85);
  EXPECT_LT(data["utilisation"].get<double>(), 1);
  EXPECT_EQ(data["starts"].size(), 2u);
  int64_t best = pareto_front(view.history.trials()).front();
  EXPECT_EQ(data["trials"][static_cast<size_t>(best)]["front"], true);
  EXPECT_EQ(data["trials"][0]["curve"].size(), view.history.trial(0).reports.size());
  for (const char* way : {"http:", "https:", "//cdn", "src=", "href=", "@import", "url(", "fetch(", "XMLHttp",
                          "import(", "innerHTML ="}) {
    // One template of an empty <svg> is all the markup that a script reads.
    size_t allowed = std::string(way) == "innerHTML =" ? 1 : 0;
    size_t found = 0;
    for (size_t at = page.find(way); at != std::string::npos; at = page.find(way, at + 1)) ++found;
    EXPECT_EQ(found, allowed) << way;
  }
}

TEST(SweepReport, EscapesAllTexts) {
  std::string nasty = "</script><script>alert(1)</script><!-- & \"quoted\" \xff";
  SweepView view = sample_sweep({.trials = 60, .reason = nasty});
  view.config.sweep.name = "<b>&name";
  view.warnings.push_back("</SCRIPT ><img>");
  std::string page = report_of(view, view.last_sign);
  EXPECT_THAT(page, Not(HasSubstr("alert(1)</")));
  EXPECT_THAT(page, Not(HasSubstr("<!--")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, HasSubstr("<title>&lt;b&gt;&amp;name"));
  json data = data_of(page);
  EXPECT_EQ(data["name"], "<b>&name");
  bool found = false;
  for (const json& trial : data["trials"]) {
    found =
        found || trial["reason"].get<std::string>().starts_with("</script><script>alert(1)</script><!-- & ");
  }
  EXPECT_TRUE(found);
}

TEST(SweepReport, OfSeveralObjectives) {
  SweepView view = sample_sweep({.trials = 60, .accuracy_too = true});
  json data = data_of(report_of(view, view.last_sign));
  EXPECT_EQ(data["objectives"][1], (json{{"metric", "validation.accuracy"}, {"maximized", true}}));
  EXPECT_EQ(data["importances"].size(), 2u);
  size_t front = 0;
  for (const json& trial : data["trials"]) {
    front += trial.contains("front") ? 1 : 0;
    if (!trial["scores"].empty()) {
      EXPECT_GT(trial["scores"][1], 0);  // as measured
    }
  }
  EXPECT_EQ(front, pareto_front(view.history.trials()).size());
  EXPECT_GT(front, 1u);
}

}  // namespace
}  // namespace trireme
