// Exchange in a thread of its own: the same bits as without, and failures that end all ranks.
#include <gmock/gmock.h>

#include <atomic>

#include "support/toy_text.h"
#include "train/allreduce.h"
#include "train/strategies.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

TEST(OverlapsExchange, takes_a_core_that_is_there) {
  Placement four_cores{.cores = 4};
  EXPECT_TRUE(overlaps_exchange("auto", 2, four_cores, 3));
  EXPECT_FALSE(overlaps_exchange("auto", 2, four_cores, 4));
  EXPECT_FALSE(overlaps_exchange("auto", 1, four_cores, 1));
  EXPECT_TRUE(overlaps_exchange("on", 2, four_cores, 4));
  EXPECT_FALSE(overlaps_exchange("on", 1, four_cores, 4));
  EXPECT_FALSE(overlaps_exchange("off", 2, four_cores, 1));
  Placement shared{.cores = 4, .core_sharers = 4};
  EXPECT_FALSE(overlaps_exchange("auto", 4, shared, 1));
}

// Notes the jobs in the order in which they ran; job 99 fails.
struct Notes : ExchangeWork {
  std::vector<size_t> jobs;
  std::thread::id thread;
  void exchange(size_t job) override {
    if (job == 99) throw CommError("job 99");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    thread = std::this_thread::get_id();
    jobs.push_back(job);
  }
};

TEST(Exchanger, runs_jobs_in_order_and_tells_their_time) {
  for (bool overlap : {false, true}) {
    Notes notes;
    Exchanger exchanger(overlap);
    EXPECT_EQ(exchanger.overlaps(), overlap);
    exchanger.reserve(2);
    exchanger.reserve(3);
    for (int round = 0; round < 20; ++round) {
      notes.jobs.clear();
      for (size_t job = 0; job < 5; ++job) exchanger.submit(notes, job);
      ExchangeSeconds seconds = exchanger.finish();
      EXPECT_THAT(notes.jobs, testing::ElementsAre(0, 1, 2, 3, 4));
      EXPECT_GE(seconds.exposed + seconds.hidden, 0.005);
      if (!overlap) {
        EXPECT_EQ(seconds.hidden, 0);
      }
      EXPECT_EQ(notes.thread == std::this_thread::get_id(), !overlap);
    }
  }
}

TEST(Exchanger, hides_what_ran_beside_the_computing) {
  Notes notes;
  Exchanger exchanger(true);
  exchanger.reserve(5);
  for (size_t job = 0; job < 5; ++job) exchanger.submit(notes, job);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // the computing
  ExchangeSeconds seconds = exchanger.finish();
  EXPECT_GE(seconds.exposed + seconds.hidden, 0.005);
  EXPECT_GT(seconds.hidden, seconds.exposed);
}

TEST(Exchanger, hands_failures_on_and_never_hangs) {
  Notes notes;
  {
    Exchanger exchanger(true);
    exchanger.reserve(3);
    exchanger.submit(notes, 1);
    exchanger.submit(notes, 99);
    expect_error(ExitCode::internal, {"job 99"}, [&] { exchanger.finish(); });
    expect_error(ExitCode::internal, {"job 99"}, [&] { exchanger.submit(notes, 2); });
    EXPECT_THAT(notes.jobs, testing::ElementsAre(1));
  }
  {
    Exchanger exchanger(true);
    exchanger.reserve(1);
    expect_error(ExitCode::internal, {"1 jobs"}, [&] {
      for (size_t job = 0; job < 3; ++job) exchanger.submit(notes, job);
    });
  }
  Exchanger unused(true);
}

class Overlap : public TrainingTest {
 protected:
  // On some numbers of ranks, with the thread and without: every loss and all parameters to the bit.
  void expect_same_bits(Config c, std::initializer_list<int> rank_counts) {
    for (int ranks : rank_counts) {
      std::vector<RunOutcome> outcomes;
      for (const char* mode : {"off", "on", "auto"}) {
        c.comm.overlap = mode;
        outcomes.push_back(run(c, ranks, "run" + std::to_string(ranks) + mode));
        EXPECT_EQ(outcomes.back().result.parameters_sha256, outcomes[0].result.parameters_sha256)
            << ranks << " ranks, " << mode;
        EXPECT_EQ(outcomes.back().losses(), outcomes[0].losses());
        EXPECT_EQ(outcomes.back().validations.back().loss, outcomes[0].validations.back().loss);
      }
      for (const TrainRecord& record : outcomes[0].steps) EXPECT_EQ(record.exchange_hidden_seconds, 0);
      EXPECT_EQ(outcomes[0].steps.back().exchange_seconds > 0, ranks > 1);
    }
  }
};

