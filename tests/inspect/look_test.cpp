// ls, show, verify and diff: what they say of good checkpoints and of bad ones.
#include <cmath>
#include <limits>

#include "checkpoint/manifest.h"
#include "inspect/difference.h"
#include "inspect/list.h"
#include "inspect/run_fixture.h"
#include "inspect/show.h"
#include "inspect/table.h"
#include "inspect/tensors.h"
#include "inspect/verify.h"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

using Look = RunTest;

TEST_F(Look, ListTellsGoodDamagedAndUnfinishedApart) {
  save("run", 10, 1, 0.75);
  fs::path damaged = save("run", 20);
  fs::path torn = save("run", 30);
  flip_a_bit(state_file(damaged));
  put_bytes(torn / Manifest::file_name, "{");
  fs::create_directories(folder_ / "run/checkpoints/step-0000000040");
  put_bytes(folder_ / "run/checkpoints/step-0000000040/state-0009-0.h5", "half of it");
  std::vector<ListedCheckpoint> rows = list_with_states(where("run"));
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].step, 40);
  EXPECT_EQ(rows[0].state, CheckpointState::unfinished);
  EXPECT_EQ(rows[0].bytes, 10u);
  EXPECT_EQ(rows[1].state, CheckpointState::damaged);
  EXPECT_THAT(rows[1].fault, HasSubstr("manifest.json"));
  EXPECT_FALSE(rows[1].epoch);
  EXPECT_EQ(rows[2].state, CheckpointState::damaged);
  EXPECT_THAT(rows[2].fault, HasSubstr(state_file(damaged).filename().string()));
  EXPECT_EQ(rows[2].epoch, 2) << "the manifest is good and tells it";
  EXPECT_EQ(rows[3].step, 10);
  EXPECT_EQ(rows[3].state, CheckpointState::good) << rows[3].fault;
  EXPECT_EQ(rows[3].ranks, 2);
  EXPECT_EQ(rows[3].epoch, 1);
  EXPECT_EQ(rows[3].start, 1);
  EXPECT_GT(rows[3].written, 0);
  ASSERT_TRUE(rows[3].validation);
  EXPECT_EQ(rows[3].validation->accuracy, 0.75);

  Report report = list_report(where("run"));
  EXPECT_THAT(report.text, testing::AllOf(HasSubstr("loss 0.2500, accuracy 0.7500"), HasSubstr("good"),
                                          HasSubstr("damaged: "), HasSubstr("unfinished")));
  EXPECT_EQ(report.json["checkpoints"].size(), 4u);
  EXPECT_EQ(report.json["checkpoints"][3]["state"], "good");
  EXPECT_EQ(report.json["checkpoints"][3]["validation"]["accuracy"], 0.75);
  EXPECT_FALSE(report.bad) << "ls lists; verify judges";
}

TEST_F(Look, VerifyNamesEveryBadFile) {
  save("run", 10);
  fs::path second = save("run", 20);
  Report report = verify_report(where("run"));
  EXPECT_FALSE(report.bad) << report.text;
  EXPECT_THAT(report.text, HasSubstr("2 checkpoints verified, 0 bad"));

  fs::path state = state_file(second);
  flip_a_bit(state);
  report = verify_report(where("run"));
  EXPECT_TRUE(report.bad);
  EXPECT_THAT(report.text, HasSubstr("2 checkpoints verified, 1 bad"));
  EXPECT_EQ(report.json["checkpoints"][0]["good"], false);
  EXPECT_EQ(report.json["checkpoints"][1]["good"], true);
  EXPECT_FALSE(verify_report(where("run:10")).bad);

  VerifiedCheckpoint found = verify_checkpoint(second);
  ASSERT_EQ(found.files.size(), 2u);
  EXPECT_EQ(found.files[0].fault, "");
  EXPECT_THAT(found.files[1].fault, HasSubstr("another hash"));
  fs::resize_file(state, fs::file_size(state) - 1);
  EXPECT_THAT(verify_checkpoint(second).files[1].fault, HasSubstr("bytes"));
  fs::remove(state);
  EXPECT_EQ(verify_checkpoint(second).files[1].fault, "is missing");
  fs::create_directories(state);
  EXPECT_FALSE(verify_checkpoint(second).good());
  EXPECT_EQ(list_with_states(where("run"))[0].state, CheckpointState::damaged);
  put_bytes(second / Manifest::file_name, "");
  EXPECT_THAT(verify_checkpoint(second).files[0].fault, HasSubstr("manifest.json"));
  fs::remove(second / Manifest::file_name);
  EXPECT_THAT(verify_checkpoint(second).files[0].fault, HasSubstr("never finished"));
  fs::remove_all(folder_ / "run/checkpoints/step-0000000010");
  expect_error(ExitCode::no_input, {"holds no checkpoint"}, [&] { verify_report(where("run")); });
}

TEST_F(Look, VerifyFindsAFolderOfAnotherName) {
  fs::path first = save("run", 10);
  fs::path renamed = folder_ / "run/checkpoints/step-0000000011";
  fs::rename(first, renamed);
  VerifiedCheckpoint found = verify_checkpoint(renamed);
  EXPECT_FALSE(found.good());
  EXPECT_THAT(found.fault, HasSubstr("11"));
}

