// What is saved comes back bit for bit, and what does not fit is refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hash.h"
#include "base/hdf5.h"
#include "checkpoint/manifest.h"
#include "checkpoint/sample.h"
#include "checkpoint/writer.h"

namespace trireme {
namespace {

using test::Folder;
using test::Sample;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "no CheckpointError";
}

TEST(RoundTrip, BitForBit) {
  Folder folder;
  Sample sample(938);
  auto directory = save_checkpoint(folder.path() / "checkpoints", sample.content, {3});
  EXPECT_EQ(directory, folder.path() / "checkpoints" / "step-0000000938");
  EXPECT_THAT(test::listing(directory), ElementsAre("manifest.json", StartsWith("state-")));

  Checkpoint checkpoint(directory);
  test::expect_equal(checkpoint, sample);
  EXPECT_THAT(checkpoint.slots(), ElementsAre("momentum", "second_moment"));
  const CheckpointRun& run = checkpoint.run();
  EXPECT_EQ(run.epoch, 93);
  EXPECT_EQ(run.samples, 938 * 64);
  EXPECT_EQ(run.seed, 0xfedcba9876543210ull);
  EXPECT_EQ(run.world_size, 2);
  EXPECT_EQ(run.config, sample.content.run.config);
  EXPECT_EQ(run.version, "0.1.0");
  EXPECT_EQ(run.dataset_identity, "0123abcd");
  EXPECT_EQ(run.train_seconds, 12.25);
  ASSERT_TRUE(run.validation);
  EXPECT_EQ(run.validation->step, 938);
  EXPECT_EQ(run.validation->epoch, 93);
  EXPECT_EQ(run.validation->loss, 0.1);
  EXPECT_EQ(run.validation->accuracy, 0.925);
  EXPECT_FALSE(run.validation->perplexity);
  EXPECT_TRUE(run.numbers.empty());
}

TEST(RoundTrip, FiguresAndNumbersThatNotEveryRunHas) {
  Folder folder;
  Sample sample(5);
  CheckpointRun& run = sample.content.run;
  run.validation = CheckpointValidation{
      .step = 5, .epoch = 1, .loss = 2, .perplexity = 7.25, .generator_loss = 1, .discriminator_loss = 0.5};
  run.numbers = {{"learning_rate_factor", 0.125}, {"loss_scale", 65536}};
  Checkpoint checkpoint(save_checkpoint(folder.path(), sample.content, {3}));
  EXPECT_FALSE(checkpoint.run().validation->accuracy);
  EXPECT_EQ(checkpoint.run().validation->perplexity, 7.25);
  EXPECT_EQ(checkpoint.run().validation->generator_loss, 1.0);
  EXPECT_EQ(checkpoint.run().validation->discriminator_loss, 0.5);
  EXPECT_EQ(checkpoint.run().numbers, run.numbers);
}

TEST(RoundTrip, TheContractOfTheFiles) {
  Folder folder;
  Sample sample(7);
  auto directory = save_checkpoint(folder.path(), sample.content, {3});
  h5::Handle file = h5::open_file(test::state_file(directory));
  EXPECT_EQ(h5::shape_of(h5::open_dataset(file, "/parameters/conv1.weight")), (Shape{3, 3, 1, 8}));
  EXPECT_EQ(h5::shape_of(h5::open_dataset(file, "/optimizer/momentum/conv1.bias")), (Shape{8}));
  EXPECT_EQ(h5::dtype_of(h5::open_dataset(file, "/state/scale")), DType::float32);

  auto manifest = nlohmann::json::parse(test::text_of(directory / "manifest.json"));
  std::string state = test::text_of(test::state_file(directory));
  EXPECT_EQ(manifest.at("version"), 2);
  EXPECT_EQ(manifest.at("step"), 7);
  EXPECT_EQ(manifest.at("files").at(0).at("name"), test::state_file(directory).filename().string());
  EXPECT_EQ(manifest.at("files").at(0).at("bytes"), state.size());
  EXPECT_EQ(manifest.at("files").at(0).at("xxh3_128"), xxh3_hex(std::as_bytes(std::span(state))));
}

TEST(RoundTrip, LittleAndMuch) {
  Folder folder;
  Sample nothing(1, std::vector<std::pair<std::string, Shape>>{});
  nothing.content.run.config = "";
  nothing.content.run.dataset_identity = "";
  nothing.content.run.validation.reset();
  Checkpoint empty(save_checkpoint(folder.path(), nothing.content, {0}));
  EXPECT_EQ(empty.run().config, "");
  EXPECT_FALSE(empty.run().validation);

  Sample much(2, 200000);
  much.content.run.config = std::string(200000, 'x') + "\n# end";
  Checkpoint large(save_checkpoint(folder.path(), much.content, {0}));
  test::expect_equal(large, much);
  EXPECT_EQ(large.run().config, much.content.run.config);
}

TEST(RoundTrip, WhatDoesNotFitIsRefusedByName) {
  Folder folder;
  Sample sample(5);
  Checkpoint checkpoint(save_checkpoint(folder.path(), sample.content, {1}));
  std::vector<float> eight(8, -1.0f);
  std::vector<float> nine(9, -1.0f);

  std::string missing = message_of([&] {
    checkpoint.load_parameters(
        std::vector<MutableTensor>{{"conv1.bias", {8}, eight}, {"conv2.bias", {9}, nine}});
  });
  EXPECT_THAT(missing, HasSubstr("/parameters/conv2.bias"));
  EXPECT_THAT(missing, HasSubstr("--fresh"));
  EXPECT_THAT(missing, HasSubstr("step-0000000005"));
  EXPECT_THAT(eight, testing::Each(-1.0f)) << "nothing may be filled when anything is wrong";

  std::string shape = message_of([&] {
    checkpoint.load_parameters(std::vector<MutableTensor>{{"conv1.bias", {9}, nine}});
  });
  EXPECT_THAT(shape, HasSubstr("/parameters/conv1.bias has shape [8], the run needs [9]"));
  EXPECT_THAT(message_of([&] {
                checkpoint.load_parameters(std::vector<MutableTensor>{{"conv1.bias", {2, 4}, eight}});
              }),
              HasSubstr("[2, 4]"));
  EXPECT_THAT(message_of([&] {
                checkpoint.load_slot("first_moment", std::vector<MutableTensor>{{"conv1.bias", {8}, eight}});
              }),
              HasSubstr("/optimizer/first_moment/conv1.bias"));
  EXPECT_THAT(message_of([&] {
                checkpoint.load_states(std::vector<MutableTensor>{{"block", {8}, eight}});
              }),
              HasSubstr("block"));
  EXPECT_THAT(message_of([&] {
                checkpoint.load_states(std::vector<MutableTensor>{{"conv1.bias", {9}, eight}});
              }),
              HasSubstr("does not fit"));
}

TEST(RoundTrip, BadContentIsRefusedBeforeAnythingIsWritten) {
  Folder folder;
  std::vector<float> values(3);
  auto save = [&](CheckpointContent content) {
    return message_of([&] { save_checkpoint(folder.path() / "c", content, {1}); });
  };
  CheckpointContent wrong;
  wrong.parameters = {{"a", {4}, values}};
  EXPECT_THAT(save(wrong), HasSubstr("shape [4] does not fit its 3 values"));
  wrong.parameters = {{"a", {3}, values}, {"a", {3}, values}};
  EXPECT_THAT(save(wrong), HasSubstr("two tensors"));
  wrong.parameters = {{"", {3}, values}};
  EXPECT_THAT(save(wrong), HasSubstr("no name"));
  wrong.parameters.clear();
  wrong.slots = {{"m", {}}, {"m", {}}};
  EXPECT_THAT(save(wrong), HasSubstr("slot 'm'"));
  EXPECT_THAT(test::listing(folder.path() / "c"), ElementsAre());
}

TEST(Manifest, FolderNames) {
  EXPECT_EQ(step_folder_name(938), "step-0000000938");
  EXPECT_EQ(step_of_folder_name("step-0000000938"), 938);
  EXPECT_EQ(step_of_folder_name(step_folder_name(12345678901)), 12345678901);
  for (const char* other : {"", "step-", "step-938", "step-0000000938x", "step--000000938", "stop-0000000938",
                            "step-00000000000938"}) {
    EXPECT_EQ(step_of_folder_name(other), -1) << other;
  }
}

}  // namespace
}  // namespace trireme
