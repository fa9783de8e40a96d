// One net of a run: its programs, the arenas that they work on, and the strategy by which ranks share what it
// learns. A classifier is one net, a GAN two.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "exec/arenas.h"
#include "exec/executor.h"
#include "train/average.h"
#include "train/micro_batches.h"
#include "train/programs.h"
#include "train/strategy.h"

namespace trireme {

class Net {
 public:
  // Compiles all programs and fills the arenas by config.run.seed. Throws ConfigError (the model does not fit
  // the samples). `config`, `communicator` and `exchanger` outlive the net. `threads` of the calling thread's
  // team, the backend's, work on the arenas.
  Net(const Config& config, const NetGraphs& graphs, const BatchSizes& sizes, Communicator& communicator,
      Exchanger& exchanger, int threads = 1);
  Net(const Net&) = delete;
  Net& operator=(const Net&) = delete;

  size_t workspace_bytes() const { return programs_.workspace_bytes(); }
  // Before the first step. `workspace` may be shared by nets of one thread; `frozen` holds the parameters of
  // the net that this one's graphs see as frozen.
  void bind(Backend& backend, Buffer& workspace, const Arenas* frozen = nullptr);

  const std::string& name() const { return name_; }
  const OptimizerConfig& optimizer() const { return optimizer_; }
  Arenas& arenas() { return *arenas_; }
  const Arenas& arenas() const { return *arenas_; }
  // What a checkpoint must hold beside parameters and states: the strategy's state, as Strategy has it, and
  // the moving average.
  WholeState whole_state(bool holds);
  void collect_state(const StateSink& sink) { strategy_->collect_state(sink); }
  void spread_state(const WholeState& state);
  size_t state_bytes() { return strategy_->state_bytes(); }
  // Back to how the run began: parameters and states drawn anew, slots zero.
  void restart();

  // A step: begin_step; run() or run_nothing() for each piece of this rank's share of the batch, in order;
  // finish_exchange; then update(), unless the step is to be left out.
  void begin_step(const StepSettings& settings, bool votes_to_stop);
  // Gradients and statistics of one piece. Those of several are summed as the pieces say; with the last piece
  // ranges become ready one by one, so that exchange overlaps with it. Returns the program, whose results
  // stay valid until anything else runs in the workspace.
  Executor& run(std::span<const void* const> inputs, const MicroBatch& piece, const StepScalars& scalars);
  // A piece without samples: zeros, but a part in the sum and in the exchange.
  void run_nothing(const MicroBatch& piece);
  StepReport finish_exchange() { return strategy_->finish_exchange(); }
  ExchangeSeconds update();
  void collect_gradients() { strategy_->collect_gradients(); }

  // Tells `timeline` of every kernel; null: nobody.
  void observe(StepTimeline* timeline) { timeline_ = timeline; }
  // Until it is called with null, run() looks for nan and infinity instead of learning: strategies are told
  // nothing, and `finding` gets the first place.
  void look_for_non_finite(std::optional<NonFinite>* finding) { looking_ = finding; }

  // After finish_exchange. The sum of the graph's losses, over the global batch.
  double loss() const;
  bool stop_voted() const { return *stop_votes_ > 0; }

  // Parameters and their moving average change places, where there is one; until the next swap no step may be
  // done. True when something has changed.
  bool swap_average();

  Executor& evaluation(int64_t batch) { return programs_.evaluation(batch); }

 private:
  void keep_sum(const MicroBatch& piece);
  // gradients = kept sum `newest` places from the newest one + gradients, over the range.
  void add_kept(int newest, Range range);
  void ready(Range range);

  std::string name_;
  OptimizerConfig optimizer_;
  uint64_t seed_;
  Communicator& communicator_;
  int threads_;
  Programs programs_;
  std::unique_ptr<Arenas> arenas_;
  std::unique_ptr<Strategy> strategy_;
  std::optional<ParameterAverage> average_;
  std::vector<Buffer> sums_;  // over pieces so far, each like the gradient arena
  size_t kept_ = 0;           // of them hold something
  int merges_ = 0;            // of the last piece
  std::optional<NonFinite>* looking_ = nullptr;
  StepTimeline* timeline_ = nullptr;
  int64_t updates_ = 0;               // done before the step that runs
  std::vector<const float*> losses_;  // in the statistics behind the gradients
  float* stop_votes_;                 // there too
  Executor::RangeReady range_ready_;
};

// A scalar result of a program after its step, by its place among graph.results.
double scalar_result(const Executor& executor, size_t index);

}  // namespace trireme
