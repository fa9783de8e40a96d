#include "train/profile/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "exec/program.h"
#include "graph/op.h"

namespace trireme {
namespace {

double seconds_between(StepTimeline::Clock::time_point from, StepTimeline::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

double bytes_of(const Graph& graph, const Node& node) {
  double bytes = 0;
  for (const auto* values : {&node.inputs, &node.outputs}) {
    for (ValueId value : *values) {
      if (value != no_id) bytes += static_cast<double>(graph.value(value).type.bytes());
    }
  }
  return bytes;
}

double rate_of_products(const MachineRates& rates, DType type) {
  // float16 is computed in float32 on processors.
  return type == DType::bfloat16 && rates.bfloat16_flops > 0 ? rates.bfloat16_flops : rates.float32_flops;
}

// One call of a node, without its time.
Cost call_of(const Graph& graph, const Node& node, const MachineRates& rates) {
  Cost cost;
  cost.calls = 1;
  if (const Op& op = find_op(node.op); op.flops) cost.flops = op.flops(graph, node);
  cost.bytes = bytes_of(graph, node);
  cost.ideal_seconds =
      std::max(cost.flops / rate_of_products(rates, kernel_type(graph, node)), cost.bytes / rates.copy_bytes);
  return cost;
}

// A program's nodes, summed over all steps.
struct ProgramSums {
  std::vector<bool> forward;
  std::vector<Cost> nodes;  // fastest_seconds: of one call so far
};

// Of phases without nodes: of one step so far, and the least of a step that had any.
struct PhaseSeconds {
  double step = 0;
  double least = 0;
};

void divide(Cost& cost, double steps) {
  for (double* figure :
       {&cost.calls, &cost.seconds, &cost.fastest_seconds, &cost.flops, &cost.bytes, &cost.ideal_seconds}) {
    *figure /= steps;
  }
}

template <class Figures>
void sort_slowest_first(std::vector<Figures>& figures) {
  std::stable_sort(figures.begin(), figures.end(),
                   [](const Figures& a, const Figures& b) { return a.cost.seconds > b.cost.seconds; });
}

// Rows of nodes and ops, and what they add to their phases. Programs for several batch sizes are of the same
// net, so ops come together.
void add_nodes(const std::map<const Program*, ProgramSums>& programs, ProfileFigures& figures) {
  std::map<std::tuple<std::string, DType, Phase>, Cost> ops;
  for (const auto& [program, sums] : programs) {
    const Graph& graph = program->graph;
    for (size_t n = 0; n < sums.nodes.size(); ++n) {
      Cost cost = sums.nodes[n];
      if (cost.calls == 0) continue;
      cost.fastest_seconds *= cost.calls;
      const Node& node = graph.nodes[n];
      Phase phase = sums.forward[n] ? Phase::forward : Phase::backward;
      ops[{node.op, kernel_type(graph, node), phase}] += cost;
      figures.phases[static_cast<size_t>(phase)] += cost;
      figures.nodes.push_back({node.op, node.origin, output_text(graph, node), phase, cost});
    }
  }
  for (const auto& [key, cost] : ops) {
    figures.ops.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), cost});
  }
}

}  // namespace

std::string_view name_of(Phase phase) {
  constexpr std::array<std::string_view, all_phases.size()> names{"data",  "forward", "backward", "exchange",
                                                                  "check", "update",  "other"};
  return names[static_cast<size_t>(phase)];
}

Cost& Cost::operator+=(const Cost& other) {
  calls += other.calls;
  seconds += other.seconds;
  fastest_seconds += other.fastest_seconds;
  flops += other.flops;
  bytes += other.bytes;
  ideal_seconds += other.ideal_seconds;
  return *this;
}

double ProfileFigures::mean_step_seconds() const {
  return std::accumulate(step_seconds.begin(), step_seconds.end(), 0.0) /
         static_cast<double>(step_seconds.size());
}