TEST_F(Overlap, classifier) {
  std::string keys = "train.epochs = 2\ncomm.bucket_bytes = 1024\ntrain.gradient_clip_norm = 0.5\n";
  expect_same_bits(config(keys + batch_norm_model, 61, 17), {1, 2, 3, 4});
}

TEST_F(Overlap, micro_batches_and_shares_of_nothing) {
  std::string keys = "train.epochs = 2\ncomm.bucket_bytes = 1024\ntrain.micro_batches = 3\n";
  expect_same_bits(config(keys, 33, 16), {2, 4});
}

TEST_F(Overlap, text_model) {
  write_toy_text(folder_ / "text.h5");
  Config c = config(
      "train.epochs = 1\ntrain.steps = 6\ncomm.bucket_bytes = 4096\ndata.sequence_length = 8\n[model]\n"
      "kind = \"gpt\"\nwidth = 16\nheads = 2\ndepth = 2\n",
      64, 8);
  c.data.train = c.data.validation = (folder_ / "text.h5").string();
  expect_same_bits(c, {2, 3});
}

TEST_F(Overlap, gan) {
  Config c = config(
      "train.epochs = 2\ndata.transform.normalize = false\noptimizer.kind = \"adam\"\n"
      "optimizer.learning_rate = 0.002\ncomm.bucket_bytes = 2048\n[model]\nkind = \"gan\"\nlatent = 5\n"
      "width = 4\n",
      24, 8);
  expect_same_bits(c, {2, 3, 4});
}

TEST_F(Overlap, the_split_is_in_the_metrics) {
  Config c = config("train.epochs = 1\ntrain.log_every_steps = 1\ncomm.overlap = \"on\"\n");
  run(c, 2, "run");
  std::istringstream lines(text_of("run/metrics.jsonl"));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  nlohmann::json record = nlohmann::json::parse(line);
  EXPECT_TRUE(record.contains("exchange_seconds"));
  EXPECT_TRUE(record.contains("exchange_hidden_seconds"));
  EXPECT_THAT(text_of("run/log.txt"), testing::HasSubstr("exchange in a thread"));
}

// One rank fails between steps; the threads of all others wait in a collective, or are about to.
TEST_F(Overlap, a_failing_rank_ends_all) {
  for (int culprit : {0, 2}) {
    Config c = config("train.epochs = 50\ncomm.overlap = \"on\"\ncomm.bucket_bytes = 1024\n");
    std::string name = "run" + std::to_string(culprit);
    expect_error(ExitCode::io, {"no more"}, [&] {
      run(c, 3, name, [&](TrainOptions& options, int rank) {
        if (rank != culprit) return;
        options.hooks.after_step = [](const TrainRecord& record) {
          if (record.step == 3) throw IoError("no more");
        };
      });
    });
  }
}

// The failing rank's thread is in a collective that the others come to; theirs go on to one that it never
// begins.
TEST(OverlapFaults, a_rank_that_fails_amid_the_backward_pass) {
  ArenaLayout layout;
  layout.parameters = {{"weight", {4096}, 0}};
  layout.parameter_elements = 4096;
  layout.statistics = {{"loss", {}, 4096}};
  layout.gradient_elements = 4112;
  std::atomic<int> lost{0};
  expect_error(ExitCode::io, {"gone"}, [&] {
    run_ranks(4, [&](Communicator& communicator) {
      Arenas arenas(layout);
      Exchanger exchanger(true);
      OptimizerConfig config;
      AllReduceStrategy strategy(
          arenas, communicator, exchanger,
          make_optimizer(config, update_spans(parameter_tensors(arenas.layout), config)),
          {.bucket_bytes = 4096});
      strategy.begin_step({});
      strategy.range_ready({0, communicator.rank() == 1 ? size_t{2048} : size_t{3072}});
      if (communicator.rank() == 1) throw IoError("gone");
      try {
        strategy.range_ready({3072, 4112});
        strategy.finish_exchange();
      } catch (const CommError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("all_reduce"));
        ++lost;
        throw;
      }
    });
  });
  EXPECT_EQ(lost, 3);
}

}  // namespace
}  // namespace trireme::test
