// With staleness 0 servers do what all-reduce does, whoever computes what and whenever it comes.
#include "train/parameter_server/served_job.h"

namespace trireme::test {
namespace {

class Synchronous : public ServedJobTest {
 protected:
  void expect_equal(Keys keys, double tolerance) {
    train_alone("alone", keys);
    keys.push_back("parallel.parameter_server.mode=ssp");
    keys.push_back("parallel.parameter_server.staleness=0");
    // Who computes a piece a second time may do it with newer parameters: it changes nothing but the loss
    // told.
    keys.push_back("parallel.parameter_server.backup_pieces=false");
    train_served(4, "served", keys);
    expect_same_state("served", "alone", tolerance);
    EXPECT_NEAR(summary("served")["validation"]["loss"], summary("alone")["validation"]["loss"],
                tolerance * 10);
    std::vector<double> own = losses("served"), reference = losses("alone");
    ASSERT_EQ(own.size(), reference.size());
    for (size_t i = 0; i < own.size(); ++i)
      EXPECT_NEAR(own[i], reference[i], tolerance * 10) << "step " << i + 1;
    expect_all_samples("served", 3);
  }
};

constexpr const char* batch_norm_cnn = R"([model]
kind = "layers"
[[model.layer]]
kind = "convolution"
channels = 4
kernel = 3
padding = 1
[[model.layer]]
kind = "batch_norm"
[[model.layer]]
kind = "relu"
[[model.layer]]
kind = "max_pool"
kernel = 2
[[model.layer]]
kind = "linear"
units = 4
)";

TEST_F(Synchronous, momentum_equals_allreduce) { expect_equal({"optimizer.momentum=0.9"}, 2e-5); }

TEST_F(Synchronous, adam_on_two_servers_equals_allreduce) {
  expect_equal({"optimizer.kind=adam", "optimizer.learning_rate=0.01", "parallel.parameter_server.servers=2"},
               2e-4);
}

// Batch norm takes a piece's statistics: equal where one piece is the whole batch.
TEST_F(Synchronous, batch_norm_of_whole_batches_equals_allreduce) {
  write_config(batch_norm_cnn);
  expect_equal({"parallel.parameter_server.pieces=1"}, 1e-5);
}

TEST_F(Synchronous, has_the_same_bits_whoever_computes) {
  Keys keys{"optimizer.momentum=0.9", "parallel.parameter_server.staleness=0",
            "parallel.parameter_server.pieces=3"};
  train_served(4, "three", keys);
  train_served(4, "again", keys);
  train_served(2, "one", keys);
  std::string hash = summary("three")["parameters_sha256"];
  EXPECT_EQ(hash, summary("again")["parameters_sha256"]);
  EXPECT_EQ(hash, summary("one")["parameters_sha256"]);
}

// A run may change its mode at each submission.
TEST_F(Synchronous, may_be_taken_over_by_allreduce_and_back) {
  Keys keys{"optimizer.momentum=0.9", "parallel.parameter_server.staleness=0"};
  auto until = [&](int epochs) {
    Keys all = keys;
    all.push_back(fmt::format("train.epochs={}", epochs));
    return all;
  };
  train_alone("alone", until(3));
  train_served(3, "mixed", until(1));
  train_alone("mixed", until(2));
  EXPECT_EQ(summary("mixed")["steps"], 8);
  train_served(3, "mixed", until(3));
  expect_same_state("mixed", "alone", 2e-5);
  expect_all_samples("mixed", 3);
}

}  // namespace
}  // namespace trireme::test
