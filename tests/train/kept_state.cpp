// Runs that a judge pauses or drops, and states that are kept in memory: going on from there has the bits of
// an uninterrupted run.
#include "train/kept_state.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "train/training_fixture.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;

struct Case {
  int ranks;
  bool sharded;
  const char* extra;
};

std::vector<std::string> validation_lines(const std::string& metrics) {
  std::vector<std::string> found;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("\"validation\"") != std::string::npos) found.push_back(line);
  }
  return found;
}

class KeptRuns : public TrainingTest, public testing::WithParamInterface<Case> {
 protected:
  Config ten_epochs() {
    Case tested = GetParam();
    std::string extra =
        "train.epochs = 10\noptimizer.kind = \"adamw\"\noptimizer.learning_rate = 0.01\ncomm.bucket_bytes = "
        "1024\n";
    if (tested.sharded) extra += "parallel.allreduce.shard_optimizer = true\n";
    return config(extra + tested.extra, 45, 10);
  }
};

INSTANTIATE_TEST_SUITE_P(
    All, KeptRuns,
    testing::Values(
        Case{1, false, ""}, Case{2, false, ""}, Case{2, true, ""}, Case{4, true, ""},
        Case{1, false, "optimizer.ema_decay = 0.9\ntrain.precision = \"float16\"\n"},
        Case{2, true, "optimizer.ema_decay = 0.9\n"},
        Case{2, false, "data.transform.normalize = false\n[model]\nkind = \"gan\"\nlatent = 5\nwidth = 4\n"},
        Case{1, false, "[model]\nkind = \"resnet\"\nwidth = 4\ndepth = 18\n"}));

// Pauses after each of these epochs.
std::function<Go(const ValidationRecord&)> pause_at(std::vector<int64_t> epochs) {
  return [epochs](const ValidationRecord& record) {
    return std::count(epochs.begin(), epochs.end(), record.epoch) > 0 ? Go::pause : Go::on;
  };
}

// What a run says of each step and validation, over all its parts.
struct Told {
  std::vector<double> losses, validations;
  void add(const RunOutcome& part) {
    for (double loss : part.losses()) losses.push_back(loss);
    for (const ValidationRecord& record : part.validations) validations.push_back(record.loss);
  }
  bool operator==(const Told&) const = default;
};

TEST_P(KeptRuns, GoOnFromMemoryOrFromACheckpointWithTheSameBits) {
  Config c = ten_epochs();
  int ranks = GetParam().ranks;
  RunOutcome whole = run(c, ranks, "whole");
  Told all;
  all.add(whole);
  ASSERT_EQ(whole.result.judged, Go::on);
  for (bool saves : {true, false}) {
    KeptState state;
    std::string name = saves ? "saved" : "unsaved";
    Told parts;
    RunOutcome part;
    for (int64_t epoch : {3, 4, 8, 10}) {
      part = run(c, ranks, name, [&](TrainOptions& options, int rank) {
        options.saves = saves;
        options.judge = pause_at({3, 4, 8});
        if (rank == 0) options.begin_from = options.keep_in = &state;
      });
      parts.add(part);
      EXPECT_EQ(part.result.state, epoch == 10 ? Outcome::finished : Outcome::stopped);
      EXPECT_EQ(part.result.judged, epoch == 10 ? Go::on : Go::pause);
      EXPECT_EQ(part.result.steps, epoch * 5);
      EXPECT_EQ(state.position.step, epoch * 5);
      EXPECT_EQ(state.saved, saves);
      EXPECT_EQ(summary(name)["state"], epoch == 10 ? "finished" : "stopped");
      EXPECT_EQ(has(name + "/checkpoints"), saves);
    }
    EXPECT_EQ(parts, all) << name;
    EXPECT_EQ(part.result.parameters_sha256, whole.result.parameters_sha256) << name;
    std::vector<std::string> lines = validation_lines(text_of(name + "/metrics.jsonl"));
    EXPECT_EQ(lines, validation_lines(text_of("whole/metrics.jsonl")));
    EXPECT_EQ(lines.size(), 10u);
  }
  Told parts;
  RunOutcome part;
  for (int i = 0; i < 4; ++i) {  // from checkpoints
    part = run(c, ranks, "read", [&](TrainOptions& options, int) { options.judge = pause_at({3, 4, 8}); });
    parts.add(part);
  }
  EXPECT_EQ(parts, all);
  EXPECT_EQ(part.result.parameters_sha256, whole.result.parameters_sha256);
}

