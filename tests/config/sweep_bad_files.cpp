// Every fault of a sweep's file is one line with its place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sweep_file.h"

namespace trireme {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct BadSweep {
  std::string text;
  std::string begin;
  std::string part;
  std::vector<std::string> overrides = {};
};

TEST_F(SweepFile, EveryFaultIsOneLineWithItsPlace) {
  const std::string row = "[budget]\ntrials = 3\n[space]\n";
  for (const BadSweep& bad : std::vector<BadSweep>{
           {"[sweep\n", "s.toml:1:", "not valid TOML"},
           {"[sweep]\nsampler = \"tpe2\"\n" + tail, "s.toml:2:1: sweep.sampler = \"tpe2\"",
            "did you mean \"tpe\"?"},
           {"[sweep]\nsamler = \"tpe\"\n" + tail, "s.toml:2:1: unknown key sweep.samler;",
            "did you mean sweep.sampler?"},
           {"[sweep]\nseed = -1\n" + tail, "s.toml:2:1: sweep.seed = -1", "at least 0"},
           {"[sweep]\nseed = \"a\"\n" + tail, "s.toml:2:1: sweep.seed", "expected an integer"},
           {"sweep = 3\n" + tail, "s.toml:1:1: sweep is a table", "write [sweep]"},
           {"[sweep]\nname = \"a/b\"\n" + tail, "s.toml:2:1: sweep.name = \"a/b\"",
            "cannot name a directory"},
           {"[sweep.tpee]\n" + tail, "s.toml:1:8: unknown table sweep.tpee", "did you mean sweep.tpe?"},
           {"[sweep.tpe]\ngamma = 1.5\n" + tail, "s.toml:2:1: sweep.tpe.gamma", "below 1"},
           {"[sweep.tpe]\ncandidate = 3\n" + tail, "s.toml:2:1: unknown key sweep.tpe.candidate",
            "did you mean sweep.tpe.candidates?"},
           {"[sweep.asha]\nbrackets = 3\n" + tail, "s.toml:2:1: unknown key sweep.asha.brackets",
            "did you mean sweep.hyperband.brackets?"},
           {"[sweep.evolution]\ntournament = 50\n" + tail, "s.toml:2:1: sweep.evolution.tournament = 50",
            "more than population = 32"},
           {"[train]\nepochs = 3\n" + tail, "s.toml:1:2: unknown table train",
            "stand in [sweep.set] or [space]"},
           {"[sweep]\ntrain.epochs = 3\n" + tail, "s.toml:2:", "unknown table sweep.train"},
           {"[budgets]\n" + tail, "s.toml:1:2: unknown table budgets", "did you mean budget?"},
           {"zzzzzzzz = 1\n" + tail, "s.toml:1:1: unknown key zzzzzzzz", "--help-config"},
           {"[sweep]\nbase = \"absent.toml\"\n" + tail, "s.toml:2:1: sweep.base cannot be read",
            "absent.toml"},
           {"[sweep]\nbase = \".\"\n" + tail, "s.toml:2:1: sweep.base", "is a directory"},
           {"[sweep]\nlauncher = \"steps\"\nscheduler = \"pbt\"\n" + tail, "s.toml:2:1: sweep.launcher",
            "does not go with scheduler = \"pbt\""},
           {"[sweep]\nlauncher = \"steps\"\nscheduler = \"ltfb\"\n" + tail, "s.toml:2:1: sweep.launcher",
            "ltfb"},
           {"[sweep]\nsrun_options = [\"--mem=1G\"]\n" + tail, "s.toml:2:1: sweep.srun_options",
            "launcher = \"steps\""},
           // budget
           {"[space]\ndata.batch = { int = [1, 8] }\n", "s.toml: there is no budget", "budget.trials"},
           {"[budget]\ntrials = 0\n[space]\ndata.batch = { int = [1, 8] }\n",
            "s.toml:2:1: there is no budget", ""},
           {"[budget]\ntrials = -1\n", "s.toml:2:1: budget.trials = -1", "at least 0"},
           // objectives
           {"[objective]\nmetric = \"validation.acuracy\"\n" + tail, "s.toml:2:1: objective.metric",
            "did you mean \"validation.accuracy\"?"},
           {"[objective]\nmetrics = \"validation.loss\"\n" + tail, "s.toml:2:1: unknown key `metrics`",
            "`metric`"},
           {"objective = 3\n" + tail, "s.toml:1:1: objective is a table", ""},
           {"[[objective]]\n[[objective]]\n" + tail, "s.toml:2:1: objective[1].metric = \"validation.loss\"",
            "objective[0]"},
           {"[sweep]\nscheduler = \"asha\"\n[[objective]]\n[[objective]]\nmetric = \"train_seconds\"\n" +
                tail,
            "s.toml:2:1: sweep.scheduler = \"asha\" judges by one objective", "there are 2"},
           {"[[objective]]\nat = \"best\"\n[[objective]]\nmetric = \"train_seconds\"\nat = \"last\"\n" + tail,
            "s.toml:5:1: at = \"last\" goes for all objectives", "s.toml:2:1"},
           // rows
           {"[budget]\ntrials = 3\n", "s.toml: [space] is missing or empty", ""},
           {"space = 3\n", "s.toml:1:1: space is a table", ""},
           {row + "data.batch = [1, 8]\n",
            "s.toml:4:6: [space] data.batch: expected a distribution, found a list", "choice"},
           {row + "data.batch = 8\n", "s.toml:4:6: [space] data.batch: expected a distribution",
            "[sweep.set]"},
           {row + "data.batch = {}\n", "s.toml:4:6: [space] data.batch: has no distribution", "log_uniform"},
           {row + "data.batch = { when = \"true\" }\n", "s.toml:4:6: [space] data.batch: has no distribution",
            ""},
           {row + "data.batch = { inn = [1, 8] }\n", "s.toml:4:16: [space] data.batch: `inn`",
            "did you mean `int`?"},
           {row + "data.batch = { int = [1, 8], wen = \"a\" }\n", "s.toml:4:30: [space] data.batch: `wen`",
            "`when`"},
           {row + "data.batch = { int = [1, 8], zzzz = 1 }\n", "s.toml:4:30: [space] data.batch: `zzzz`",
            "there are"},
           {row + "data.batch = { int = [1, 8], uniform = [0, 1] }\n",
            "s.toml:4:30: ", "both int and uniform"},
           {row + "data.batch = { int = [1, 8, 9] }\n",
            "s.toml:4:16: ", "expected [LOW, HIGH], found a list of 3"},
           {row + "data.batch = { int = 3 }\n", "s.toml:4:16: ", "expected [LOW, HIGH], found the integer 3"},
           {row + "data.batch = { int = [1.0, 8] }\n", "s.toml:4:23: ", "int: expected an integer"},
           {row + "data.batch = { uniform = [\"a\", 8] }\n", "s.toml:4:27: ", "uniform: expected a number"},
           {row + "data.batch = { uniform = [0, inf] }\n", "s.toml:4:30: ", "not finite"},
           {row + "data.batch = { int = [8, 1] }\n", "s.toml:4:16: ", "the range [8, 1] is empty"},
           {row + "data.batch = { log_int = [0, 8] }\n", "s.toml:4:16: ", "above 0"},
           {row + "data.batch = { log_uniform = [-1, 8] }\n", "s.toml:4:16: ", "above 0"},
           {row + "data.batch = { quantized = [1, 8] }\n", "s.toml:4:6: ", "quantized needs a step"},
           {row + "data.batch = { quantized = [1, 8], step = 0 }\n", "s.toml:4:36: ", "not above 0"},
           {row + "data.batch = { quantized = [1, 8], step = \"a\" }\n",
            "s.toml:4:36: ", "step: expected a number"},
           {row + "data.batch = { int = [1, 8], step = 2 }\n", "s.toml:4:30: ", "not with int"},
           {row + "data.batch = { choice = [] }\n", "s.toml:4:16: ", "found none"},
           {row + "data.batch = { choice = 3 }\n", "s.toml:4:16: ", "expected a list of values"},
           {row + "data.batch = { choice = [1, 1] }\n", "s.toml:4:29: ", "1 stands twice"},
           {row + "data.batch = { choice = [{ a = 1 }] }\n", "s.toml:4:26: ", "a table cannot stand here"},
           {row + "data.batch = { choice = [[[1]]] }\n", "s.toml:4:26: ", "cannot stand here"},
           {row + "data.batch = { choice = [1979-05-27] }\n", "s.toml:4:26: ", "a date cannot stand here"},
           {row + "data.batch = { int = [1, 8], when = true }\n",
            "s.toml:4:30: ", "expected a formula in quotes"},
           {row + "data.batch = { int = [1, 8] }\n\"data.batch\" = { int = [1, 8] }\n",
            "s.toml:5:1: [space] data.batch stands twice", "s.toml:4:6"},
           // [sweep.set]
           {"[sweep.set]\ndata.batch = 3\n" + tail, "s.toml:6:6: data.batch is searched", "s.toml:2:6"},
           {"[sweep.set]\ndata.batch = 1979-05-27\n" + tail, "s.toml:2:6: [sweep.set] data.batch", "a date"},
           {"[[sweep.set.model.layer]]\nkind = \"relu\"\n" + tail, "s.toml:1:", "base config"},
           {"[sweep]\nset = 3\n" + tail, "s.toml:2:1: sweep.set is a table", ""},
           // the command line
           {tail, "--set sweep.samler=a: unknown key", "sweep.sampler", {"sweep.samler=a"}},
           {tail, "--set sweep.seed=x: ", "expected an integer", {"sweep.seed=x"}},
           {tail, "--set space.data.batch=3: expected space.KEY", "", {"space.data.batch=3"}},
           {tail, "--set space.data.batch.int=[3]: ", "found a list of 1", {"space.data.batch.int=[3]"}},
           {tail, "--set space.data.batch.int=[3: ", "not valid TOML", {"space.data.batch.int=[3"}},
           {tail, "--set space.step=3: ", "expected space.KEY", {"space.step=3"}},
           {tail, "--set space.a.step=3: ", "has no distribution", {"space.a.step=3"}},
           {tail, "--set sweep.set.run={ a = 1 }: ", "a table cannot", {"sweep.set.run={ a = 1 }"}},
           {tail, "--set space.: expected table.key=value", "", {"space."}},
           {tail, "--set space.=3: ", "expected", {"space.=3"}},
           {tail, "--set space.a=3", "line break", {"space.a=3\nx = 1"}},
       }) {
    SCOPED_TRACE(bad.text);
    std::string message = fault_of([&] { parse(bad.text, bad.overrides); });
    EXPECT_THAT(message, StartsWith(bad.begin));
    EXPECT_THAT(message, HasSubstr(bad.part));
  }
}

// A slip anywhere is a fault with its place, or another good file; nothing else.
TEST_F(SweepFile, AnySlipIsToldOrHarmless) {
  int refused = 0;
  for (size_t i = 0; i < whole_file.size(); i += 3) {
    std::string cut = whole_file;
    cut.erase(i, 1);
    std::string changed = whole_file;
    changed[i] = "\"[{}]=.,x0 \n"[i % 11];
    for (const std::string& text : {cut, changed}) {
      try {
        SweepConfig config = parse(text);
        check_space_keys(config, load_sweep_base(config));
        make_trial_config(config, {});
      } catch (const ConfigError& error) {
        std::string message = error.what();
        ++refused;
        EXPECT_THAT(message, StartsWith(folder_.path().string()));
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      }
    }
  }
  EXPECT_GT(refused, 100);
}

TEST_F(SweepFile, ChecksTheBaseWithWhatIsSet) {
  auto fault = [&](const std::string& text) {
    return fault_of([&] { load_sweep_base(parse(text + tail)); });
  };
  EXPECT_THAT(fault(""), StartsWith("s.toml: the key sweep.base is missing"));
  const std::string head = "[sweep]\nbase = \"base.toml\"\n[sweep.set]\n";
  EXPECT_THAT(fault(head + "train.epoch = 3\n"),
              StartsWith("s.toml:4:7: unknown key train.epoch; did you mean train.epochs?"));
  EXPECT_THAT(fault(head + "train.epochs = 0.5\n"),
              StartsWith("s.toml:4:7: train.epochs: expected an integer"));
  EXPECT_THAT(fault(head + "train.epochs = -3\n"),
              StartsWith("s.toml:4:7: train.epochs = -3 is out of range"));
  EXPECT_THAT(fault(head + "run.name = 7\n"), StartsWith("s.toml:4:5: run.name: expected a text"));
  EXPECT_THAT(fault(head + "optimizer.beta1 = 0.5\n"),
              StartsWith("s.toml:4:11: optimizer.beta1 is not read by"));
  EXPECT_THAT(fault(head + "\"model.layer[2].rate\" = 0.5\n"),
              StartsWith("s.toml:4:1: model.layer has 2 entries"));
  EXPECT_THAT(fault(head + "\"a..b\" = 0.5\n"), StartsWith("s.toml:4:1: a..b is no key"));
  EXPECT_THAT(fault(head + "optimizer.momentum = 0\noptimizer.nesterov = true\n"),
              StartsWith("s.toml:5:11: optimizer.nesterov needs"));
  EXPECT_THAT(fault(head + "data.train = \"\"\n"), HasSubstr("data.train is missing"));
  EXPECT_THAT(fault(head + "data.validation = \"\"\n"), HasSubstr("judges by the validation"));
  EXPECT_EQ(fault(head + "data.validation = \"\"\ndata.validation_fraction = 0.1\n"), "accepted");
  // The base's momentum is left over, and passed over.
  EXPECT_EQ(fault(head + "optimizer.kind = \"adam\"\noptimizer.beta1 = 0.5\n"), "accepted");
  write_file_atomically(folder_.path() / "base.toml", std::string_view("[train]\nepoch = 3\n"));
  EXPECT_THAT(fault(head), StartsWith("base.toml:2:1: unknown key train.epoch"));
}

TEST_F(SweepFile, ChecksEveryRowAgainstTheTrainingConfig) {
  auto fault = [&](const std::string& row) {
    SweepConfig config = parse("[sweep]\nbase = \"base.toml\"\n[budget]\ntrials = 3\n[space]\n" + row + "\n");
    return fault_of([&] { check_space_keys(config, load_sweep_base(config)); });
  };
  struct Row {
    std::string text;
    std::string part;
  };
  for (const Row& row : std::vector<Row>{
           {"optimizer.learningrate = { uniform = [0, 1] }",
            "unknown key; did you mean optimizer.learning_rate?"},
           {"train.batch = { int = [1, 8] }", "did you mean data.batch?"},
           {"zzzzzzz = { int = [1, 8] }", "lists all keys"},
           {"sweep.rank_per_trial = { int = [1, 8] }", "sweep.ranks_per_trial alone is searched"},
           {"sweep.seed = { int = [1, 8] }", "sweep.ranks_per_trial alone is searched"},
           {"\"model.layer[2].rate\" = { uniform = [0, 1] }", "lists count from 0"},
           {"\"model.layer[x].rate\" = { uniform = [0, 1] }", "lists count from 0"},
           {"run.name = { choice = [\"a\", \"b\"] }", "names a folder"},
           {"data.batch = { uniform = [1, 8] }", "this key is an integer; use int"},
           {"data.batch = { log_uniform = [1, 8] }", "use log_int"},
           {"data.batch = { quantized = [1, 8], step = 0.5 }", "this key is an integer, and 0.5 is none"},
           {"data.batch = { int = [0, 8] }", "data.batch = 0 is out of range: at least 1"},
           {"data.batch = { choice = [8, 0] }", "data.batch = 0 is out of range"},
           {"data.batch = { choice = [8, \"a\"] }", "data.batch: expected an integer, found the text \"a\""},
           {"data.batch = { choice = [8, 9.0] }", "expected an integer (9)"},
           {"optimizer.momentum = { uniform = [0, 1] }",
            "optimizer.momentum = 1 is out of range: at least 0 and below 1"},
           {"optimizer.momentum = { choice = [0.5, true] }", "expected a number, found true"},
           {"optimizer.kind = { choice = [\"sgd\", \"adm\"] }", "did you mean \"adam\"?"},
           {"optimizer.kind = { int = [1, 2] }", "int is not for this key, which is text"},
           {"optimizer.nesterov = { uniform = [0, 1] }", "true or false; use choice"},
           {"model.hidden = { choice = [[64], [64, \"a\"]] }", "expected an integer"},
           {"model.hidden = { choice = [64] }", "expected a list of integers"},
           {"sweep.ranks_per_trial = { int = [0, 2] }", "out of range: at least 1"},
           {"sweep.ranks_per_trial = { uniform = [1, 2] }", "use int"},
       }) {
    EXPECT_THAT(fault(row.text), StartsWith("s.toml:6:")) << row.text;
    EXPECT_THAT(fault(row.text), HasSubstr("[space] ")) << row.text;
    EXPECT_THAT(fault(row.text), HasSubstr(row.part)) << row.text;
  }
  for (const char* row :
       {"optimizer.learning_rate = { log_uniform = [1e-4, 1] }", "optimizer.momentum = { int = [0, 0] }",
        "optimizer.momentum = { choice = [0, 0.5] }", "\"model.layer[1].rate\" = { uniform = [0, 0.5] }",
        "model.hidden = { choice = [[64], [64, 32]] }", "optimizer.nesterov = { choice = [true, false] }",
        "parallel.parameter_server.servers = { int = [1, 3] }",
        "parallel.parameter_server.servers = { choice = [1, \"per_node\"] }",
        "sweep.ranks_per_trial = { log_int = [1, 8] }",
        "data.batch = { log_quantized = [16, 256], step = 16 }"}) {
    EXPECT_EQ(fault(row), "accepted") << row;
  }
}

}  // namespace
}  // namespace trireme
