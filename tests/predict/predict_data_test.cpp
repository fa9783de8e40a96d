// Predictions for a whole data set: scores as in validation, the file's contract, ranks, faults.
#include <cmath>

#include "base/atomic_file.h"
#include "predict/predict_fixture.h"

namespace trireme {
namespace {

using namespace test;

class PredictData : public PredictTest {};

TEST_F(PredictData, ScoresAreThoseOfTheLastValidation) {
  for (const std::string extra : {"", "optimizer.ema_decay = 0.8\n"}) {
    Config toy = config("train.epochs = 3\n" + extra);
    std::string name = extra.empty() ? "plain" : "averaged";
    RunOutcome trained = run(toy, 1, name);
    PredictScores scores = predicted(toy, name);
    const ValidationRecord& last = *trained.result.validation;
    EXPECT_EQ(scores.samples, 37);
    EXPECT_EQ(scores.step, trained.result.steps);
    EXPECT_EQ(scores.accuracy, last.accuracy) << name;
    EXPECT_NEAR(scores.loss, last.loss, 1e-6) << name;
    EXPECT_FALSE(scores.perplexity);
    // The forward passes are a part of the whole.
    EXPECT_GE(scores.forward_samples_per_second, 37 / scores.seconds);
  }
}

TEST_F(PredictData, ClassesComeWithProbabilities) {
  Config toy = config("train.epochs = 3\n");
  run(toy, 1, "run");
  PredictScores scores = predicted(toy, "run");
  auto predictions = values("run.h5", "/predictions"), probabilities = values("run.h5", "/probabilities");
  ASSERT_EQ(predictions.size(), 37u);
  ASSERT_EQ(probabilities.size(), 37u * 4);
  auto labels = values("validation.h5", "/labels");
  double correct = 0, loss = 0;
  for (size_t i = 0; i < 37; ++i) {
    double sum = 0;
    size_t best = 0;
    for (size_t c = 0; c < 4; ++c) {
      sum += probabilities[4 * i + c];
      if (probabilities[4 * i + c] > probabilities[4 * i + best]) best = c;
    }
    EXPECT_NEAR(sum, 1, 1e-6);
    EXPECT_EQ(predictions[i], static_cast<float>(best));
    correct += predictions[i] == labels[i] ? 1 : 0;
    loss -= std::log(probabilities[4 * i + static_cast<size_t>(labels[i])]);
  }
  EXPECT_NEAR(correct / 37, *scores.accuracy, 1e-12);
  EXPECT_NEAR(loss / 37, scores.loss, 1e-5);
  h5::Handle file = h5::open_file(folder_ / "run.h5");
  EXPECT_EQ(h5::read_double_attribute(file, "accuracy")[0], *scores.accuracy);
  EXPECT_EQ(h5::read_int_attribute(file, "checkpoint_step"), scores.step);
  EXPECT_TRUE(h5::has_fletcher32(h5::open_dataset(file, "/predictions")));
}

TEST_F(PredictData, TheFileDoesNotDependOnTheNumberOfRanks) {
  Config toy = config("train.epochs = 2\n");
  run(toy, 1, "run");
  PredictScores one = predicted(toy, "run", 1);
  std::string bytes = read_file(folder_ / "run.h5");
  for (int ranks : {2, 3, 7}) {
    PredictScores several = predicted(toy, "run", ranks);
    EXPECT_EQ(read_file(folder_ / "run.h5"), bytes) << ranks << " ranks";
    EXPECT_EQ(several.loss, one.loss);
    EXPECT_EQ(several.accuracy, one.accuracy);
  }
}

TEST_F(PredictData, AnotherDataSetMayBeNamed) {
  Config toy = config("train.epochs = 1\n");
  run(toy, 1, "run");
  write_toy_images(folder_ / "other.h5", {.count = 21, .seed = 5});
  PredictScores scores = predicted(toy, "run", 1, folder_ / "other.h5");
  EXPECT_EQ(scores.samples, 21);
  EXPECT_EQ(scores.data, (folder_ / "other.h5").string());
  write_toy_images(folder_ / "large.h5", {.count = 21, .side = 9});
  expect_error(ExitCode::bad_data, {"large.h5"}, [&] { predicted(toy, "run", 1, folder_ / "large.h5"); });
  toy.data.validation = "";
  expect_error(ExitCode::usage, {"--data"}, [&] { predicted(toy, "run"); });
}

TEST_F(PredictData, RegressionGivesNumbers) {
  std::string table = "a,b,y,z\n";
  for (int i = 0; i < 200; ++i)
    table += fmt::format("{},{},{},{}\n", i % 10, i % 7, 2 * (i % 10) - i % 7, i % 7);
  write_file_atomically(folder_ / "table.csv", table);
  PrepareDatasetConfig prepare_config;
  prepare_config.kind = "csv";
  prepare_config.files = {folder_ / "table.csv"};
  prepare_config.target = {"y", "z"};
  prepare_config.output = folder_ / "table.h5";
  prepare(prepare_config);
  Config toy = parse_config(
      "", "test.toml",
      {"data.train=" + (folder_ / "table.h5").string(), "data.validation_fraction=0.2", "data.batch=16",
       "data.validation_batch=16", "train.threads=1", "train.epochs=3", "model.hidden=[8]"});
  RunOutcome trained = run(toy, 1, "run");
  PredictScores scores = predicted(toy, "run", 2);
  EXPECT_NEAR(scores.loss, trained.result.validation->loss, 1e-5 * scores.loss);
  EXPECT_FALSE(scores.accuracy);
  PredictScores all = predicted(toy, "run", 1, folder_ / "table.h5");
  auto predictions = values("run.h5", "/predictions"), targets = values("table.h5", "/targets");
  ASSERT_EQ(predictions.size(), targets.size());
  double squares = 0;
  for (size_t i = 0; i < targets.size(); ++i) squares += std::pow(predictions[i] - targets[i], 2);
  EXPECT_NEAR(squares / static_cast<double>(targets.size()), all.loss, 1e-4 * all.loss);
}

TEST_F(PredictData, TextGivesLossAndPerplexity) {
  Config toy = text_config();
  RunOutcome trained = run(toy, 1, "run");
  PredictScores scores = predicted(toy, "run", 1);
  EXPECT_NEAR(scores.loss, trained.result.validation->loss, 1e-6);
  EXPECT_NEAR(*scores.perplexity, std::exp(scores.loss), 1e-9);
  EXPECT_LT(*scores.perplexity, 10) << "it has learned something";
  auto loss = values("run.h5", "/loss"), perplexity = values("run.h5", "/perplexity");
  ASSERT_EQ(static_cast<int64_t>(loss.size()), scores.samples);
  double sum = 0;
  for (float one : loss) sum += one;
  EXPECT_NEAR(sum / static_cast<double>(loss.size()), scores.loss, 1e-4);
  EXPECT_NEAR(perplexity[0], std::exp(loss[0]), 1e-4);
}

TEST_F(PredictData, NothingTrainedIsSaidSo) {
  Config toy = config();
  expect_error(ExitCode::no_input, {"nowhere"}, [&] { predicted(toy, "nowhere"); });
  std::filesystem::create_directories(folder_ / "empty/checkpoints");
  expect_error(ExitCode::no_input, {"empty", "train first"}, [&] { predicted(toy, "empty"); });
  EXPECT_FALSE(has("empty.h5"));
}

TEST_F(PredictData, BadCheckpointsAreNamed) {
  Config toy = config("train.epochs = 1\n");
  run(toy, 1, "run");
  Config wider = config("train.epochs = 1\nmodel.hidden = [17]\n");
  wider.model.hidden = {17};
  expect_error(ExitCode::bad_data, {"run", "16"}, [&] { predicted(wider, "run"); });
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "run/checkpoints")) {
    if (entry.path().extension() != ".h5") continue;
    std::string bytes = read_file(entry.path());
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    write_file_atomically(entry.path(), bytes);
  }
  expect_error(ExitCode::bad_data, {"checkpoints"}, [&] { predicted(toy, "run"); });
  EXPECT_FALSE(has("run.h5"));
}

}  // namespace
}  // namespace trireme