// As a trial moves to another group: by description and pieces, to another number of ranks and back.
TEST_P(KeptRuns, StatesMoveBetweenGroups) {
  Config c = ten_epochs();
  int ranks = GetParam().ranks;
  RunOutcome whole = run(c, ranks, "whole");
  KeptState left;
  run(c, ranks, "first", [&](TrainOptions& options, int rank) {
    options.judge = pause_at({5});
    if (rank == 0) options.keep_in = &left;
  });
  KeptState taken;
  make_room(describe_state(left), &taken);
  EXPECT_EQ(describe_state(taken), describe_state(left));
  EXPECT_FALSE(taken.saved);
  ASSERT_EQ(taken.bytes(), left.bytes());
  auto views = left.views();
  auto room = taken.room();
  for (size_t i = 0; i < room.size(); ++i) {
    std::copy(views[i].begin(), views[i].end(), room[i].begin());
  }
  std::vector<const void*> places;
  for (auto piece : room) places.push_back(piece.data());
  RunOutcome rest = run(c, ranks, "second", [&](TrainOptions& options, int rank) {
    if (rank == 0) options.begin_from = options.keep_in = &taken;
  });
  EXPECT_EQ(rest.steps.front().step, 26);
  EXPECT_EQ(rest.result.parameters_sha256, whole.result.parameters_sha256);
  EXPECT_TRUE(has("second/checkpoints/step-0000000050/manifest.json"));
  std::vector<const void*> kept_places;
  for (auto piece : taken.room()) kept_places.push_back(piece.data());
  EXPECT_EQ(kept_places, places) << "memory is used again";
  // Another width: other rounding, the same samples.
  int other = ranks == 1 ? 2 : 1;
  RunOutcome wide = run(c, other, "third", [&](TrainOptions& options, int rank) {
    options.saves = false;
    if (rank == 0) options.begin_from = &left;
  });
  ASSERT_EQ(wide.steps.size(), 25u);
  EXPECT_EQ(wide.steps.front().samples, whole.steps[25].samples);
  // Batch norm normalises by a rank's share, so there the loss is another.
  if (c.model.kind == "resnet") return;
  EXPECT_NEAR(wide.steps.front().loss, whole.steps[25].loss, 1e-3 + 0.01 * std::abs(whole.steps[25].loss));
}

class Judged : public TrainingTest {};

TEST_F(Judged, ADroppedRunSavesNothingMore) {
  Config c = config("train.epochs = 4\n");
  for (int ranks : {1, 2}) {
    std::string name = "run" + std::to_string(ranks);
    std::vector<int64_t> asked;
    KeptState state;
    RunOutcome part = run(c, ranks, name, [&](TrainOptions& options, int rank) {
      options.judge = [&asked, rank](const ValidationRecord& record) {
        if (rank == 0) asked.push_back(record.epoch);
        return record.epoch == 2 ? Go::drop : Go::on;
      };
      if (rank == 0) options.keep_in = &state;
    });
    EXPECT_EQ(asked, (std::vector<int64_t>{1, 2}));
    EXPECT_EQ(part.result.state, Outcome::stopped);
    EXPECT_EQ(part.result.judged, Go::drop);
    EXPECT_EQ(part.result.steps, 8);
    EXPECT_EQ(part.validations.size(), 2u);
    EXPECT_EQ(summary(name)["state"], "stopped");
    EXPECT_TRUE(has(name + "/checkpoints/step-0000000004/manifest.json"));
    EXPECT_FALSE(has(name + "/checkpoints/step-0000000008"));
    EXPECT_TRUE(state.empty());
  }
}

