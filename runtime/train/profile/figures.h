// What a recording of steps comes to: time, calls, FLOPs and bytes by op, by phase and by node, beside what
// the machine can do.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backend/machine.h"
#include "base/dtype.h"
#include "exec/step_timeline.h"
#include "graph/graph.h"

namespace trireme {

// The parts of a step, with kernels told apart by what they are for. Together they are the step.
enum class Phase : uint8_t { data, forward, backward, exchange, check, update, other };
inline constexpr std::array<Phase, 7> all_phases{
    Phase::data, Phase::forward, Phase::backward, Phase::exchange, Phase::check, Phase::update, Phase::other};
std::string_view name_of(Phase phase);

// Means over the steps, for one step, but for fastest_seconds.
struct Cost {
  double calls = 0;
  double seconds = 0;
  // The same where nothing disturbs: each node's calls as long as the fastest of them; of phases without
  // nodes that of the step which had least of it. Rates are held against the machine's, which are its
  // fastest, by this.
  double fastest_seconds = 0;
  double flops = 0;  // by the op table; 0: it knows none
  double bytes = 0;  // of a node's inputs and outputs, weights included; 0: unknown
  // That a machine would take whose matrix products and copies are as fast as the measured ones: for each
  // call the larger of FLOPs at the one rate and bytes at the other. 0: nothing is known. It may be more
  // than fastest_seconds, where data stay in caches.
  double ideal_seconds = 0;

  Cost& operator+=(const Cost& other);
};

struct OpFigures {
  std::string op;
  DType type;  // that it computes in
  Phase phase;
  Cost cost;
};

struct NodeFigures {
  std::string op;
  std::string origin;
  std::string output;  // "float32[64, 28, 28, 6]"
  Phase phase;
  Cost cost;
};

struct ProfileFigures {
  std::vector<double> step_seconds;            // of each timed step, in order
  std::array<Cost, all_phases.size()> phases;  // by Phase
  std::vector<OpFigures> ops;                  // the slowest first; those of a phase add up to it
  std::vector<NodeFigures> nodes;              // the slowest first; by program and node
  double hidden_exchange_seconds = 0;          // a step, beside it in the communication thread

  const Cost& phase(Phase which) const { return phases[static_cast<size_t>(which)]; }
  double mean_step_seconds() const;
};

// `update_bytes` are read and written by a step's update; 0: unknown. At least one step; the programs that
// the recording speaks of are still there.
ProfileFigures figures_of(const StepRecording& recording, const MachineRates& rates, double update_bytes);

// By node: whether a result or a statistic (the loss) comes of it, directly or not. The others serve
// gradients alone: backward, recomputed nodes among them.
std::vector<bool> forward_nodes(const Graph& graph);
// Of an event.
Phase phase_of(const StepEvent& event, const std::vector<bool>& forward);
// "float32[64, 28, 28, 6]" of output 0.
std::string output_text(const Graph& graph, const Node& node);

}  // namespace trireme
