// A config's text key by key.
#include "config/entries.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "config/config.h"

namespace trireme {
namespace {

using Entries = std::map<std::string, std::string>;

TEST(ConfigEntries, AreFlatAndAsTheyStand) {
  Entries entries = config_entries(R"(
top = true
[run]
name = "a \"b\""
seed = 7
[optimizer]
learning_rate = 0.10
future_key = [1, 2]
kinds = ["a", "b"]
empty = []
[[model.layer]]
kind = "linear"
units = 4
[[model.layer]]
kind = "relu"
)",
                                   "x.toml");
  EXPECT_EQ(entries, (Entries{{"top", "true"},
                              {"run.name", "\"a \\\"b\\\"\""},
                              {"run.seed", "7"},
                              {"optimizer.learning_rate", "0.1"},
                              {"optimizer.future_key", "[1, 2]"},
                              {"optimizer.kinds", "[\"a\", \"b\"]"},
                              {"optimizer.empty", "[]"},
                              {"model.layer[0].kind", "\"linear\""},
                              {"model.layer[0].units", "4"},
                              {"model.layer[1].kind", "\"relu\""}}));
  EXPECT_TRUE(config_entries("", "x.toml").empty());
  EXPECT_THROW(config_entries("a = ", "x.toml"), ConfigError);
}

TEST(ConfigEntries, OfADumpAreItsKeys) {
  Config config = parse_config("", "x.toml", {"train.epochs=7"});
  Entries entries = config_entries(dump_config(config), "dump");
  EXPECT_EQ(entries.at("train.epochs"), "7");
  EXPECT_TRUE(entries.contains("optimizer.kind"));
}

}  // namespace
}  // namespace trireme
