// The reference is complete and fits a terminal.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/nearest_name.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/nearest.h"

namespace trireme {
namespace {

using testing::HasSubstr;

// The words of a text, one space between them: what wrapping cannot change.
std::string words(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::string all;
  for (std::string word; in >> word;) all += (all.empty() ? "" : " ") + word;
  return all;
}

bool is_model(std::string_view kind) {
  Config config;
  for (const KeyTable& table : tables_of(config)) {
    if (table.name != "model") continue;
    const auto& kinds = table.keys.front().rule.choices;
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  }
  return false;
}

void expect_covered(const KeyTable& table, const std::string& header, const std::string& help) {
  size_t begin = help.find("\n" + header + "\n");
  ASSERT_NE(begin, std::string::npos) << header;
  std::string section = help.substr(begin, help.find("\n[", begin + 2) - begin);
  EXPECT_THAT(words(section), HasSubstr(words(table.doc)));
  for (std::string_view model : table.models) EXPECT_TRUE(is_model(model)) << model;
  for (const Key& key : table.keys) {
    SCOPED_TRACE(header + " " + std::string(key.name));
    std::string value = key.rule.required ? "(required)" : to_toml(key.slot);
    EXPECT_THAT(section, HasSubstr(fmt::format("\n  {} = {}", key.name, value)));
    EXPECT_THAT(words(section), HasSubstr(words(key.rule.doc)));
    EXPECT_THAT(words(section), HasSubstr(words(describe_type(key))));
    EXPECT_GT(key.rule.doc.size(), 10u);
    EXPECT_EQ(key.rule.doc.back(), '.') << "a doc is sentences";
    for (std::string_view kind : key.rule.kinds) {
      const auto& kinds = table.keys.front().rule.choices;
      EXPECT_NE(std::find(kinds.begin(), kinds.end(), kind), kinds.end()) << kind;
    }
    for (std::string_view model : key.rule.models) EXPECT_TRUE(is_model(model)) << model;
  }
}

TEST(Help, CoversEveryKey) {
  Config config;
  std::string help = help_config();
  for (const KeyTable& table : tables_of(config))
    expect_covered(table, fmt::format("[{}]", table.name), help);
  LayerConfig layer;
  expect_covered(table_of(layer), "[[model.layer]]", help);
  OptimizerGroupConfig group;
  expect_covered(table_of(group), "[[optimizer.group]]", help);
}

TEST(Help, FitsAHundredColumns) {
  std::istringstream lines(help_config());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(Nearest, CountsSlips) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("ab", "ba"), 1u);
  EXPECT_EQ(edit_distance("same", "same"), 0u);
  EXPECT_EQ(nearest("epoch", {"steps", "epochs"}), "epochs");
  EXPECT_EQ(nearest("zzz", {"steps", "epochs"}), "");
  EXPECT_EQ(nearest(std::string(100000, 'x'), {"steps"}), "");
}

}  // namespace
}  // namespace trireme
