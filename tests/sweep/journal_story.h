// Records for tests of journals, and files as texts.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "sweep/journal.h"

namespace trireme::test {

// Short lines, and long ones, of several kinds; the same for the same number.
inline Record story_record(int64_t number) {
  Record record;
  switch (number % 4) {
    case 0:
      record.what = SuggestRecord{.trial = number / 4,
                                  .values = {{"optimizer.learning_rate", "0.001"}},
                                  .point = {1.0 / static_cast<double>(number + 1)},
                                  .width = 1,
                                  .based_on = number,
                                  .parent = -1};
      break;
    case 1:
      record.what = BeginRecord{.trial = number / 4,
                                .attempt = 1,
                                .resumed = false,
                                .ranks = {0},
                                .source = -1,
                                .values = {},
                                .point = {}};
      break;
    case 2:
      record.what = ReportRecord{.trial = number / 4,
                                 .epoch = 1,
                                 .step = number,
                                 .seconds = 0.25,
                                 .figures = {{"validation.loss", 0.5}},
                                 .scores = {0.5}};
      break;
    default:
      record.what =
          EndRecord{.trial = number / 4, .state = "finished", .reason = "", .seconds = 1, .steps = number};
  }
  return record;
}

inline void append_story(JournalWriter& writer, int64_t from, int64_t to) {
  for (int64_t number = from; number < to; ++number) writer.append(story_record(number));
}

// Empty if the journal begins with so many records of the story and has nothing else; else what is wrong.
inline std::string other_than_story(const JournalContent& content) {
  for (size_t i = 0; i < content.records.size(); ++i) {
    Record expected = story_record(static_cast<int64_t>(i));
    expected.number = static_cast<int64_t>(i);
    expected.time = content.records[i].time;
    if (to_json(content.records[i]) != to_json(expected))
      return "record " + std::to_string(i) + " is another";
  }
  return "";
}

inline std::string text_of_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void put_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace trireme::test
