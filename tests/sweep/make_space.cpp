// From a sweep's file to its space: kinds of parameters, and rows of which each trial would fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/atomic_file.h"
#include "base/error.h"
#include "config/sweep_config.h"
#include "support/temporary_folder.h"
#include "sweep/space.h"

namespace trireme {
namespace {

using testing::HasSubstr;

const std::string base_text = R"([data]
train = "train.h5"
validation = "test.h5"
[model]
kind = "mlp"
[optimizer]
kind = "sgd"
)";

struct Made {
  SweepConfig config;
  Config base;
  Space space;
};

Made make(const std::string& rows, const std::string& more = "", const std::string& base = base_text) {
  test::TemporaryFolder folder;
  write_file_atomically(folder.path() / "base.toml", base);
  SweepConfig config = parse_sweep_config(
      "[sweep]\nbase = \"base.toml\"\n" + more + "[budget]\ntrials = 1\n[space]\n" + rows + "\n",
      (folder.path() / "s.toml").string());
  Config training = load_sweep_base(config);
  Space space = make_space(config, training);
  return {config, training, space};
}

std::string fault_of(const std::string& rows, const std::string& more = "",
                     const std::string& base = base_text) {
  try {
    make(rows, more, base);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(MakeSpace, TakesTheKindsOfTheKeys) {
  Space space = make(R"(
    optimizer.learning_rate = { log_uniform = [1e-4, 1.0] }
    optimizer.momentum = { quantized = [0.0, 0.9], step = 0.3, when = "optimizer.kind != 'adam'" }
    data.batch = { log_quantized = [16, 256], step = 16 }
    train.epochs = { int = [1, 3], when = "optimizer.kind == 'adam'" }
    optimizer.kind = { choice = ["sgd", "lars", "adam"] }
    sweep.ranks_per_trial = { quantized = [1, 5], step = 2 }
    train.threads = { log_int = [1, 8] })")
                    .space;
  auto parameter = [&](const char* key) { return space[space.find(key).value()]; };
  EXPECT_EQ(parameter("optimizer.learning_rate").kind, ParameterKind::real);
  EXPECT_EQ(parameter("optimizer.momentum").kind, ParameterKind::real);
  EXPECT_EQ(parameter("data.batch").kind, ParameterKind::integer);
  EXPECT_EQ(parameter("optimizer.kind").kind, ParameterKind::choice);
  EXPECT_EQ(parameter("sweep.ranks_per_trial").kind, ParameterKind::integer);
  EXPECT_EQ(parameter("data.batch").count(), 16);
  EXPECT_TRUE(parameter("data.batch").logarithmic);
  EXPECT_LT(space.find("optimizer.kind").value(), space.find("train.epochs").value());
}

TEST(MakeSpace, EveryPointIsATrial) {
  Made made =
      make(R"toml(
    optimizer.kind = { choice = ["sgd", "adam", "lars"] }
    optimizer.learning_rate = { log_uniform = [1e-4, 1.0] }
    optimizer.momentum = { uniform = [0.1, 0.9], when = "optimizer.kind in ['sgd', 'lars']" }
    optimizer.nesterov = { choice = [true, false], when = "optimizer.kind == 'sgd' and optimizer.momentum > 0.5" }
    optimizer.beta1 = { uniform = [0.5, 0.95], when = "not (optimizer.kind == 'sgd' or optimizer.kind == 'lars')" }
    model.kind = { choice = ["mlp", "lenet"] }
    model.hidden = { choice = [[64], [128, 64]], when = "model.kind == 'mlp'" }
    sweep.ranks_per_trial = { choice = [1, 2] }
    data.batch = { log_int = [16, 256] })toml",
           "constraints = [\"data.batch % sweep.ranks_per_trial == 0\", \"optimizer.momentum < 0.85\"]\n"
           "[sweep.set]\ntrain.epochs = 4\n");
  for (uint64_t i = 0; i < 200; ++i) {
    RandomStream random(1, Purpose::sweep, i);
    Point point = made.space.draw(random);
    Config config = make_trial_config(made.config, made.space.assignments(point));
    EXPECT_EQ(config.train.epochs, 4);
    EXPECT_EQ(config.data.batch, point[made.space.find("data.batch").value()]);
    if (config.optimizer.kind == "sgd") {
      EXPECT_LT(config.optimizer.momentum, 0.85);
    }
    EXPECT_EQ(parse_config(dump_config(config), "dump"), config);
  }
}

TEST(MakeSpace, RefusesRowsThatFailEveryTrial) {
  const std::string kinds = "optimizer.kind = { choice = [\"sgd\", \"adam\"] }\n";
  EXPECT_THAT(
      fault_of(kinds + "optimizer.momentum = { uniform = [0, 0.9] }"),
      HasSubstr(
          "s.toml:7:11: [space] optimizer.momentum is not read by optimizer.kind = \"adam\", which may be "
          "drawn beside it, only by sgd, lars; add when = \"optimizer.kind in ['sgd', 'lars']\""));
  EXPECT_THAT(fault_of(kinds + "optimizer.momentum = { uniform = [0, 0.9], when = \"train.epochs < 5\" }"),
              HasSubstr("may be drawn beside it"));
  EXPECT_EQ(
      fault_of(kinds + "optimizer.momentum = { uniform = [0, 0.9], when = \"optimizer.kind == 'sgd'\" }"),
      "accepted");
  EXPECT_EQ(fault_of(kinds + "optimizer.momentum = { uniform = [0, 0.9] }",
                     "constraints = [\"optimizer.kind == 'sgd' and optimizer.momentum < 2\"]\n"),
            "accepted")
      << "no such point is allowed";
  EXPECT_THAT(fault_of("optimizer.beta1 = { uniform = [0, 0.9] }"),
              HasSubstr("is not read by optimizer.kind = \"sgd\" of the base config"));
  EXPECT_EQ(fault_of("optimizer.beta1 = { uniform = [0, 0.9] }", "[sweep.set]\noptimizer.kind = \"adam\"\n"),
            "accepted");
  EXPECT_THAT(fault_of("model.channels = { choice = [[8], [16]] }"),
              HasSubstr("not read by model.kind = \"mlp\""));
  EXPECT_THAT(fault_of("optimizer.discriminator.learning_rate = { uniform = [0.1, 0.2] }"),
              HasSubstr("not read by model.kind = \"mlp\""));
  const std::string layers =
      "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"dropout\"\n[[model.layer]]\n"
      "kind = \"linear\"\nunits = 10\n[data]\ntrain = \"a\"\nvalidation = \"b\"\n";
  EXPECT_THAT(fault_of("\"model.layer[0].units\" = { int = [8, 16] }", "", layers),
              HasSubstr("not read by kind = \"dropout\""));
  EXPECT_EQ(fault_of("\"model.layer[0].rate\" = { uniform = [0.1, 0.5] }", "", layers), "accepted");
  EXPECT_THAT(fault_of("data.batches = { int = [8, 16] }"), HasSubstr("did you mean data.batch?"));
  EXPECT_THAT(
      fault_of("data.batch = { int = [8, 16], when = \"data.bath > 3\" }"),
      HasSubstr(
          "s.toml:6:6: the formula `data.bath > 3`: there is no key data.bath; did you mean data.batch?"));
  EXPECT_THAT(fault_of("data.batch = { int = [8, 16] }", "constraints = [\"data.batch\"]\n"),
              HasSubstr("s.toml:3:1: the formula `data.batch`, character 1: it is the number 8"));
}

}  // namespace
}  // namespace trireme