TEST_F(Look, ShowTellsAllOfIt) {
  OwnedContent owned = content(10, 2, 0.5);
  owned.memory[0] = {3, std::nanf("")};
  owned.content.parameters[0].values = owned.memory[0];
  owned.content.run.numbers["loss_scale"] = 1024;
  save("run", owned);
  Report report = show_report(open("run"));
  const auto& json = report.json;
  EXPECT_EQ(json["step"], 10);
  EXPECT_EQ(json["seed"], 5);
  EXPECT_EQ(json["ranks"], 2);
  EXPECT_EQ(json["samples"], 640);
  EXPECT_EQ(json["train_seconds"], 12.25);
  EXPECT_EQ(json["dataset_identity"], "0123abcd");
  EXPECT_EQ(json["numbers"]["loss_scale"], 1024);
  EXPECT_EQ(json["validation"]["loss"], 0.5);
  EXPECT_EQ(json["parameters"], 8);
  EXPECT_EQ(json["non_finite"], 1);
  EXPECT_THAT(json["config"].get<std::string>(), HasSubstr("keep = 2"));
  ASSERT_EQ(json["tensors"].size(), 5u);
  EXPECT_EQ(json["tensors"][0]["name"], "parameters/conv1.bias");
  EXPECT_EQ(json["tensors"][0]["norm"], 3);
  EXPECT_EQ(json["tensors"][0]["non_finite"], 1);
  EXPECT_EQ(json["tensors"][1]["shape"], (std::vector<int>{2, 3}));
  EXPECT_DOUBLE_EQ(json["tensors"][1]["norm"].get<double>(), std::sqrt(6 * 16.0));
  EXPECT_EQ(json["tensors"][4]["name"], "state/norm1.running_mean");
  EXPECT_EQ(json["tensors"][4]["min"], 20);
  EXPECT_THAT(report.text,
              testing::AllOf(HasSubstr("optimizer/momentum/conv1.weight"), HasSubstr("[2, 3]"),
                             HasSubstr("keep = 2"), HasSubstr("8 parameters, 1 value"), HasSubstr("12.2 s")));
}

TEST(Tensors, FiguresLeaveOutWhatIsNotFinite) {
  std::vector<float> values{3, -4, HUGE_VALF, std::nanf("")};
  TensorFigures figures = figures_of({"t", {4}, values});
  EXPECT_EQ(figures.norm, 5);
  EXPECT_EQ(figures.min, -4);
  EXPECT_EQ(figures.max, 3);
  EXPECT_EQ(figures.non_finite, 2);
  EXPECT_TRUE(std::isnan(figures_of({"t", {0}, {}}).norm));
}

TEST(Tensors, DistanceIsOfValuesAndEqualityOfBits) {
  auto distance = [](std::vector<float> a, std::vector<float> b) {
    auto count = static_cast<int64_t>(a.size());
    return distance_of({"a", {count}, a}, {"b", {count}, b});
  };
  TensorDistance one = distance({3, 4}, {3, 4.5});
  EXPECT_FALSE(one.equal);
  EXPECT_EQ(one.max_abs, 0.5);
  EXPECT_DOUBLE_EQ(one.relative, 0.1);
  float nan = std::nanf("");
  EXPECT_TRUE(distance({nan, 1}, {nan, 1}).equal);
  EXPECT_EQ(distance({nan, 1}, {nan, 1}).max_abs, 0);
  EXPECT_EQ(distance({nan}, {1}).max_abs, std::numeric_limits<double>::infinity());
  EXPECT_FALSE(distance({0.f}, {-0.f}).equal);
  EXPECT_EQ(distance({0.f}, {-0.f}).relative, 0);
  EXPECT_EQ(distance({0.f}, {1.f}).relative, std::numeric_limits<double>::infinity());
}

TEST_F(Look, DiffTellsConfigAndTensors) {
  save("a", 10, 1);
  OwnedContent other = content(20, 1);
  other.content.run.config = "[run]\nname = \"toy\"\nseed = 7\n\n[checkpoint]\nkeep = 3\n";
  other.add(other.content.parameters, "extra", {1}, {1});
  other.memory[1][0] += 0.5f;  // of conv1.weight, where 2 stands
  other.content.states[0].shape = {1, 1};
  save("b", other);
  CheckpointDifference found = difference_of(open("a").content(), open("b").content());
  ASSERT_EQ(found.config.size(), 2u);
  EXPECT_EQ(found.config[0].key, "checkpoint.keep");
  EXPECT_EQ(found.config[0].was, "2");
  EXPECT_EQ(found.config[0].is, "3");
  EXPECT_EQ(found.config[1].key, "run.seed");
  EXPECT_FALSE(found.config[1].was);
  EXPECT_EQ(found.only_second, std::vector<std::string>{"parameters/extra"});
  EXPECT_TRUE(found.only_first.empty());
  ASSERT_EQ(found.tensors.size(), 5u);
  EXPECT_TRUE(found.tensors[0].distance->equal);
  EXPECT_EQ(found.tensors[1].path, "parameters/conv1.weight");
  EXPECT_EQ(found.tensors[1].distance->max_abs, 0.5);
  EXPECT_FALSE(found.tensors[4].distance) << "of different shapes";

  Report report = difference_report(open("a"), open("b"));
  EXPECT_EQ(report.json["equal"], false);
  EXPECT_THAT(report.text, testing::AllOf(HasSubstr("checkpoint.keep"), HasSubstr("only in the second"),
                                          HasSubstr("equal bits"), HasSubstr("is of shape [1, 1]")));
  EXPECT_EQ(difference_report(open("a"), open("a")).json["equal"], true);
  EXPECT_THAT(difference_report(open("a"), open("a")).text, HasSubstr("config: no difference"));
}

TEST(Table, ColumnsLineUp) {
  TextTable table({">step", "name"});
  EXPECT_TRUE(table.empty());
  table.add({"5", "übung"});
  table.add({"12345", "x"});
  EXPECT_EQ(table.text(1), "  step  name\n     5  übung\n 12345  x\n");
  EXPECT_EQ(columns_of("übung"), 5u);
}

}  // namespace
}  // namespace trireme::test
