#include "sweep/runner.h"

#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <string_view>
#include <typeinfo>

#include "base/error.h"
#include "checkpoint/claim.h"
#include "config/config.h"
#include "data/data_files.h"
#include "train/placement.h"
#include "train/train.h"

namespace trireme {
namespace {

// The machine's share of a rank: what `train` would find out by itself if the group were all there is.
// Collective: the least over the group, since all ranks must have the same config.
void share_machine(int sharers, Communicator& group, Config& config) {
  int64_t cores = std::max(1, place_ranks(group).cores / std::max(1, sharers));
  int64_t lacking = -cores;
  group.all_reduce(&lacking, 1, DType::int64, ReduceOp::max);
  cores = -lacking;
  if (config.train.threads == 0 && config.parallel.virtual_ranks == 0) config.train.threads = cores;
  if (config.comm.overlap == "auto") config.comm.overlap = cores > config.train.threads ? "on" : "off";
}

TrialMeasure measure_of(const ValidationMoment& moment) {
  TrialMeasure measure;
  measure.epoch = moment.epoch;
  measure.step = moment.step;
  measure.seconds = moment.train_seconds;
  for_each_figure(moment, [&](const char* name, double value) {
    measure.figures["validation." + std::string(name)] = value;
  });
  measure.figures["train_seconds"] = moment.train_seconds;
  measure.figures["samples_per_second"] = moment.samples_per_second;
  measure.figures["parameters"] = static_cast<double>(moment.parameters);
  return measure;
}

Go go_of(Verdict::Kind kind) {
  switch (kind) {
    case Verdict::Kind::stop:
      return Go::drop;
    case Verdict::Kind::pause:
      return Go::pause;
    case Verdict::Kind::go_on:
      break;
  }
  return Go::on;
}

TrialEnd end_of(const TrainResult& result) {
  TrialEnd end;
  end.steps = result.steps;
  if (result.state == Outcome::finished) {
    end.state = TrialEnd::State::finished;
  } else if (result.judged == Go::pause) {
    end.state = TrialEnd::State::paused;
  } else if (result.judged == Go::drop) {
    end.state = TrialEnd::State::stopped;
  } else {
    end.state = TrialEnd::State::interrupted;
  }
  return end;
}

// Whether all ranks of a group throw this here: then none is left waiting in a collective for another.
bool is_everybodys(const Error& error, std::string_view phase) {
  if (dynamic_cast<const CommError*>(&error) != nullptr) return false;
  if (dynamic_cast<const DivergenceError*>(&error) != nullptr) return true;
  if (typeid(error) == typeid(Error)) return true;  // rank 0's, as the others are told it
  // A sample that one rank cannot read; a run that was taken over, which rank 0 alone sees.
  if (phase == "training" || phase == "validation") return dynamic_cast<const CheckpointError*>(&error);
  return phase != "checkpoint" || dynamic_cast<const ClaimError*>(&error) == nullptr;
}

// One trial on one rank.
class TrialRun {
 public:
  TrialRun(const TrialOrder& order, Communicator& group,
           const std::function<Verdict(const TrialMeasure&)>& report, KeptState* kept)
      : order_(order), group_(group), report_(report), kept_(kept) {}

  TrialEnd go(int sharers, DataFiles& files, const std::function<bool()>& stop) {
    try {
      group_.activity().begin_phase("start");
      Config config = parse_config(order_.config, fmt::format("trial {}", order_.trial));
      share_machine(sharers, group_, config);
      return end_of(train(config, group_, options(files, stop)));
    } catch (const Error& error) {
      if (report_failed_) throw;
      bool alone = group_.size() == 1 && dynamic_cast<const CommError*>(&error) == nullptr;
      if (!alone && !is_everybodys(error, group_.activity().snapshot().phase)) throw;
      TrialEnd end = failure(error.what());
      end.held = dynamic_cast<const ClaimError*>(&error) != nullptr;
      end.state = end_state_for(error);
      return end;
    } catch (const std::exception& error) {
      if (report_failed_ || group_.size() > 1) throw;
      return failure(error.what());
    }
  }

 private:
  TrainOptions options(DataFiles& files, const std::function<bool()>& stop) {
    TrainOptions options;
    options.run_directory = order_.run_directory;
    options.quiet = true;
    options.console = nullptr;
    options.stop_requested = stop;
    options.saves = order_.saves;
    options.durable_notes = false;
    options.files = &files;
    if (group_.rank() == 0) {
      options.begin_from = kept_;
      options.keep_in = order_.keeps_state ? kept_ : nullptr;
      options.hooks.after_validation = [this](const ValidationMoment& moment) { tell(moment); };
    }
    options.hooks.after_step = [this](const TrainRecord& record) { steps_ = record.step; };
    options.judge = [this](const ValidationRecord&) { return spread_verdict(); };
    return options;
  }

  // What report() throws is about the sweep and not about the trial.
  void tell(const ValidationMoment& moment) {
    try {
      verdict_ = report_(measure_of(moment)).kind;
    } catch (...) {
      report_failed_ = true;
      throw;
    }
  }

  Go spread_verdict() {
    auto go = static_cast<int64_t>(go_of(verdict_));
    group_.broadcast(&go, sizeof go, 0);
    return static_cast<Go>(go);
  }

  TrialEnd failure(const std::string& reason) const {
    return {.state = TrialEnd::State::failed, .reason = reason, .steps = steps_};
  }

  const TrialOrder& order_;
  Communicator& group_;
  const std::function<Verdict(const TrialMeasure&)>& report_;
  KeptState* kept_;
  Verdict::Kind verdict_ = Verdict::Kind::go_on;  // rank 0's, of the last report
  int64_t steps_ = 0;
  bool report_failed_ = false;
};

}  // namespace

TrialEnd::State end_state_for(const std::exception& error) {
  auto* known = dynamic_cast<const Error*>(&error);
  bool hindered = known != nullptr && known->code() == ExitCode::io;
  return hindered ? TrialEnd::State::hindered : TrialEnd::State::failed;
}

TrialRunner make_training_runner(int ranks_on_node) {
  return [sharers = ranks_on_node, files = std::make_shared<DataFiles>()](
             const TrialOrder& order, Communicator& group,
             const std::function<Verdict(const TrialMeasure&)>& report, KeptState* kept,
             const std::function<bool()>& stop) {
    return TrialRun(order, group, report, kept).go(sharers, *files, stop);
  };
}

}  // namespace trireme
