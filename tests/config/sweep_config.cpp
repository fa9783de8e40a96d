// A sweep's file: what it says, every fault in one line with its place, and the way to text and back.
#include "config/sweep_config.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "config/key_tables.h"
#include "sweep_file.h"

namespace trireme {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

TEST_F(SweepFile, SaysWhatItSays) {
  SweepConfig config = parse(whole_file);
  EXPECT_EQ(config.sweep.name, "whole");
  EXPECT_EQ(config.sweep.base, (folder_.path() / "base.toml").string());
  EXPECT_EQ(config.base_text, base_text);
  EXPECT_EQ(config.sweep.sampler, "gp");
  EXPECT_EQ(config.asha.reduction, 4);
  EXPECT_EQ(config.hyperband.reduction, 3);
  EXPECT_EQ(config.at, "best");
  ASSERT_EQ(config.objectives.size(), 1u);
  EXPECT_TRUE(config.objectives[0].maximized);
  EXPECT_EQ(config.budget, (BudgetConfig{100, 3600, 500}));
  EXPECT_THAT(config.set, ElementsAre(Pair("train.epochs", "9"), Pair("model.layer[0].units", "20")));
  std::vector<std::string> keys;
  for (const SpaceEntry& entry : config.space) keys.push_back(entry.key);
  EXPECT_THAT(keys,
              ElementsAre("optimizer.kind", "data.batch", "optimizer.learning_rate", "model.layer[1].rate",
                          "train.micro_batches", "sweep.ranks_per_trial", "run.seed", "optimizer.momentum",
                          "optimizer.weight_decay", "optimizer.nesterov"))
      << "in the order of the file, though tables gather them";
  EXPECT_THAT(config.space[0].choices, ElementsAre("\"sgd\"", "\"adam\""));
  EXPECT_EQ(config.space[2], (SpaceEntry{"optimizer.learning_rate", "log_uniform", 1e-4, 0.1}));
  EXPECT_EQ(config.space[3], (SpaceEntry{"model.layer[1].rate", "quantized", 0, 0.5, 0.1}));
  EXPECT_EQ(config.space[9].when, "optimizer.momentum > 0");
  EXPECT_EQ(config.where("space.data.batch"), file() + ":26:6");
  EXPECT_EQ(config.where("sweep.set.train.epochs"), file() + ":13:7");
  EXPECT_EQ(config.where("sweep.sampler"), file() + ":5:1");
  EXPECT_EQ(config.where("sweep.launcher"), file());
}

TEST_F(SweepFile, DumpsToTextThatReadsBack) {
  SweepConfig config = parse(whole_file);
  std::string dump = dump_sweep_config(config);
  EXPECT_EQ(parse_sweep_config(dump, "/elsewhere/dump.toml"), config) << dump;
  EXPECT_EQ(dump_sweep_config(parse_sweep_config(dump, "/elsewhere/dump.toml")), dump);

  std::string several = "[[objective]]\n[[objective]]\nmetric = \"train_seconds\"\nat = \"best\"\n" + tail;
  EXPECT_EQ(parse(dump_sweep_config(parse(several))), parse(several));

  // Every key of every table is dumped: each takes part in equality.
  SweepConfig changed = config;
  for (KeyTable& table : tables_of(changed)) {
    for (Key& key : table.keys) {
      SweepConfig before = changed;
      if (auto* number = std::get_if<int64_t*>(&key.slot)) **number += 1;
      if (auto* number = std::get_if<double*>(&key.slot)) **number += 0.03125;
      if (auto* flag = std::get_if<bool*>(&key.slot)) **flag = !**flag;
      if (key.name == "retries" || std::holds_alternative<int64_t*>(key.slot)) {
        EXPECT_NE(before, changed) << key.name;
      }
    }
  }
  EXPECT_EQ(parse(dump_sweep_config(changed)), changed);
}

TEST_F(SweepFile, IsSavedWithItsBase) {
  SweepConfig config = parse("[sweep]\nbase = \"base.toml\"\n" + tail);
  write_file_atomically(folder_.path() / "base.toml", std::string_view("[data]\n"));
  test::TemporaryFolder other;
  save_sweep_config(config, other.path().string());
  SweepConfig back = load_sweep_config((other.path() / "sweep.toml").string());
  EXPECT_EQ(back.base_text, base_text);
  EXPECT_EQ(back.sweep.base, (other.path() / "base.toml").string());
  EXPECT_EQ(load_sweep_base(back), load_sweep_base(config));
}

TEST_F(SweepFile, TakesOverrides) {
  SweepConfig config =
      parse("[sweep.set]\ntrain.epochs = 2\n[sweep]\nbase = \"base.toml\"\n" + tail,
            {"sweep.sampler=random", "budget.trials=9", "sweep.set.train.epochs=5", "sweep.set.run.name=abc",
             "sweep.set.model.layer[0].units=3", "space.data.batch.log_int=[2,4]",
             "space.optimizer.momentum={ quantized = [0.0, 0.9], step = 0.3, when = \"data.batch > 1\" }",
             "space.model.layer[1].rate.uniform=[0,1]", "space.optimizer.momentum.uniform=[0,0.5]",
             "objective.metric=validation.accuracy"});
  EXPECT_EQ(config.sweep.sampler, "random");
  EXPECT_EQ(config.budget.trials, 9);
  EXPECT_THAT(config.set, ElementsAre(Pair("train.epochs", "5"), Pair("run.name", "\"abc\""),
                                      Pair("model.layer[0].units", "3")));
  ASSERT_EQ(config.space.size(), 3u);
  EXPECT_EQ(config.space[0], (SpaceEntry{"data.batch", "log_int", 2, 4}));
  EXPECT_EQ(config.space[1], (SpaceEntry{"optimizer.momentum", "uniform", 0, 0.5, 0, {}, "data.batch > 1"}));
  EXPECT_EQ(config.space[2], (SpaceEntry{"model.layer[1].rate", "uniform", 0, 1}));
  EXPECT_TRUE(config.objectives[0].maximized);
  EXPECT_EQ(config.where("space.data.batch"), "--set space.data.batch.log_int=[2,4]");
  EXPECT_EQ(load_sweep_base(config).model.layer[0].units, 3);
}

TEST_F(SweepFile, ResolvesGoals) {
  auto maximized = [&](const std::string& keys) {
    return parse("[objective]\n" + keys + tail).objectives[0].maximized;
  };
  EXPECT_FALSE(maximized(""));
  EXPECT_TRUE(maximized("metric = \"validation.accuracy\"\n"));
  EXPECT_TRUE(maximized("metric = \"samples_per_second\"\n"));
  EXPECT_FALSE(maximized("metric = \"train_seconds\"\n"));
  EXPECT_FALSE(maximized("metric = \"validation.accuracy\"\ngoal = \"minimize\"\n"));
  EXPECT_TRUE(maximized("goal = \"maximize\"\n"));
  SweepConfig none = parse(tail);
  ASSERT_EQ(none.objectives.size(), 1u);
  EXPECT_EQ(none.objectives[0].metric, "validation.loss");
}

TEST_F(SweepFile, MakesTrialConfigs) {
  SweepConfig config = parse(
      "[sweep]\nbase = \"base.toml\"\n[sweep.set]\ntrain.epochs = 9\noptimizer.momentum = "
      "0.7\n[budget]\ntrials "
      "= 3\n[space]\noptimizer.kind = { choice = [\"sgd\", \"adam\"] }\n");
  Config sgd = make_trial_config(config, {"optimizer.kind=\"sgd\"", "data.batch=32",
                                          "model.layer[1].rate=0.25", "sweep.ranks_per_trial=2"});
  EXPECT_EQ(sgd.optimizer.kind, "sgd");
  EXPECT_EQ(sgd.optimizer.momentum, 0.7);
  EXPECT_EQ(sgd.data.batch, 32);
  EXPECT_EQ(sgd.train.epochs, 9);
  EXPECT_EQ(sgd.model.layer[1].rate, 0.25);
  // What adam does not read is left out, wherever it was set.
  Config adam = make_trial_config(config, {"optimizer.kind=\"adam\"", "optimizer.beta1=0.5"});
  EXPECT_EQ(adam.optimizer.kind, "adam");
  EXPECT_EQ(adam.optimizer.beta1, 0.5);
  EXPECT_EQ(adam.train.epochs, 9);
  // But not what the trial itself says: that would be without effect.
  EXPECT_THAT(fault_of([&] {
                make_trial_config(config, {"optimizer.kind=\"adam\"", "optimizer.momentum=0.5"});
              }),
              StartsWith("--set optimizer.momentum=0.5: optimizer.momentum is not read by"));
  EXPECT_THAT(fault_of([&] {
                make_trial_config(config, {"optimizer.momentum=0.0", "optimizer.nesterov=true"});
              }),
              HasSubstr("nesterov needs"));
}

TEST(SweepHelp, CoversEveryKeyAndFitsAHundredColumns) {
  std::string help = help_sweep_config();
  SweepConfig config;
  for (const KeyTable& table : tables_of(config)) {
    EXPECT_THAT(help, HasSubstr(fmt::format("\n[{}]\n", table.name)));
    for (const Key& key : table.keys) {
      EXPECT_THAT(help, HasSubstr(fmt::format("\n  {} = {}", key.name, to_toml(key.slot))));
      EXPECT_EQ(key.rule.doc.back(), '.') << key.name;
    }
  }
  for (const char* word :
       {"[objective]", "  metric = \"validation.loss\"", "[space]", "[sweep.set]", "log_quantized",
        "choice = [A, B, ...]", "when = \"FORMULA\"", "x not in [a, b]"}) {
    EXPECT_THAT(help, HasSubstr(word));
  }
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(SweepHelp, StandsInTheUsersPage) {
  std::string page = read_file(TRIREME_SOURCE_DIR "/runtime/sweep/SWEEP_FILE.md");
  EXPECT_NE(page.find("```text\n" + help_sweep_config() + "```\n"), std::string::npos)
      << "put what trireme-sweep --help-config prints in its place:\n"
      << help_sweep_config();
}

}  // namespace
}  // namespace trireme
