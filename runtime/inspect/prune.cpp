#include "inspect/prune.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "checkpoint/claim.h"
#include "checkpoint/keep.h"
#include "config/config.h"

namespace trireme {
namespace {

using Warn = std::function<void(const std::string&)>;

// The newest good checkpoint and what goes.
struct Plan {
  int64_t newest_good = 0;
  std::vector<CheckpointEntry> all, gone;
};

KeepRule rule_of(const Checkpoint& checkpoint, const PruneOptions& options) {
  CheckpointConfig own = parse_config(checkpoint.run().config, checkpoint.directory().string()).checkpoint;
  return {.newest = options.keep.value_or(own.keep),
          .every = options.keep_every.value_or(own.keep_every),
          .best = options.keep_best.value_or(own.keep_best),
          .metric = options.metric.value_or(own.metric)};
}

Plan plan_of(const Where& where, const PruneOptions& options, const Warn& warn) {
  Checkpoint newest = open_where(where, warn);
  Plan plan{newest.run().step, list_checkpoints(where.checkpoints), {}};
  for (const CheckpointEntry& entry : not_kept(plan.all, rule_of(newest, options))) {
    if (entry.step != plan.newest_good) plan.gone.push_back(entry);
  }
  return plan;
}

Report report_of(const Plan& plan, bool dry_run) {
  auto is_gone = [&plan](const CheckpointEntry& entry) {
    return std::any_of(plan.gone.begin(), plan.gone.end(),
                       [&](const CheckpointEntry& one) { return one.step == entry.step; });
  };
  Report report;
  report.json = {{"dry_run", dry_run},
                 {"deleted", nlohmann::ordered_json::array()},
                 {"kept", nlohmann::ordered_json::array()}};
  for (const CheckpointEntry& entry : plan.all) {
    bool gone = is_gone(entry);
    report.json[gone ? "deleted" : "kept"].push_back(entry.step);
    const char* words = !gone ? "kept" : dry_run ? "would be deleted" : "deleted";
    report.text += fmt::format("{}: {}\n", entry.directory.string(), words);
  }
  return report;
}

}  // namespace

Report prune(const Where& where, const PruneOptions& options, const Warn& warn) {
  if (where.checkpoint) {
    throw UsageError("{}: is one checkpoint; prune goes with a run", where.checkpoint->string());
  }
  // Before anything is claimed: that there is something, and that it is good.
  Plan plan = plan_of(where, options, warn);
  if (options.dry_run || plan.gone.empty()) return report_of(plan, options.dry_run);

  ClaimOptions claim_options;
  claim_options.newest_step = [&plan] { return plan.newest_good; };
  // This is no attempt at training that could fail to get on.
  claim_options.restarts = std::numeric_limits<int64_t>::max();
  claim_options.tell = warn;
  RunClaim claim(where.checkpoints, claim_options);
  plan = plan_of(where, options, {});  // somebody may have been here in between
  for (const CheckpointEntry& entry : plan.gone) delete_checkpoint(entry.directory, claim.workshop());
  remove_leftovers(where.checkpoints, claim.start());
  return report_of(plan, false);
}

}  // namespace trireme
