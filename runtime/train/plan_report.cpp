#include "train/plan_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "data/dataset.h"
#include "data/sampler.h"
#include "graph/op.h"
#include "models/models.h"
#include "optim/groups.h"
#include "train/programs.h"
#include "train/session.h"
#include "train/strategies.h"

namespace trireme {
namespace {

std::string human_bytes(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(units)) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.2f} {}", bytes, units[unit]);
}

double flops_of(const Graph& graph) {
  double flops = 0;
  for (const Node& node : graph.nodes) {
    const Op& op = find_op(node.op);
    if (op.flops) flops += op.flops(graph, node);
  }
  return flops;
}

// With the settings that each moves by, where they are none of the rule's own.
std::string parameter_lines(const ArenaLayout& layout, const std::vector<UpdateSpan>& spans) {
  std::string text;
  for (size_t i = 0; i < spans.size(); ++i) {
    const ArenaTensor& tensor = layout.parameters[i];
    text += fmt::format("  {:<28} {:<22} {:>12}", tensor.name, tensor.shape.to_string(), tensor.size());
    if (spans[i].weight_decay != 0) text += fmt::format("  weight decay {}", spans[i].weight_decay);
    if (spans[i].learning_rate_factor != 1) {
      text += fmt::format("  learning rate x {}", spans[i].learning_rate_factor);
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::string plan_report(const Config& config, int ranks) {
  ImageDataset dataset(config.data.train, 0);
  if (dataset.size() == 0) throw DataError("{}: holds no samples", dataset.path().string());
  SampleShape sample = sample_shape(dataset);
  RunLength length = run_length(config, dataset.size());
  int64_t global_batch = std::min(config.data.batch, dataset.size());
  auto batch = std::max<int64_t>(1, static_cast<int64_t>(slice_of(global_batch, 0, ranks).size()));
  Program program = training_program(config, sample, batch);
  const ArenaLayout& layout = program.layout;
  Graph forward = build_model(config, sample, batch, GraphMode::training);

  auto per_sample = [batch](double flops) { return flops / static_cast<double>(batch); };
  auto bytes_of = [](size_t elements) { return human_bytes(static_cast<double>(elements * sizeof(float))); };
  std::vector<UpdateSpan> spans = update_spans(parameter_tensors(layout), config.optimizer);
  size_t slots = make_optimizer(config.optimizer, {{.range = {0, arena_alignment}}})->memory().size();
  double exchanged = static_cast<double>(layout.gradient_elements * sizeof(float));
  double on_wire = ranks > 1 ? 2.0 * (ranks - 1) / ranks * exchanged : 0.0;

  std::string text = fmt::format("program of rank 0 of {} (local batch {}), backend {}:\n", ranks, batch,
                                 config.train.backend);
  text += to_string(program.graph);
  if (!text.ends_with('\n')) text += '\n';
  text += "\nparameters, in arena order:\n" + parameter_lines(layout, spans);
  text += "\n";
  text += fmt::format("data        {} samples of {}, {} classes\n", dataset.size(),
                      dataset.image_shape().to_string(), dataset.classes());
  text += fmt::format("steps       {} an epoch (batch {} over all ranks), {} in all\n",
                      length.steps_per_epoch, config.data.batch, length.total_steps);
  text += fmt::format("parameters  {} ({})\n", layout.parameter_count(), bytes_of(layout.parameter_elements));
  text += fmt::format("gradients   {} with {} statistics\n", bytes_of(layout.gradient_elements),
                      layout.gradient_elements - layout.parameter_elements);
  text += fmt::format("optimizer   {} in {} slot(s) of {}\n", bytes_of(slots * layout.parameter_elements),
                      slots, config.optimizer.kind);
  text += fmt::format("activations {} planned, {} unplanned\n",
                      human_bytes(static_cast<double>(program.plan.bytes)),
                      human_bytes(static_cast<double>(program.plan.unplanned_bytes)));
  text += fmt::format("FLOPs       {:.4g} a sample forward, {:.4g} forward and backward\n",
                      per_sample(flops_of(forward)), per_sample(flops_of(program.graph)));
  text += fmt::format("exchange    {} reduced a step, {} sent by each rank (ring bound)\n",
                      human_bytes(ranks > 1 ? exchanged : 0.0), human_bytes(on_wire));
  return text;
}

}  // namespace trireme
