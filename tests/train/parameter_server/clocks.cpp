// Whole clocks on shards equal the steps of as many ranks that all-reduce, to the bit: pieces, shards, rules
// and slots together.
#include <gtest/gtest.h>

#include <future>

#include "train/parameter_server/shard_update_rules.h"
#include "train/session.h"
#include "train/training_fixture.h"

namespace trireme::test {
namespace {

constexpr int64_t steps = 5;  // more than an epoch of 4, whose last batch is smaller

// What a run has learned.
struct Learned {
  std::vector<float> parameters, states, slots;
  bool operator==(const Learned&) const = default;
};

Learned learned_by(Learner& learner) {
  Learned learned;
  auto add = [](std::vector<float>& to, std::span<const float> values) {
    to.insert(to.end(), values.begin(), values.end());
  };
  for (const auto& net : learner.nets()) {
    add(learned.parameters, net->arenas().parameters.span<const float>());
    add(learned.states, net->arenas().state.span<const float>());
    for (const StateSlot& slot : net->whole_state(true).slots) add(learned.slots, slot.values);
  }
  return learned;
}

// A server of one shard, as the rest of the house puts it together.
struct Server {
  Server(const Config& config, const Session& mirror, std::span<const FlatNet> nets, const FlatShard& flat,
         int32_t pieces, ApplyPool& pool)
      : shard_of(flat),
        versions(flat.layout.all_blocks().size()),
        values(flat.layout.size()),
        rules(config, mirror.length, nets, flat, {.pieces = pieces}) {
    take_values(flat, *mirror.learner, values);
    take_slots(*mirror.learner, rules);
    shard.emplace(ShardMemory{versions, values}, flat.layout, rules, pool,
                  ShardOptions{.pieces = pieces, .collect_clocks = true});
  }

  const FlatShard& shard_of;
  std::vector<uint64_t> versions;
  std::vector<float> values;
  ShardUpdateRules rules;
  std::optional<Shard> shard;
};

class Clocks : public TrainingTest {
 protected:
  Learned of_ranks(const Config& c, int ranks) {
    Learned learned;
    run_ranks(ranks, [&](Communicator& communicator) {
      Session session(c, communicator);
      Loader loader =
          Loader::training(*session.data.training, c.data,
                           {.seed = 1, .rank = communicator.rank(), .ranks = ranks, .end_step = steps});
      for (int64_t step = 0; step < steps; ++step) {
        ASSERT_TRUE(session.learner->step(loader.next().value(), {.step = step, .updates = step}).applied);
      }
      if (communicator.rank() == 0) learned = learned_by(*session.learner);
    });
    return learned;
  }

  Learned of_servers(const Config& c, int64_t pieces, size_t servers) {
    std::unique_ptr<Communicator> self = make_self_communicator();
    Session mirror(c, *self);
    Config served = c;
    served.parallel.mode = "parameter_server";
    served.parameter_server.staleness = 0;
    Session worker(served, *self, {.pieces = pieces});
    std::vector<FlatNet> nets = flat_nets(*mirror.learner);
    std::vector<FlatShard> flat = cut_flat_vector(nets, servers, PushTail::statistics, 64);
    ApplyPool pool(2);
    std::vector<std::unique_ptr<Server>> shards;
    for (const FlatShard& one : flat) {
      shards.push_back(
          std::make_unique<Server>(served, mirror, nets, one, static_cast<int32_t>(pieces), pool));
    }
    Loader loader = Loader::on_demand(*worker.data.training, c.data, {.seed = 1, .ranks = pieces});
    Encoder encoder;
    for (int64_t step = 0; step < steps; ++step) {
      for (auto& server : shards) put_values(server->shard_of, server->values, *worker.learner);
      worker.learner->parameters_changed();
      for (int64_t piece = pieces; piece-- > 0;) {  // the sum's order is not that of arrival
        loader.request(step, piece, pieces);
        worker.learner->set_piece(piece);
        EXPECT_TRUE(worker.learner->step(loader.next().value(), {.step = step, .updates = step}).applied);
        for (auto& server : shards) push(*server, *worker.learner, encoder, step, piece);
      }
      // The queues of the lanes run in order: what is copied comes behind the clock.
      for (auto& server : shards) wait(*server);
    }
    for (auto& server : shards) {
      put_values(server->shard_of, server->values, *mirror.learner);
      put_slots(server->rules, ShardState::live, *mirror.learner);
    }
    Learned learned = learned_by(*mirror.learner);
    clear_slots(*mirror.learner);
    for (float value : learned_by(*mirror.learner).slots) EXPECT_EQ(value, 0);
    return learned;
  }

  static void push(Server& server, Learner& learner, Encoder& encoder, int64_t step, int64_t piece) {
    ShardGradient gradient(server.shard_of, learner);
    gradient.collect();
    size_t bytes = payload_bytes(PayloadFormat::float32, server.shard_of.layout.payload());
    auto memory = std::make_shared<std::vector<float>>(bytes / sizeof(float));
    std::span<std::byte> out = std::as_writable_bytes(std::span(*memory));
    encoder.encode(PayloadFormat::float32, {gradient.values(), gradient.statistics()}, {}, out);
    PushInfo info;
    info.ticket = {step, static_cast<int32_t>(piece)};
    server.shard->push(info, {memory, out}, [](const Applied&) {});
  }

  static void wait(Server& server) {
    std::vector<float> out(server.values.size());
    std::promise<void> done;
    server.shard->copy_values(out, [&](uint64_t) { done.set_value(); });
    done.get_future().wait();
    EXPECT_EQ(out, server.values);
  }

  void expect_equal(const std::string& extra) {
    Learned before;
    for (int pieces : {1, 2, 3}) {
      Config c = config(extra, 61, 17);
      Learned ranks = of_ranks(c, pieces);
      EXPECT_NE(ranks.parameters, before.parameters) << "other sums, by the batch norm of other pieces";
      before = ranks;
      for (size_t servers : {1, 3}) {
        Learned shards = of_servers(c, pieces, servers);
        EXPECT_TRUE(shards.parameters == ranks.parameters) << pieces << " pieces, " << servers << " servers";
        EXPECT_TRUE(shards.states == ranks.states) << pieces << " pieces, " << servers << " servers";
        EXPECT_TRUE(shards.slots == ranks.slots) << pieces << " pieces, " << servers << " servers";
      }
    }
  }
};

TEST_F(Clocks, of_sgd) { expect_equal("optimizer.momentum = 0\n" + std::string(batch_norm_model)); }

TEST_F(Clocks, of_momentum_on_a_schedule) {
  expect_equal("schedule.kind = \"cosine\"\nschedule.warmup_steps = 2\n" + std::string(batch_norm_model));
}

TEST_F(Clocks, of_adam_with_groups) {
  expect_equal("optimizer.kind = \"adam\"\noptimizer.weight_decay = 0.01\n" + std::string(batch_norm_model) +
               "[[optimizer.group]]\nparameters = [\"*.bias\"]\nlearning_rate_factor = 0.5\n");
}

TEST_F(Clocks, of_lamb) {
  expect_equal("optimizer.kind = \"lamb\"\noptimizer.learning_rate = 0.01\noptimizer.weight_decay = 0.01\n" +
               std::string(batch_norm_model));
}

TEST_F(Clocks, of_a_gan) {
  expect_equal(
      "data.transform.normalize = false\noptimizer.kind = \"lars\"\n[model]\nkind = \"gan\"\nwidth = "
      "4\nlatent = 5\n");
}

}  // namespace
}  // namespace trireme::test
