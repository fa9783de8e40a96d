// Records as lines of JSON: every kind reads back as it was, doubles to the bit; what is no record is
// refused.
#include "sweep/record.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "support/expect_error.h"

namespace trireme {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<Record> all_kinds() {
  std::vector<Record> records;
  auto add = [&records](auto what) {
    records.push_back({.number = static_cast<int64_t>(records.size()), .time = 1.7e9 + 0.1, .what = what});
  };
  add(StartRecord{.sweep = "0123abcd", .ranks = 4, .version = "0.1.0"});
  add(SuggestRecord{.trial = 7,
                    .values = {{"optimizer.kind", "\"sgd\""}, {"model.layers", "[256, 128]"}, {"a", "1e-4"}},
                    .point = {0, nan, 1e-4, -0.0, 3},
                    .width = 2,
                    .based_on = 12,
                    .parent = 3});
  add(BeginRecord{.trial = 7,
                  .attempt = 2,
                  .resumed = true,
                  .ranks = {2, 3},
                  .source = 5,
                  .values = {{"optimizer.momentum", "0.5"}},
                  .point = {0, 0.5, nan}});
  add(BeginRecord());
  add(ReportRecord{.trial = 7,
                   .epoch = 3,
                   .step = 1407,
                   .seconds = 0.1 + 0.2,
                   .figures = {{"validation.loss", nan}, {"validation.accuracy", 0.1}, {"loss", -infinity}},
                   .scores = {infinity, -0.9}});
  add(DecisionRecord{.trial = 7, .epoch = 3, .verdict = "stop", .reason = "rung 1: \"7th\" of 9\n\ttoo bad"});
  add(EndRecord{
      .trial = 7, .state = "failed", .reason = "größer als erlaubt \\ \x01", .seconds = 1e-300, .steps = 9});
  add(CloseRecord{.state = "finished", .reason = "100 trials"});
  return records;
}

// Texts that are equal are records that are equal: to_json() leaves nothing out (see the test of fields
// below).
TEST(Record, EveryKindReadsBack) {
  std::vector<Record> records = all_kinds();
  for (const Record& record : records) {
    std::string json = to_json(record);
    EXPECT_EQ(json.find('\n'), std::string::npos) << "a record is one line";
    Record back = record_from_json(json);
    EXPECT_EQ(back.what.index(), record.what.index());
    EXPECT_EQ(back.number, record.number);
    EXPECT_EQ(std::bit_cast<uint64_t>(back.time), std::bit_cast<uint64_t>(record.time));
    EXPECT_EQ(to_json(back), json);
  }
}

TEST(Record, FieldsReadBack) {
  std::vector<Record> records = all_kinds();
  auto suggest = std::get<SuggestRecord>(record_from_json(to_json(records[1])).what);
  const auto& expected = std::get<SuggestRecord>(records[1].what);
  EXPECT_EQ(suggest.trial, 7);
  EXPECT_EQ(suggest.values, expected.values) << "in their order";
  ASSERT_EQ(suggest.point.size(), 5u);
  EXPECT_TRUE(std::isnan(suggest.point[1]));
  EXPECT_TRUE(std::signbit(suggest.point[3]));
  EXPECT_EQ(suggest.width, 2);
  EXPECT_EQ(suggest.based_on, 12);
  EXPECT_EQ(suggest.parent, 3);
  auto begin = std::get<BeginRecord>(record_from_json(to_json(records[2])).what);
  EXPECT_EQ(begin.attempt, 2);
  EXPECT_TRUE(begin.resumed);
  EXPECT_EQ(begin.ranks, (std::vector<int>{2, 3}));
  EXPECT_EQ(begin.source, 5);
  EXPECT_EQ(begin.values, std::get<BeginRecord>(records[2].what).values);
  auto report = std::get<ReportRecord>(record_from_json(to_json(records[4])).what);
  EXPECT_EQ(report.epoch, 3);
  EXPECT_EQ(report.step, 1407);
  EXPECT_EQ(report.seconds, 0.1 + 0.2);
  ASSERT_EQ(report.figures.size(), 3u);
  EXPECT_EQ(report.figures[0].first, "validation.loss");
  EXPECT_TRUE(std::isnan(report.figures[0].second));
  EXPECT_EQ(report.figures[2].second, -infinity);
  EXPECT_EQ(report.scores, (std::vector<double>{infinity, -0.9}));
  auto decision = std::get<DecisionRecord>(record_from_json(to_json(records[5])).what);
  EXPECT_EQ(decision.reason, "rung 1: \"7th\" of 9\n\ttoo bad");
  auto end = std::get<EndRecord>(record_from_json(to_json(records[6])).what);
  EXPECT_EQ(end.reason, "größer als erlaubt \\ \x01");
  EXPECT_EQ(end.seconds, 1e-300);
  EXPECT_EQ(end.steps, 9);
}

TEST(Record, DoublesReadBackToTheBit) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    ReportRecord report;
    for (int k = 0; k < 10; ++k) report.scores.push_back(std::bit_cast<double>(random()));
    report.scores.push_back(std::numeric_limits<double>::denorm_min());
    report.scores.push_back(std::numeric_limits<double>::max());
    Record record{.number = i, .time = 0, .what = report};
    auto back = std::get<ReportRecord>(record_from_json(to_json(record)).what);
    ASSERT_EQ(back.scores.size(), report.scores.size());
    for (size_t k = 0; k < report.scores.size(); ++k) {
      if (std::isnan(report.scores[k])) {
        EXPECT_TRUE(std::isnan(back.scores[k]));
      } else {
        EXPECT_EQ(std::bit_cast<uint64_t>(back.scores[k]), std::bit_cast<uint64_t>(report.scores[k]));
      }
    }
  }
}