std::vector<bool> forward_nodes(const Graph& graph) {
  std::vector<bool> wanted(graph.values.size(), false);
  for (ValueId result : graph.results) wanted[static_cast<size_t>(result)] = true;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    if (graph.values[v].role == Role::statistic) wanted[v] = true;
  }
  // From the end: a node comes behind those that it reads from.
  std::vector<bool> forward(graph.nodes.size(), false);
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    forward[n] = std::any_of(node.outputs.begin(), node.outputs.end(),
                             [&](ValueId id) { return wanted[static_cast<size_t>(id)]; });
    if (!forward[n]) continue;
    for (ValueId input : node.inputs) {
      if (input != no_id) wanted[static_cast<size_t>(input)] = true;
    }
  }
  return forward;
}

Phase phase_of(const StepEvent& event, const std::vector<bool>& forward) {
  switch (event.part) {
    case StepPart::data:
      return Phase::data;
    case StepPart::kernel:
      return forward[static_cast<size_t>(event.node)] ? Phase::forward : Phase::backward;
    case StepPart::exchange:
      return Phase::exchange;
    case StepPart::check:
      return Phase::check;
    case StepPart::update:
      return Phase::update;
    case StepPart::other:
      return Phase::other;
  }
  return Phase::other;
}

std::string output_text(const Graph& graph, const Node& node) {
  const TensorType& type = graph.value(node.outputs.front()).type;
  return fmt::format("{}{}", name_of(type.dtype), type.shape.to_string());
}

ProfileFigures figures_of(const StepRecording& recording, const MachineRates& rates, double update_bytes) {
  ProfileFigures figures;
  std::map<const Program*, ProgramSums> programs;
  const std::vector<bool> no_nodes;
  std::array<PhaseSeconds, all_phases.size()> of_phases;
  StepTimeline::Clock::time_point at = recording.begin;
  size_t event = 0;
  for (size_t step_end : recording.step_ends) {
    StepTimeline::Clock::time_point step_begin = at;
    for (; event < step_end; ++event) {
      const StepEvent& done = recording.events[event];
      Cost cost;
      cost.calls = 1;
      if (done.part == StepPart::kernel) {
        const Graph& graph = done.program->graph;
        ProgramSums& sums = programs[done.program];
        if (sums.nodes.empty()) {
          sums.nodes.resize(graph.nodes.size());
          sums.forward = forward_nodes(graph);
        }
        auto node = static_cast<size_t>(done.node);
        cost = call_of(graph, graph.nodes[node], rates);
        cost.seconds = seconds_between(at, done.end);
        Cost& sum = sums.nodes[node];
        double fastest = sum.calls == 0 ? cost.seconds : std::min(sum.fastest_seconds, cost.seconds);
        sum += cost;
        sum.fastest_seconds = fastest;
      } else {
        cost.seconds = seconds_between(at, done.end);
        auto phase = static_cast<size_t>(phase_of(done, no_nodes));
        figures.phases[phase] += cost;
        of_phases[phase].step += cost.seconds;
      }
      at = done.end;
    }
    for (PhaseSeconds& phase : of_phases) {
      if (phase.step > 0 && (phase.least == 0 || phase.step < phase.least)) phase.least = phase.step;
      phase.step = 0;
    }
    figures.step_seconds.push_back(seconds_between(step_begin, at));
  }
  for (const ExchangeEvent& exchange : recording.exchanges) {
    figures.hidden_exchange_seconds += seconds_between(exchange.begin, exchange.end);
  }
  add_nodes(programs, figures);

  auto steps = static_cast<double>(recording.step_ends.size());
  for (size_t p = 0; p < of_phases.size(); ++p) {
    divide(figures.phases[p], steps);
    figures.phases[p].fastest_seconds += of_phases[p].least;
  }
  for (OpFigures& op : figures.ops) divide(op.cost, steps);
  for (NodeFigures& node : figures.nodes) divide(node.cost, steps);
  figures.hidden_exchange_seconds /= steps;
  Cost& update = figures.phases[static_cast<size_t>(Phase::update)];
  if (update.seconds > 0) {
    update.bytes = update_bytes;
    update.ideal_seconds = update_bytes / rates.copy_bytes;
  }
  sort_slowest_first(figures.ops);
  sort_slowest_first(figures.nodes);
  return figures;
}

}  // namespace trireme
