#include "train/net.h"

#include <cstring>

#include "base/clones.h"
#include "base/parallel.h"
#include "exec/initialize.h"
#include "train/strategies.h"

namespace trireme {
namespace {

constexpr int64_t values_at_once = 1 << 15;

TRIREME_CLONES void add_to(size_t n, const float* __restrict sum, float* __restrict gradients) {
  for (size_t i = 0; i < n; ++i) gradients[i] = sum[i] + gradients[i];
}

}  // namespace

Net::Net(const Config& config, const NetGraphs& graphs, const BatchSizes& sizes, Communicator& communicator,
         Exchanger& exchanger, int threads)
    : name_(graphs.name),
      optimizer_(graphs.optimizer),
      seed_(static_cast<uint64_t>(config.run.seed)),
      communicator_(communicator),
      threads_(threads),
      programs_(graphs, sizes, compile_options(config)),
      arenas_(std::make_unique<Arenas>(programs_.layout(), communicator)),
      strategy_(make_strategy(config, optimizer_, *arenas_, communicator, exchanger, threads)),
      range_ready_([this](Range range) { ready(range); }) {
  for (int i = 0; i < sizes.sharing.most_sums(); ++i) sums_.emplace_back(arenas_->gradients.bytes());
  float* gradients = arenas_->gradients.as<float>();
  const Graph& graph = programs_.graph();
  for (ValueId result : graph.results) {
    const Value& value = graph.value(result);
    if (value.role == Role::statistic)
      losses_.push_back(gradients + arenas_->layout.statistic(value.name).offset);
  }
  stop_votes_ = gradients + arenas_->layout.statistic("stop_votes").offset;
  initialize_arenas(graph, seed_, *arenas_);
  if (optimizer_.ema_decay > 0) average_.emplace(*arenas_, optimizer_.ema_decay);
}

void Net::bind(Backend& backend, Buffer& workspace, const Arenas* frozen) {
  programs_.bind(backend, *arenas_, workspace, frozen);
}

void Net::restart() {
  initialize_arenas(programs_.graph(), seed_, *arenas_);
  strategy_->restart();
  if (average_) average_->restart(*arenas_);
}

WholeState Net::whole_state(bool holds) {
  WholeState state = strategy_->whole_state(holds);
  if (average_) state.slots.push_back({average_slot, average_->values()});
  return state;
}

void Net::spread_state(const WholeState& state) {
  strategy_->spread_state(state);
  if (average_) communicator_.broadcast(average_->values().data(), average_->values().size_bytes(), 0);
}

void Net::begin_step(const StepSettings& settings, bool votes_to_stop) {
  updates_ = settings.updates;
  strategy_->begin_step(settings);
  *stop_votes_ = votes_to_stop ? 1.0f : 0.0f;
  kept_ = 0;
}

Executor& Net::run(std::span<const void* const> inputs, const MicroBatch& piece, const StepScalars& scalars) {
  Executor& executor = programs_.training(piece.count);
  if (looking_ != nullptr) {
    std::optional<NonFinite> found = executor.find_first_non_finite(inputs, scalars);
    if (!looking_->has_value()) *looking_ = found;
  } else if (piece.ends) {
    merges_ = piece.merges;
    executor.step(inputs, scalars, range_ready_, timeline_);
  } else {
    executor.step(inputs, scalars, {}, timeline_);
    keep_sum(piece);
  }
  return executor;
}

void Net::add_kept(int newest, Range range) {
  float* gradients = arenas_->gradients.as<float>();
  const float* sum = sums_[kept_ - 1 - static_cast<size_t>(newest)].as<float>();
  for_each_part(
      threads_, static_cast<int64_t>(range.size()), values_at_once, [&](int64_t begin, int64_t end) {
        add_to(static_cast<size_t>(end - begin), sum + range.begin + begin, gradients + range.begin + begin);
      });
}

void Net::keep_sum(const MicroBatch& piece) {
  Range all{0, arenas_->layout.gradient_elements};
  for (int i = 0; i < piece.merges; ++i) add_kept(i, all);
  kept_ -= static_cast<size_t>(piece.merges);
  Buffer& newest = sums_.at(kept_++);
  const float* gradients = arenas_->gradients.as<float>();
  for_each_part(threads_, static_cast<int64_t>(all.size()), values_at_once, [&](int64_t begin, int64_t end) {
    std::memcpy(newest.as<float>() + begin, gradients + begin,
                static_cast<size_t>(end - begin) * sizeof(float));
  });
  // No program writes the vote: it stays in the arena and is counted once, with the last piece.
  newest.as<float>()[stop_votes_ - gradients] = 0;
}

void Net::ready(Range range) {
  for (int i = 0; i < merges_; ++i) add_kept(i, range);
  strategy_->range_ready(range);
}

void Net::run_nothing(const MicroBatch& piece) {
  if (looking_ != nullptr) return;
  float vote = *stop_votes_;
  std::memset(arenas_->gradients.data(), 0, arenas_->gradients.bytes());
  *stop_votes_ = vote;
  if (!piece.ends) return keep_sum(piece);
  merges_ = piece.merges;
  ready({0, arenas_->layout.gradient_elements});
}

ExchangeSeconds Net::update() {
  ExchangeSeconds seconds = strategy_->update();
  if (average_) average_->follow(*arenas_, updates_ + 1, threads_);
  return seconds;
}

bool Net::swap_average() {
  if (average_) average_->swap(*arenas_);
  return average_.has_value();
}

double Net::loss() const {
  double sum = 0;
  for (const float* loss : losses_) sum += static_cast<double>(*loss);
  return sum;
}

double scalar_result(const Executor& executor, size_t index) {
  ValueId id = executor.program().graph.results.at(index);
  return *static_cast<const float*>(executor.address(id));
}

}  // namespace trireme