TEST(Record, AReasonOfAnyBytesCanBeWritten) {
  Record record{.number = 0, .time = 0, .what = CloseRecord{"stopped", "\xff\xfe bytes \x80"}};
  auto back = std::get<CloseRecord>(record_from_json(to_json(record)).what);
  EXPECT_NE(back.reason.find("bytes"), std::string::npos);
}

// Each field taken out, made another kind of thing, and one too many: refused, by name.
TEST(Record, WhatIsNoRecordIsRefusedByName) {
  for (const Record& record : all_kinds()) {
    auto whole = nlohmann::ordered_json::parse(to_json(record));
    for (const auto& [key, value] : whole.items()) {
      auto less = whole;
      less.erase(key);
      test::expect_error(ExitCode::bad_data, {"lacks '" + key + "'"}, [&] { record_from_json(less.dump()); });
      auto other = whole;
      other[key] = value.is_array() ? nlohmann::ordered_json::object() : nlohmann::ordered_json::array();
      test::expect_error(ExitCode::bad_data, {"'" + key + "'"}, [&] { record_from_json(other.dump()); });
    }
    auto more = whole;
    more["colour"] = "green";
    test::expect_error(ExitCode::bad_data, {"does not know"}, [&] { record_from_json(more.dump()); });
  }
  for (std::string bad : {"", "{", "[]", "3", "{} {}", "nonsense"}) {
    test::expect_error(ExitCode::bad_data, {}, [&] { record_from_json(bad); });
  }
  test::expect_error(ExitCode::bad_data, {"'explode'", "later version"},
                     [] { record_from_json(R"({"n": 0, "time": 0, "event": "explode"})"); });
  test::expect_error(ExitCode::bad_data, {"'trial'"}, [] {
    record_from_json(
        R"({"n": 0, "time": 0, "event": "end", "trial": 0.5, "state": "", "reason": "", "seconds": 0, "steps": 0})");
  });
  test::expect_error(ExitCode::bad_data, {"'ranks'"}, [] {
    record_from_json(
        R"({"n": 0, "time": 0, "event": "start", "sweep": "", "ranks": 4294967297, "version": ""})");
  });
  test::expect_error(ExitCode::bad_data, {"'n'"}, [] {
    record_from_json(
        R"({"n": 18446744073709551615, "time": 0, "event": "start", "sweep": "", "ranks": 1, "version": ""})");
  });
}

}  // namespace
}  // namespace trireme
