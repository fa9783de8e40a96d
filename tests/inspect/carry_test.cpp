// export and import: a trained net leaves, comes back, and learns on.
#include "inspect/export_checkpoint.h"
#include "inspect/import_checkpoint.h"
#include "inspect/run_fixture.h"
#include "train/training_fixture.h"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

using Export = RunTest;

const FileTensor* find(const TensorFile& file, const std::string& name) {
  for (const FileTensor& tensor : file.tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

TEST_F(Export, WritesWhatIsAskedFor) {
  OwnedContent owned = content(938, 1);
  owned.content.slots.push_back({"average", {}});
  owned.add(owned.content.slots[1].tensors, "conv1.bias", {2}, {100, 200});
  save("run", owned);
  Checkpoint checkpoint = open("run");
  for (const char* name : {"plain.safetensors", "plain.npz"}) {
    fs::path file = folder_ / name;
    export_checkpoint(checkpoint, file, {});
    TensorFile read = read_tensor_file(file);
    EXPECT_EQ(read.tensors.size(), 3u);
    ASSERT_NE(find(read, "conv1.bias"), nullptr);
    EXPECT_EQ(float_values(*find(read, "conv1.bias"), file), (std::vector<float>{1, -1}));
    EXPECT_EQ(float_values(*find(read, "norm1.running_mean"), file), (std::vector<float>{10}));
    EXPECT_EQ(read.metadata["step"], "938");
    EXPECT_EQ(read.metadata["version"], "0.1.0");
    EXPECT_EQ(read.metadata["averaged"], "false");

    export_checkpoint(checkpoint, file, {.optimizer = true, .average = true});
    read = read_tensor_file(file);
    EXPECT_EQ(read.tensors.size(), 6u);
    EXPECT_EQ(float_values(*find(read, "conv1.bias"), file), (std::vector<float>{100, 200}));
    EXPECT_EQ(float_values(*find(read, "conv1.weight"), file), std::vector<float>(6, 2))
        << "it has no average";
    EXPECT_EQ(float_values(*find(read, "optimizer/momentum/conv1.bias"), file), (std::vector<float>{7, 8}));
    EXPECT_EQ(read.metadata["averaged"], "true");
  }
}

TEST_F(Export, RefusesWhatCannotBe) {
  save("run", 10);
  expect_error(ExitCode::usage, {".npz"}, [&] { export_checkpoint(open("run"), folder_ / "x.pt", {}); });
  expect_error(ExitCode::usage, {"ema_decay"},
               [&] { export_checkpoint(open("run"), folder_ / "x.npz", {.average = true}); });
  OwnedContent twice = content(20);
  twice.content.states[0].name = "conv1.bias";
  save("run", twice);
  expect_error(ExitCode::bad_data, {"two tensors named conv1.bias"},
               [&] { export_checkpoint(open("run"), folder_ / "x.npz", {}); });
  EXPECT_FALSE(fs::exists(folder_ / "x.npz"));
}

class Import : public TrainingTest {
 protected:
  Checkpoint newest(const std::string& run) const {
    return open_where(find_where((folder_ / run).string()), {});
  }
  fs::path exported(const std::string& run, const std::string& file,
                    const ExportOptions& options = {}) const {
    export_checkpoint(newest(run), folder_ / file, options);
    return folder_ / file;
  }
  Report import(const fs::path& file, const Config& config, const std::string& run, int64_t step = 0) const {
    return import_checkpoint(file, config, folder_ / run, step);
  }
  static void expect_same_tensors(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].name, b[i].name);
      EXPECT_EQ(a[i].shape, b[i].shape);
      ASSERT_EQ(a[i].values.size(), b[i].values.size());
      EXPECT_EQ(std::memcmp(a[i].values.data(), b[i].values.data(), a[i].values.size_bytes()), 0)
          << a[i].name;
    }
  }
};

TEST_F(Import, ComesBackToTheBitAndLearnsOn) {
  Config net = config("optimizer.kind = adam\ntrain.epochs = 3\noptimizer.ema_decay = 0.9\n" +
                      std::string(batch_norm_model));
  RunOutcome first = run(net, 1, "first");
  for (const char* name : {"x.safetensors", "x.npz"}) {
    std::string again = std::string("again-") + name;
    Report report = import(exported("first", name, {.optimizer = true}), net, again);
    EXPECT_GT(report.json["left_out"], 0);
    Checkpoint was = newest("first"), is = newest(again);
    EXPECT_EQ(is.run().step, 0);
    EXPECT_EQ(is.run().config, was.run().config);
    EXPECT_EQ(is.run().dataset_identity, was.run().dataset_identity);
    EXPECT_TRUE(is.content().slots.empty());
    ASSERT_FALSE(is.content().states.empty());
    expect_same_tensors(was.content().parameters, is.content().parameters);
    expect_same_tensors(was.content().states, is.content().states);
  }
  RunOutcome second = run(net, 1, "again-x.npz");
  EXPECT_EQ(second.steps.size(), first.steps.size()) << "it begins at step 0";
  EXPECT_LT(second.losses().front(), first.losses().front() / 2) << "it does not begin with what was learned";
}

