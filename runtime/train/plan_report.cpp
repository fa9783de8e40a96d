#include "train/plan_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/human.h"
#include "data/dataset.h"
#include "data/sampler.h"
#include "graph/op.h"
#include "optim/groups.h"
#include "train/micro_batches.h"
#include "train/parameter_server/flat_vector.h"
#include "train/programs.h"
#include "train/session.h"
#include "train/strategies.h"
#include "train/virtual_ranks.h"

namespace trireme {
namespace {

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

std::string bytes_of(size_t elements) { return human_bytes(static_cast<double>(elements * sizeof(float))); }

// A net's program for a piece of `batch` samples.
struct NetPlan {
  NetGraphs graphs;
  int64_t batch;
  Program program;
  CompileOptions options;
};

std::string program_lines(const NetPlan& plan) {
  std::string text = to_string(plan.program.graph);
  if (!text.ends_with('\n')) text += '\n';
  const ArenaLayout& layout = plan.program.layout;
  std::vector<UpdateSpan> spans = update_spans(parameter_tensors(layout), plan.graphs.optimizer);
  return text + "\nparameters, in arena order:\n" + parameter_lines(layout, spans) + "\n";
}

// Of programs that compute in 16 bits: what of the activations is held so.
std::string precision_line(const Graph& graph) {
  double narrow = 0, other = 0;
  std::string_view name;
  for (const Value& value : graph.values) {
    if (value.role != Role::activation || value.producer == no_id) continue;
    bool half = is_half_type(value.type.dtype);
    (half ? narrow : other) += static_cast<double>(value.type.bytes());
    if (half) name = name_of(value.type.dtype);
  }
  if (name.empty()) return "";
  return fmt::format("precision   {} of activations in {}, {} in others\n", human_bytes(narrow), name,
                     human_bytes(other));
}

// What recompute costs and saves.
std::string recompute_line(const NetPlan& plan, const std::string& policy) {
  if (plan.options.recompute == Recompute::none) return "recompute   none\n";
  CompileOptions options = plan.options;
  options.recompute = Recompute::none;
  Program keeping = compile_training(plan.graphs.training(plan.batch), options);
  double more = flops_of(plan.program.graph) / flops_of(keeping.graph) - 1;
  return fmt::format("recompute   {}: {} of activations in place of {}, {:.1f} % more FLOPs a step\n", policy,
                     human_bytes(static_cast<double>(plan.program.plan.bytes)),
                     human_bytes(static_cast<double>(keeping.plan.bytes)), 100 * more);
}

std::string optimizer_line(const NetPlan& plan, int ranks, bool sharded) {
  std::string kind = plan.graphs.optimizer.kind;
  size_t slots = make_optimizer(plan.graphs.optimizer, {{.range = {0, arena_alignment}}})->memory().size();
  std::string text = fmt::format("optimizer   {} in {} slot(s) of {}",
                                 bytes_of(slots * plan.program.layout.parameter_elements), slots, kind);
  if (sharded && ranks > 1) text += fmt::format(", a part of it on each of {} ranks", ranks);
  return text + "\n";
}

// What summing the pieces of a share, or the shards of virtual ranks, takes beside the gradients.
std::string sums_line(const ArenaLayout& layout, const Sharing& sharing) {
  auto sums = static_cast<size_t>(sharing.most_sums());
  if (sharing.virtual_ranks == 0 && sums == 0) return "";
  std::string text = fmt::format("sums        {} kept beside the gradients, {}", sums,
                                 bytes_of(sums * layout.gradient_elements));
  if (sharing.virtual_ranks > 0) {
    text += fmt::format(" (virtual ranks: {}, of which each rank computes {})", sharing.virtual_ranks,
                        sharing.virtual_ranks / sharing.ranks);
  }
  return text + "\n";
}

bool is_served(const Config& config) { return config.parallel.mode == "parameter_server"; }

// How many servers `ranks` processes have; those of a node each as if there were one node.
int64_t planned_servers(const Config& config, int ranks) {
  const CountOrName& servers = config.parameter_server.servers;
  if (servers.name == "colocated") return ranks;
  return servers.name.empty() ? servers.count : 1;
}

// A worker's piece in place of a rank's share.
Sharing planned_sharing(const Config& config, int ranks) {
  if (!is_served(config)) return sharing_of(config, 0, ranks);
  int64_t workers = ranks;
  if (config.parameter_server.servers.name != "colocated") workers -= planned_servers(config, ranks);
  int64_t pieces = config.parameter_server.pieces > 0 ? config.parameter_server.pieces : workers;
  return {.rank = 0, .ranks = std::max<int64_t>(1, pieces), .micro_batches = config.train.micro_batches};
}

std::string server_lines(const Config& config, const std::vector<NetPlan>& plans, int ranks) {
  int64_t servers = planned_servers(config, ranks);
  std::vector<FlatNet> nets;
  for (const NetPlan& plan : plans) nets.push_back({plan.program.layout, plan.graphs.optimizer});
  std::vector<FlatShard> shards = cut_flat_vector(nets, static_cast<size_t>(servers), PushTail::statistics);
  size_t longest = 0, blocks = 0;
  for (const FlatShard& shard : shards) {
    longest = std::max(longest, shard.layout.size());
    blocks += shard.layout.blocks.size();
  }
  const ParameterServerConfig& server = config.parameter_server;
  return fmt::format(
      "servers     {} of mode {}, {} of parameters each at most, {} blocks in all, {} replica(s); pushes in "
      "{}\n",
      servers, server.mode, bytes_of(longest), blocks, server.replicas, server.encoding);
}

std::string exchange_line(const ArenaLayout& layout, int ranks, bool served) {
  double exchanged = static_cast<double>(layout.gradient_elements * sizeof(float));
  if (served) {
    return fmt::format("exchange    {} pulled and {} pushed a piece, as float32\n",
                       bytes_of(layout.parameter_elements + layout.state_elements), human_bytes(exchanged));
  }
  double on_wire = ranks > 1 ? 2.0 * (ranks - 1) / ranks * exchanged : 0.0;
  return fmt::format("exchange    {} reduced a step, {} sent by each rank (ring bound)\n",
                     human_bytes(ranks > 1 ? exchanged : 0.0), human_bytes(on_wire));
}

std::string figure_lines(const NetPlan& plan, const Sharing& sharing, const Config& config) {
  auto ranks = static_cast<int>(sharing.ranks);
  const Program& program = plan.program;
  const ArenaLayout& layout = program.layout;
  auto per_sample = [&](const Graph& graph) { return flops_of(graph) / static_cast<double>(plan.batch); };
  std::string text;
  text += fmt::format("parameters  {} ({})\n", layout.parameter_count(), bytes_of(layout.parameter_elements));
  text += fmt::format("gradients   {} with {} statistics\n", bytes_of(layout.gradient_elements),
                      layout.gradient_elements - layout.parameter_elements);
  text += sums_line(layout, sharing);
  text += optimizer_line(plan, ranks, config.allreduce.shard_optimizer);
  text += precision_line(program.graph);
  text += fmt::format("activations {} planned, {} unplanned\n",
                      human_bytes(static_cast<double>(program.plan.bytes)),
                      human_bytes(static_cast<double>(program.plan.unplanned_bytes)));
  text += fmt::format("FLOPs       {:.4g} a sample forward, {:.4g} forward and backward\n",
                      per_sample(plan.graphs.training(plan.batch)), per_sample(program.graph));
  return text + exchange_line(layout, ranks, is_served(config));
}

}  // namespace

std::string plan_report(const Config& config, int ranks) {
  Datasets data = open_datasets(config.data);
  const Dataset& dataset = *data.training;
  RunLength length = run_length(config, dataset.size());
  int64_t global_batch = std::min(config.data.batch, dataset.size());
  Sharing sharing = planned_sharing(config, ranks);
  auto share = std::max<int64_t>(
      1, static_cast<int64_t>(share_of(global_batch, 0, sharing.ranks, sharing.virtual_ranks).size()));
  Pieces cut(global_batch, sharing);
  int64_t pieces = cut.count();
  int64_t batch = cut[0].count;
  CompileOptions options = compile_options(config);
  std::vector<NetPlan> plans;
  for (NetGraphs& graphs : net_graphs(config, dataset.sample_shape())) {
    Program program = compile_training(graphs.training(batch), options);
    plans.push_back({std::move(graphs), batch, std::move(program), options});
  }

  std::string text;
  for (const NetPlan& plan : plans) {
    if (plans.size() > 1) text += plan.graphs.name + ": ";
    text += fmt::format("program of {} of {} (local batch {}{}), backend {}:\n",
                        is_served(config) ? "the first piece" : "rank 0", sharing.ranks, share,
                        pieces > 1 ? fmt::format(" in {} {} of up to {}", pieces,
                                                 sharing.virtual_ranks > 0 ? "shards" : "pieces", batch)
                                   : "",
                        config.train.backend);
    text += program_lines(plan);
  }
  text += fmt::format("data        {}\n", dataset.description());
  text += fmt::format("steps       {} an epoch (batch {} over all ranks), {} in all\n",
                      length.steps_per_epoch, config.data.batch, length.total_steps);
  for (const NetPlan& plan : plans) {
    if (plans.size() > 1) text += plan.graphs.name + ":\n";
    text += figure_lines(plan, sharing, config) + recompute_line(plan, config.train.recompute);
  }
  if (is_served(config)) text += server_lines(config, plans, ranks);
  return text;
}

}  // namespace trireme
