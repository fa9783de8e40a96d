// A worker of a parameter server: pieces of a batch chosen step by step, whose gradients stay where they are.
#include <gmock/gmock.h>

#include <cmath>

#include "data/sampler.h"
#include "train/piece_strategy.h"
#include "train/session.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

std::vector<float> copy_of(const Buffer& buffer) {
  std::span<const float> values = buffer.span<const float>();
  return {values.begin(), values.end()};
}

double norm_of(std::span<const float> values) {
  double sum = 0;
  for (float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

class WorkerPieces : public TrainingTest {
 protected:
  static Config served(Config c) {
    c.parallel.mode = "parameter_server";
    return c;
  }

  // A worker's steps over every piece of `step`: its gradient arenas with the statistics, piece by piece.
  std::vector<std::vector<float>> piece_gradients(Session& session, int64_t pieces, int64_t step) {
    Loader loader =
        Loader::on_demand(*session.data.training, session.config.data, {.seed = 1, .ranks = pieces});
    std::vector<std::vector<float>> gradients;
    // Last to first: no order is asked for.
    for (int64_t piece = pieces; piece-- > 0;) {
      loader.request(step, piece, pieces);
      session.learner->set_piece(piece);
      StepOutcome outcome = session.learner->step(loader.next().value(), {.step = step, .updates = step});
      EXPECT_TRUE(outcome.applied);
      gradients.insert(gradients.begin(), copy_of(session.learner->nets().front()->arenas().gradients));
    }
    return gradients;
  }

  // All gradients and statistics of the one-rank step.
  std::vector<float> whole_gradients(const Config& c, int64_t step) {
    Session session(c, *self_);
    Loader loader = Loader::training(*session.data.training, c.data,
                                     {.seed = 1, .first_step = step, .end_step = step + 1});
    session.learner->step(loader.next().value(), {.step = step, .updates = step});
    return copy_of(session.learner->nets().front()->arenas().gradients);
  }

  void expect_pieces_add_up(const Config& c, double tolerance) {
    for (int64_t step : {0, 3}) {  // 3: the epoch's last, of 10 samples
      std::vector<float> whole = whole_gradients(c, step);
      for (int64_t pieces : {1, 3, 4, 12}) {
        Config worker = served(c);
        Session session(worker, *self_, {.pieces = pieces});
        std::vector<float> sum(whole.size());
        for (const std::vector<float>& part : piece_gradients(session, pieces, step)) {
          for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
        }
        for (size_t i = 0; i < sum.size(); ++i) {
          ASSERT_NEAR(sum[i], whole[i], tolerance) << pieces << " pieces, step " << step << ", element " << i;
        }
      }
    }
  }

  std::unique_ptr<Communicator> self_ = make_self_communicator();
};

TEST_F(WorkerPieces, add_up_to_the_step) {
  expect_pieces_add_up(config("model.dropout = 0.3", 61, 17), 2e-6);
}

TEST_F(WorkerPieces, add_up_in_micro_batches) {
  expect_pieces_add_up(config("train.micro_batches = 2", 61, 17), 2e-6);
}

TEST_F(WorkerPieces, of_a_gan_are_those_of_both_nets) {
  Config worker = served(
      config("data.transform.normalize = false\n[model]\nkind = \"gan\"\nwidth = 4\nlatent = 5\n", 61, 17));
  Session session(worker, *self_, {.pieces = 3});
  ASSERT_EQ(session.learner->nets().size(), 2u);
  piece_gradients(session, 3, 0);
  for (const auto& net : session.learner->nets()) {
    const ArenaLayout& layout = net->arenas().layout;
    EXPECT_GT(norm_of({net->arenas().gradients.as<float>(), layout.parameter_elements}), 0);
  }
}

TEST_F(WorkerPieces, leave_parameters_and_states_alone) {
  Config c = served(config(batch_norm_model, 61, 17));
  Session session(c, *self_, {.pieces = 3});
  const Arenas& arenas = session.learner->nets().front()->arenas();
  std::vector<float> parameters = copy_of(arenas.parameters), state = copy_of(arenas.state);
  piece_gradients(session, 3, 0);
  EXPECT_EQ(copy_of(arenas.parameters), parameters);
  EXPECT_EQ(copy_of(arenas.state), state);
  EXPECT_TRUE(session.learner->nets().front()->whole_state(true).slots.empty());
}

// Each piece's mean is clipped by its own norm.
TEST_F(WorkerPieces, are_clipped_by_their_own_norm) {
  Config c = served(config("", 61, 17));
  Session plain(c, *self_, {.pieces = 3});
  Config clipping = c;
  clipping.train.gradient_clip_norm = 0.5;
  Session clipped(clipping, *self_, {.pieces = 3});
  auto parameters = plain.learner->nets().front()->arenas().layout.parameter_elements;
  auto before = piece_gradients(plain, 3, 0), after = piece_gradients(clipped, 3, 0);
  for (size_t piece = 0; piece < 3; ++piece) {
    double share = (piece < 2 ? 6.0 : 5.0) / 17.0;
    double norm = norm_of({before[piece].data(), parameters}) / share;
    ASSERT_GT(norm, 0.5);
    EXPECT_NEAR(norm_of({after[piece].data(), parameters}) / share, 0.5, 1e-5);
    for (size_t i = 0; i < parameters; ++i) {
      ASSERT_NEAR(after[piece][i], before[piece][i] * 0.5 / norm, 1e-6);
    }
    for (size_t i = parameters; i < before[piece].size(); ++i) EXPECT_EQ(after[piece][i], before[piece][i]);
  }
}

// A step of a worker's own, as elastic averaging has them: means over the piece, applied by its own
// optimizer.
TEST_F(WorkerPieces, may_be_means_and_be_applied) {
  Config c = config("optimizer.momentum = 0", 61, 17);
  Config worker = served(c);
  Session shares(worker, *self_, {.pieces = 3});
  auto gradients = piece_gradients(shares, 3, 0);
  for (size_t piece : {0, 2}) {
    Session local(c, *self_, {.pieces = 3, .own_means = true});
    const Arenas& arenas = local.learner->nets().front()->arenas();
    std::vector<float> start = copy_of(arenas.parameters);
    Loader loader = Loader::on_demand(*local.data.training, c.data, {.seed = 1, .ranks = 3});
    loader.request(0, static_cast<int64_t>(piece), 3);
    local.learner->set_piece(static_cast<int64_t>(piece));
    Batch batch = loader.next().value();
    StepOutcome outcome = local.learner->step(batch, {});
    EXPECT_NEAR(outcome.loss, std::log(4.0), 1.0);  // whole, not a third
    float share = static_cast<float>(batch.count) / 17;
    for (size_t i = 0; i < start.size(); ++i) {
      ASSERT_NEAR(arenas.gradients.as<float>()[i], gradients[piece][i] / share, 2e-6);
      ASSERT_NEAR(arenas.parameters.as<float>()[i], start[i] - 0.1f * gradients[piece][i] / share, 2e-6);
    }
  }
}

// What is pushed does not depend on the loss scale, and an overflow is no step.
TEST_F(WorkerPieces, of_float16_are_unscaled) {
  std::vector<std::vector<float>> gradients;
  for (double scale : {256.0, 4096.0}) {
    Config c = served(config("train.precision = \"float16\"", 61, 17));
    c.train.loss_scale = scale;
    Session session(c, *self_, {.pieces = 3});
    gradients.push_back(piece_gradients(session, 3, 0)[1]);
  }
  double scale = 0;
  for (float value : gradients[0]) scale = std::max(scale, std::abs(static_cast<double>(value)));
  for (size_t i = 0; i < gradients[0].size(); ++i)
    ASSERT_NEAR(gradients[0][i], gradients[1][i], 0.01 * scale);
}

TEST_F(WorkerPieces, that_are_not_there_are_refused) {
  Config c = served(config("", 61, 17));
  Session session(c, *self_, {.pieces = 3});
  for (int64_t piece : {-1, 3}) {
    expect_error(ExitCode::internal, {"no such piece"}, [&] { session.learner->set_piece(piece); });
  }
  expect_error(ExitCode::bad_config, {"parallel.mode", "do not step together"}, [&] { run(c, 1, "run"); });
}

TEST(PieceStrategy, tells_of_gradients_that_are_no_numbers) {
  for (double clip_norm : {0.0, 1.0}) {
    ArenaLayout layout;
    layout.parameters = {{"a", {20}, 0}};
    layout.parameter_elements = 32;
    layout.gradient_elements = 48;
    Arenas arenas(layout);
    PieceStrategy strategy(arenas, clip_norm);
    arenas.gradients.as<float>()[7] = std::nanf("");
    strategy.begin_step({.gradient_scale = 0.125});
    strategy.range_ready({0, 48});
    EXPECT_FALSE(strategy.finish_exchange().finite);
    strategy.begin_step({.gradient_scale = 0.125});
    expect_error(ExitCode::internal, {"must follow"}, [&] { strategy.range_ready({1, 48}); });
    strategy.range_ready({0, 16});
    expect_error(ExitCode::internal, {"[0, 16) of 48"}, [&] { strategy.finish_exchange(); });
  }
}

}  // namespace
}  // namespace trireme::test
