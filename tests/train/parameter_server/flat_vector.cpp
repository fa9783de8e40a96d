// The cut of all nets' parameters into shards and blocks, and the way between a learner and a shard.
#include "train/parameter_server/flat_vector.h"

#include <gmock/gmock.h>

#include <numeric>

#include "train/session.h"
#include "train/training_fixture.h"

namespace trireme::test {
namespace {

// Tensors of these extents, padding included.
ArenaLayout layout_of(std::initializer_list<size_t> extents, size_t states = 0, size_t statistics = 16) {
  ArenaLayout layout;
  for (size_t extent : extents) {
    std::string name = "t" + std::to_string(layout.parameters.size());
    layout.parameters.push_back({name, {static_cast<int64_t>(extent) - 3}, layout.parameter_elements});
    layout.parameter_elements += extent;
  }
  layout.gradient_elements = layout.parameter_elements + statistics;
  layout.state_elements = states;
  return layout;
}

OptimizerConfig rule(const std::string& kind) {
  OptimizerConfig optimizer;
  optimizer.kind = kind;
  return optimizer;
}

std::vector<size_t> sizes_of(const std::vector<FlatShard>& shards) {
  std::vector<size_t> sizes;
  for (const FlatShard& shard : shards) sizes.push_back(shard.range.size());
  return sizes;
}

// Shards follow each other, blocks too, and what a shard says of the nets is what it has.
void expect_covered(std::span<const FlatNet> nets, const std::vector<FlatShard>& shards,
                    size_t most_of_block) {
  size_t end = 0;
  std::vector<size_t> seen(nets.size());
  for (const FlatShard& shard : shards) {
    EXPECT_EQ(shard.range.begin, end);
    EXPECT_GT(shard.range.size(), 0u);
    EXPECT_EQ(shard.range.begin % arena_alignment, 0u);
    end = shard.range.end;
    EXPECT_EQ(shard.layout.elements(), shard.range.size());
    size_t at = 0;
    for (const FlatSpan& span : shard.parameters) {
      EXPECT_EQ(span.at, at);
      EXPECT_EQ(span.range.begin, seen[span.net]);
      seen[span.net] = span.range.end;
      at += span.range.size();
    }
    EXPECT_EQ(at, shard.range.size());
    at = 0;
    for (const Range& block : shard.layout.blocks) {
      EXPECT_EQ(block.begin, at);
      at = block.end;
      EXPECT_LE(block.size(), most_of_block);
      auto holds = [&](const FlatSpan& span) {
        return span.at <= block.begin && block.end <= span.at + span.range.size();
      };
      EXPECT_TRUE(std::any_of(shard.parameters.begin(), shard.parameters.end(), holds)) << block.begin;
    }
  }
  for (size_t net = 0; net < nets.size(); ++net) EXPECT_EQ(seen[net], nets[net].layout.parameter_elements);
}

TEST(FlatVector, is_cut_evenly_where_rules_are_elementwise) {
  ArenaLayout layout = layout_of({160000, 16, 32, 800000, 160}, 48, 32);
  OptimizerConfig adam = rule("adam");
  std::vector<FlatNet> nets{{layout, adam}};
  for (size_t shards : {1, 2, 3, 7}) {
    auto cut = cut_flat_vector(nets, shards, PushTail::statistics);
    expect_covered(nets, cut, 65536);
    auto sizes = sizes_of(cut);
    auto [low, high] = std::minmax_element(sizes.begin(), sizes.end());
    EXPECT_LE(*high - *low, layout.parameter_elements / shards / 100);
    EXPECT_EQ(cut[0].layout.states, (Range{cut[0].range.size(), cut[0].range.size() + 48}));
    EXPECT_EQ(cut[0].layout.tail_elements, 32u);
    for (size_t s = 1; s < shards; ++s) {
      EXPECT_TRUE(cut[s].layout.states.empty());
      EXPECT_EQ(cut[s].layout.tail_elements, 0u);
      EXPECT_EQ(cut[s].layout.size(), cut[s].range.size());
    }
  }
  EXPECT_EQ(cut_flat_vector(nets, 2, PushTail::states)[0].layout.tail_elements, 48u);
}

TEST(FlatVector, keeps_tensors_whole_where_the_rule_does) {
  ArenaLayout layout = layout_of({16, 64, 32, 48, 16, 160, 16, 32});
  OptimizerConfig lamb = rule("lamb");
  std::vector<FlatNet> nets{{layout, lamb}};
  EXPECT_THAT(sizes_of(cut_flat_vector(nets, 2, PushTail::statistics)), testing::ElementsAre(176, 208));
  EXPECT_THAT(sizes_of(cut_flat_vector(nets, 8, PushTail::statistics)),
              testing::ElementsAre(16, 64, 32, 48, 16, 160, 16, 32));
  for (size_t shards = 1; shards <= 8; ++shards) {
    auto cut = cut_flat_vector(nets, shards, PushTail::statistics, 64);
    expect_covered(nets, cut, 160);
    for (const FlatShard& shard : cut) {
      for (const Range& block : shard.layout.blocks) {
        size_t begin = shard.range.begin + block.begin;
        auto starts = [&](const ArenaTensor& tensor) { return tensor.offset == begin; };
        EXPECT_TRUE(std::any_of(layout.parameters.begin(), layout.parameters.end(), starts)) << begin;
        EXPECT_TRUE(block.size() <= 64 || block.size() == 160) << block.size();
      }
    }
  }
  expect_error(ExitCode::bad_config, {"parallel.parameter_server.servers", "9 servers", "8 parts"},
               [&] { cut_flat_vector(nets, 9, PushTail::statistics); });
}

TEST(FlatVector, of_a_large_tensor_leaves_no_shard_empty) {
  for (auto extents :
       {std::initializer_list<size_t>{10000, 16, 16, 16}, {16, 10000, 16, 16}, {16, 16, 16, 10000}}) {
    ArenaLayout layout = layout_of(extents);
    OptimizerConfig lars = rule("lars");
    std::vector<FlatNet> nets{{layout, lars}};
    for (size_t shards = 1; shards <= 4; ++shards) {
      expect_covered(nets, cut_flat_vector(nets, shards, PushTail::statistics), 65536);
    }
  }
}

// Two nets by two rules: cut where each allows it, no block in both.
TEST(FlatVector, of_several_nets) {
  ArenaLayout first = layout_of({304, 64, 320}, 16), second = layout_of({992, 16}, 32, 48);
  OptimizerConfig lamb = rule("lamb"), adam = rule("adam");
  std::vector<FlatNet> nets{{first, lamb}, {second, adam}};
  for (size_t shards : {1, 2, 3, 5, 20}) {
    expect_covered(nets, cut_flat_vector(nets, shards, PushTail::statistics, 128), 320);
  }
  FlatShard whole = cut_flat_vector(nets, 1, PushTail::statistics)[0];
  EXPECT_THAT(whole.states, testing::ElementsAre(FlatSpan{0, {0, 16}, 1696}, FlatSpan{1, {0, 32}, 1712}));
  EXPECT_THAT(whole.statistics,
              testing::ElementsAre(FlatSpan{0, {688, 704}, 0}, FlatSpan{1, {1008, 1056}, 16}));
  EXPECT_EQ(whole.layout.tail_elements, 64u);
}

class FlatLearner : public TrainingTest {
 protected:
  std::unique_ptr<Communicator> self_ = make_self_communicator();
};

TEST_F(FlatLearner, goes_there_and_back) {
  for (const std::string& model :
       {std::string(batch_norm_model),
        std::string("data.transform.normalize = false\n[model]\nkind = \"gan\"\nwidth = 4\n")}) {
    Config c = config(model), other = c;
    other.run.seed = 7;
    Session from(c, *self_), to(other, *self_);
    auto nets = flat_nets(*from.learner);
    for (size_t shards : {1, 2, 5}) {
      to.learner->restart();
      ASSERT_NE(from.learner->parameters_sha256(), to.learner->parameters_sha256());
      for (const FlatShard& shard : cut_flat_vector(nets, shards, PushTail::statistics)) {
        std::vector<float> vector(shard.layout.size());
        for (const auto& net : from.learner->nets()) {
          std::span<float> state = net->arenas().state.span<float>();
          std::iota(state.begin(), state.end(), 1.0f);
        }
        take_values(shard, *from.learner, vector);
        put_values(shard, vector, *to.learner);
      }
      EXPECT_EQ(from.learner->parameters_sha256(), to.learner->parameters_sha256());
      for (size_t net = 0; net < nets.size(); ++net) {
        std::span<float> a = from.learner->nets()[net]->arenas().state.span<float>();
        std::span<float> b = to.learner->nets()[net]->arenas().state.span<float>();
        EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
      }
    }
  }
}

// One net's gradients are shown where they lie; those of several are brought together.
TEST_F(FlatLearner, shows_its_gradients) {
  for (const std::string& model :
       {std::string(batch_norm_model),
        std::string("data.transform.normalize = false\n[model]\nkind = \"gan\"\nwidth = 4\n")}) {
    Config c = config(model);
    Session session(c, *self_);
    std::vector<float> flat, tail;
    float next = 1;
    for (const auto& net : session.learner->nets()) {
      const ArenaLayout& layout = net->arenas().layout;
      for (float& value : net->arenas().gradients.span<float>()) value = next++;
      float* values = net->arenas().gradients.as<float>();
      flat.insert(flat.end(), values, values + layout.parameter_elements);
      tail.insert(tail.end(), values + layout.parameter_elements, values + layout.gradient_elements);
    }
    auto nets = flat_nets(*session.learner);
    for (size_t shards : {1, 2, 3}) {
      std::vector<float> together, statistics;
      for (const FlatShard& shard : cut_flat_vector(nets, shards, PushTail::statistics)) {
        ShardGradient gradient(shard, *session.learner);
        gradient.collect();
        EXPECT_EQ(gradient.values().size(), shard.layout.elements());
        EXPECT_EQ(gradient.statistics().size(), shard.layout.tail_elements);
        together.insert(together.end(), gradient.values().begin(), gradient.values().end());
        statistics.insert(statistics.end(), gradient.statistics().begin(), gradient.statistics().end());
      }
      EXPECT_EQ(together, flat);
      EXPECT_EQ(statistics, tail);
    }
  }
}

}  // namespace
}  // namespace trireme::test
