#include "train/profile/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace trireme {
namespace {

constexpr size_t slowest_nodes = 10;

std::string rate_text(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds / 1e9) : "-";
}

std::string machine_text(const Cost& cost) {
  return cost.ideal_seconds > 0 && cost.fastest_seconds > 0
             ? fmt::format("{:.0f} %", 100 * cost.ideal_seconds / cost.fastest_seconds)
             : "-";
}

// Behind a row's name.
std::string cost_columns(const Cost& cost, double step_seconds, bool counts_calls) {
  return fmt::format("{:>7} {:>9.3f} {:>6.1f} {:>9.3f} {:>9} {:>7} {:>8}",
                     counts_calls ? fmt::format("{:.5g}", cost.calls) : "", cost.seconds * 1e3,
                     100 * cost.seconds / step_seconds, cost.fastest_seconds * 1e3,
                     rate_text(cost.flops, cost.fastest_seconds), rate_text(cost.bytes, cost.fastest_seconds),
                     machine_text(cost));
}

constexpr std::string_view columns = "  calls   ms/step      %   fastest   GFLOP/s    GB/s  machine";

bool is_of_kernels(Phase phase) { return phase == Phase::forward || phase == Phase::backward; }

std::string head(const ProfileFigures& figures, const MachineRates& rates, const ProfileSetting& setting) {
  std::vector<double> sorted = figures.step_seconds;
  std::sort(sorted.begin(), sorted.end());
  double mean = figures.mean_step_seconds();
  auto steps = static_cast<double>(sorted.size());
  std::string text = fmt::format(
      "profile of '{}': {} steps behind {} of warm-up, {} thread(s), backend {}, {}\n", setting.name,
      sorted.size(), setting.warm_up, setting.threads, setting.backend, setting.precision);
  if (setting.ranks > 1) {
    text += fmt::format("the times are those of rank 0 of {}{}\n", setting.ranks,
                        setting.exchanges_beside ? ", which exchanges in a thread of its own" : "");
  }
  text += fmt::format("machine{}: matrix product {:.1f} GFLOP/s",
                      setting.ranks > 1 ? ", all ranks at once" : "", rates.float32_flops / 1e9);
  if (rates.bfloat16_flops > 0) text += fmt::format(" (bfloat16 {:.1f})", rates.bfloat16_flops / 1e9);
  text += fmt::format(", copy {:.1f} GB/s read and written\n", rates.copy_bytes / 1e9);
  text += fmt::format("step    {:.3f} ms (median {:.3f}, fastest {:.3f}), {:.0f} samples/s\n", mean * 1e3,
                      sorted[sorted.size() / 2] * 1e3, sorted.front() * 1e3,
                      static_cast<double>(setting.samples) / (mean * steps));
  if (setting.left_out > 0) {
    text += fmt::format(
        "{} of the steps (warm-up included) updated nothing, since float16 gradients overflowed\n",
        setting.left_out);
  }
  return text;
}

std::string op_table(const ProfileFigures& figures) {
  double step = figures.mean_step_seconds();
  std::string text = fmt::format("\n{:<31} {:<9}{:<9}{}\n", "by op", "type", "phase", columns);
  for (const OpFigures& row : figures.ops) {
    text += fmt::format("{:<31} {:<9}{:<9}", row.op, name_of(row.type), name_of(row.phase));
    text += cost_columns(row.cost, step, true) + "\n";
  }
  return text;
}

std::string phase_table(const ProfileFigures& figures) {
  double step = figures.mean_step_seconds();
  std::string text = fmt::format("\n{:<50}{}\n", "by phase", columns);
  Cost sum;
  for (Phase phase : all_phases) {
    const Cost& cost = figures.phase(phase);
    sum.seconds += cost.seconds;
    sum.fastest_seconds += cost.fastest_seconds;
    text += fmt::format("{:<50}", name_of(phase)) + cost_columns(cost, step, is_of_kernels(phase)) + "\n";
  }
  text += fmt::format("{:<50}", "sum") + cost_columns(sum, step, false) + "\n";
  if (figures.hidden_exchange_seconds > 0) {
    text += fmt::format("beside the step, in the communication thread: {:.3f} ms of exchange\n",
                        figures.hidden_exchange_seconds * 1e3);
  }
  return text;
}

// Names behind the figures: they may be long.
std::string node_table(const ProfileFigures& figures) {
  double step = figures.mean_step_seconds();
  std::string text = fmt::format("\n{}  slowest nodes\n", columns);
  for (size_t i = 0; i < std::min(slowest_nodes, figures.nodes.size()); ++i) {
    const NodeFigures& row = figures.nodes[i];
    text += fmt::format("{}  {} {} {}\n", cost_columns(row.cost, step, true), row.origin, row.op, row.output);
  }
  return text;
}

}  // namespace

std::string report_text(const ProfileFigures& figures, const MachineRates& rates,
                        const ProfileSetting& setting) {
  return head(figures, rates, setting) + op_table(figures) + phase_table(figures) + node_table(figures) +
         "\nfastest: ms/step if each call of a node took as long as its fastest one; the rates beside it are "
         "its\n"
         "machine: the part of it that the FLOPs at the rate of the matrix product, or the bytes at that of "
         "the copy,\n"
         "         would take, whichever is more; over 100 % where data stay in caches, or float32 products "
         "are made on matrix units\n";
}

}  // namespace trireme