TEST_F(Judged, IsNotAskedAtTheEndNorTwice) {
  Config c = config("train.epochs = 3\n");
  std::vector<int64_t> asked;
  auto judge = [&](TrainOptions& options, int) {
    options.judge = [&](const ValidationRecord& record) {
      asked.push_back(record.epoch);
      return Go::pause;
    };
  };
  for (int i = 0; i < 3; ++i) run(c, 1, "run", judge);
  EXPECT_EQ(asked, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(summary("run")["state"], "finished");
}

// A state that no checkpoint of this run holds (another trial's) is saved before the first step.
TEST_F(Judged, AnothersStateIsSavedAtOnce) {
  Config c = config("train.epochs = 4\n");
  KeptState state;
  run(c, 1, "giver", [&](TrainOptions& options, int) {
    options.judge = pause_at({2});
    options.keep_in = &state;
  });
  state.saved = false;
  RunOutcome taker = run(c, 1, "taker", [&](TrainOptions& options, int) {
    options.begin_from = &state;
    stop_after(options, 9);
  });
  EXPECT_EQ(taker.steps.front().step, 9);
  EXPECT_TRUE(has("taker/checkpoints/step-0000000008/manifest.json"));
}

TEST_F(Judged, StopsAndRollbacksWithoutCheckpoints) {
  Config c = config("train.epochs = 4\n");
  KeptState state;
  RunOutcome stopped = run(c, 2, "run", [&](TrainOptions& options, int rank) {
    options.saves = false;
    if (rank == 0) options.keep_in = &state;
    stop_after(options, 6);
  });
  EXPECT_EQ(stopped.result.state, Outcome::stopped);
  EXPECT_EQ(stopped.result.judged, Go::on);
  EXPECT_EQ(state.position.step, stopped.result.steps);
  RunOutcome rest = run(c, 2, "run", [&](TrainOptions& options, int rank) {
    options.saves = false;
    if (rank == 0) options.begin_from = &state;
  });
  EXPECT_EQ(rest.result.parameters_sha256, run(c, 2, "whole").result.parameters_sha256);
  EXPECT_FALSE(has("run/checkpoints"));

  // Goes back to where it began, as often as it may.
  Config wild = config("train.epochs = 4\ntrain.on_nan = \"rollback\"\noptimizer.learning_rate = 1e30\n");
  for (bool from_memory : {false, true}) {
    expect_error(ExitCode::internal, {"3 rollbacks in a row"}, [&] {
      run(wild, 2, "wild", [&](TrainOptions& options, int rank) {
        options.saves = false;
        options.fresh = true;
        if (rank == 0 && from_memory) options.begin_from = &state;
      });
    });
    EXPECT_THAT(text_of("wild/log.txt"),
                HasSubstr(fmt::format("to step {};", from_memory ? state.position.step : 0)));
  }
}

TEST_F(Judged, AnotherModelsStateIsRefusedOnAllRanks) {
  KeptState state;
  run(config("train.epochs = 1\n"), 1, "run", [&](TrainOptions& options, int) { options.keep_in = &state; });
  auto refused = [&](const std::string& extra, std::initializer_list<std::string> words) {
    for (int ranks : {1, 2}) {
      std::atomic<int> errors{0};
      expect_error(ExitCode::bad_data, words, [&] {
        run_ranks(ranks, [&](Communicator& communicator) {
          TrainOptions options;
          options.run_directory = folder_ / "other";
          options.console = nullptr;
          options.saves = false;
          options.begin_from = communicator.rank() == 0 ? &state : nullptr;
          try {
            train(config("train.epochs = 2\n" + extra), communicator, options);
          } catch (const CheckpointError&) {
            ++errors;
            throw;
          }
        });
      });
      EXPECT_EQ(errors, ranks);
    }
  };
  refused("model.hidden = [17]\n", {"linear", "17", "16"});
  refused("optimizer.kind = \"adam\"\n", {"slot", "moment", "optimizer.kind = \"adam\""});
}

TEST(KeptStates, DescriptionsThatAreNone) {
  KeptState state;
  for (const char* text : {"", "{}", "[1]", "{\"position\":1,\"layout\":\"\",\"lengths\":[]}"}) {
    EXPECT_THROW(make_room(text, &state), DataError) << text;
  }
}

// What goes wrong on rank 0 alone (the claim, the run directory) is everybody's error: nobody waits for ever.
TEST_F(Judged, WhatRankZeroFindsWrongAllRanksThrow) {
  Config c = config("train.epochs = 1\n");
  std::ofstream(folder_ / "file") << "no folder";
  for (bool saves : {true, false}) {
    std::atomic<int> errors{0};
    expect_error(ExitCode::io, {"file"}, [&] {
      run_ranks(3, [&](Communicator& communicator) {
        TrainOptions options;
        options.run_directory = folder_ / "file" / "run";
        options.console = nullptr;
        options.saves = saves;
        try {
          train(c, communicator, options);
        } catch (const Error& error) {
          if (error.code() == ExitCode::io) ++errors;
          throw;
        }
      });
    });
    EXPECT_EQ(errors, 3);
  }
}

}  // namespace
}  // namespace trireme::test