TEST_F(Import, AStepInTheMiddleGoesOnFromThere) {
  for (const char* optimizer : {"sgd", "adam"}) {
    SCOPED_TRACE(optimizer);
    std::string folder = optimizer;
    Config net = config("train.epochs = 3\noptimizer.ema_decay = 0.9\noptimizer.kind = " + folder + "\n");
    RunOutcome first = run(net, 1, folder);
    import(exported(folder, folder + ".npz"), net, folder + "-on", 6);
    EXPECT_EQ(newest(folder + "-on").run().samples, 6 * 16);
    EXPECT_EQ(newest(folder + "-on").run().epoch, 1);
    RunOutcome second = run(net, 1, folder + "-on");
    ASSERT_EQ(second.steps.size(), first.steps.size() - 6);
    EXPECT_EQ(second.steps.front().step, 7);
  }
}

TEST_F(Import, BothNetsOfAGanComeBack) {
  Config gan = config(
      "train.epochs = 1\ndata.transform.normalize = false\noptimizer.learning_rate = 0.002\n"
      "[model]\nkind = \"gan\"\nlatent = 5\nwidth = 4\n");
  run(gan, 1, "gan");
  import(exported("gan", "gan.safetensors"), gan, "again");
  expect_same_tensors(newest("gan").content().parameters, newest("again").content().parameters);
  expect_same_tensors(newest("gan").content().states, newest("again").content().states);
}

TEST_F(Import, NamesAllThatDoesNotFit) {
  Config net = config("train.epochs = 1\n");
  run(net, 1, "first");
  TensorFile file = read_tensor_file(exported("first", "good.npz"));
  ASSERT_EQ(file.tensors.size(), 4u);
  TensorSamples changed;
  changed.add<float>("stranger", {2}, {1, 2});
  std::string missing = file.tensors[0].name, misshapen = file.tensors[1].name;
  changed.add<float>(misshapen, {1, 1, 1}, {3});
  for (size_t i = 2; i < 4; ++i) {
    const FileTensor& tensor = file.tensors[i];
    changed.add<float>(tensor.name, tensor.shape, float_values(tensor, "good.npz"));
  }
  write_tensor_file(folder_ / "bad.npz", changed.views, {});
  expect_error(ExitCode::bad_data,
               {missing + " [", "is missing", misshapen + " has shape [1, 1, 1]", "stranger [2] is none"},
               [&] { import(folder_ / "bad.npz", net, "bad"); });
  EXPECT_FALSE(has("bad")) << "something was made all the same";
  expect_error(ExitCode::usage, {"first", "already"}, [&] { import(folder_ / "good.npz", net, "first"); });
  expect_error(ExitCode::no_input, {"none.npz"}, [&] { import(folder_ / "none.npz", net, "bad"); });
}

TEST_F(Import, OtherTypesAreConverted) {
  Config net = config("train.epochs = 1\n");
  run(net, 1, "first");
  fs::path good = exported("first", "good.npz");
  TensorSamples halves, doubles;
  for (const FileTensor& tensor : read_tensor_file(good).tensors) {
    std::vector<float> values = float_values(tensor, good);
    halves.add<BFloat16>(tensor.name, tensor.shape, {values.begin(), values.end()});
    doubles.add<double>(tensor.name, tensor.shape, {values.begin(), values.end()});
  }
  write_tensor_file(folder_ / "half.safetensors", halves.views, {});
  write_tensor_file(folder_ / "double.npz", doubles.views, {});
  EXPECT_EQ(import(folder_ / "double.npz", net, "double").json["converted"], 4);
  expect_same_tensors(newest("first").content().parameters, newest("double").content().parameters);
  import(folder_ / "half.safetensors", net, "half");
  Checkpoint was = newest("first"), is = newest("half");
  for (size_t i = 0; i < 4; ++i) {
    const NamedTensor &a = was.content().parameters[i], &b = is.content().parameters[i];
    for (size_t k = 0; k < a.values.size(); ++k) {
      EXPECT_EQ(b.values[k], static_cast<float>(BFloat16(a.values[k])));
    }
  }
}

}  // namespace
}  // namespace trireme::test
