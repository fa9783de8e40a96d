// Sweeps over ranks as threads whose trials are functions: they train nothing, take a random while, and keep
// what they have "learned" in a file of their run directory and in memory, as a training run does.
#pragma once

#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "base/rng.h"
#include "comm/mailbox.h"
#include "config/sweep_config.h"
#include "support/temporary_folder.h"
#include "sweep/shared_journals.h"
#include "sweep/sweep.h"

namespace trireme {

// What the trials of one sweep have done, over all ranks and starts.
struct TrialLog {
  std::mutex mutex;
  std::map<int64_t, int> begun;                    // by trial: runs begun, on rank 0 of the group
  std::map<int64_t, std::vector<int64_t>> epochs;  // by trial: trained, in order
  std::map<int64_t, std::vector<int64_t>> taken;  // by trial: who made the state that it began from in memory
  std::atomic<int> running{0};                    // ranks
};

struct FunctionTrials {
  int64_t epochs = 3;
  double longest_epoch_seconds = 0.002;
  std::function<void(const TrialOrder& order, int64_t epoch, int rank)> at_epoch = {};  // may throw
  std::function<double(const Config& config, int64_t epoch)> loss = [](const Config& config, int64_t epoch) {
    double distance = std::log10(config.optimizer.learning_rate) + 2;
    return distance * distance + 1.0 / static_cast<double>(epoch);
  };
};

// A state: who trained last, and how long.
inline void put_state(KeptState& state, int64_t trial, int64_t epoch) {
  state.layout = "parameter 'x' [2]\n";
  if (state.pieces.empty()) state.pieces.emplace_back(4096 * sizeof(int64_t));
  state.pieces[0].as<int64_t>()[0] = trial;
  state.pieces[0].as<int64_t>()[4095] = trial;
  state.position.step = 10 * epoch;
}

inline TrialRunner function_runner(const FunctionTrials& trials, TrialLog& log) {
  return [&trials, &log](const TrialOrder& order, Communicator& group,
                         const std::function<Verdict(const TrialMeasure&)>& report, KeptState* kept,
                         const std::function<bool()>& stop) -> TrialEnd {
    Config config = parse_config(order.config, "trial");
    std::filesystem::path folder = order.run_directory;
    std::filesystem::path file = folder / "checkpoints" / "state";
    bool first = group.rank() == 0;
    int64_t epoch = 0;
    log.running += 1;
    struct Left {
      std::atomic<int>& running;
      ~Left() { running -= 1; }
    } left{log.running};
    if (first) {
      std::lock_guard lock(log.mutex);
      ++log.begun[order.trial];
      if (kept != nullptr && !kept->empty()) {
        int64_t maker = kept->pieces[0].as<int64_t>()[0];
        if (maker != kept->pieces[0].as<int64_t>()[4095]) throw Error(ExitCode::internal, "a torn state");
        log.taken[order.trial].push_back(maker);
        epoch = kept->position.step / 10;
      } else if (std::filesystem::exists(file)) {
        std::ifstream(file) >> epoch;
      }
    }
    group.broadcast(&epoch, sizeof epoch, 0);
    auto end = [&](TrialEnd::State state) -> TrialEnd { return {state, "", 10 * epoch}; };
    auto save = [&] {
      if (!first) return;
      std::filesystem::create_directories(file.parent_path());
      write_file_atomically(file, std::to_string(epoch));
      if (kept != nullptr && order.keeps_state) put_state(*kept, order.trial, epoch);
    };
    while (epoch < trials.epochs) {
      RandomStream random(static_cast<uint64_t>(order.trial), Purpose::test, static_cast<uint64_t>(epoch));
      double seconds = random.uniform() * trials.longest_epoch_seconds;
      for (int part = 0; part < 4; ++part) {
        int64_t stopping = stop() ? 1 : 0;
        group.all_reduce(&stopping, 1, DType::int64, ReduceOp::max);
        if (stopping != 0) {
          save();
          return end(TrialEnd::State::interrupted);
        }
        std::this_thread::sleep_for(std::chrono::duration<double>(seconds / 4));
      }
      ++epoch;
      if (trials.at_epoch) trials.at_epoch(order, epoch, group.rank());
      int64_t verdict = 0;
      if (first) {
        {
          std::lock_guard lock(log.mutex);
          log.epochs[order.trial].push_back(epoch);
        }
        TrialMeasure measure{.epoch = epoch, .step = 10 * epoch, .seconds = seconds, .figures = {}};
        measure.figures["validation.loss"] = trials.loss(config, epoch);
        verdict = static_cast<int64_t>(report(measure).kind);
      }
      group.broadcast(&verdict, sizeof verdict, 0);
      if (epoch == trials.epochs) break;
      auto kind = static_cast<Verdict::Kind>(verdict);
      if (kind == Verdict::Kind::stop) return end(TrialEnd::State::stopped);
      save();
      if (kind == Verdict::Kind::pause) return end(TrialEnd::State::paused);
    }
    save();
    return end(TrialEnd::State::finished);
  };
}

// A folder with a base config and a sweep over it.
class FunctionSweep {
 public:
  // `text`: more of the sweep's file.
  explicit FunctionSweep(const std::string& text, const std::string& space = default_space)
      : config(make_config(folder_, text, space)), base(load_sweep_base(config)) {}

  // On so many ranks as threads; goes on with what is there. Returns what rank 0 has.
  SweepResult run(int ranks, const std::function<bool()>& stop_requested = {}, int64_t worker = 0) {
    SweepResult result;
    TrialRunner runner = function_runner(trials, log);
    run_meeting_ranks(ranks, [&](Meeting& meeting) {
      SweepOptions options{.folder = sweep_folder(), .worker = worker};
      if (meeting.rank == 0) {
        options.stop_requested = stop_requested;
        options.publish = publish;
        options.tell = [this](const std::string& line) {
          std::lock_guard lock(log.mutex);
          said.push_back(line);
        };
      }
      SweepResult mine = run_sweep(config, base, meeting, runner, options);
      if (meeting.rank == 0) result = mine;
    });
    return result;
  }
  std::filesystem::path sweep_folder() const { return folder_ / "sweep"; }
  std::filesystem::path journal() const { return journal_path(sweep_folder(), 0); }
  std::vector<Record> records() const { return read_journal(journal()).records; }
  History history() const {
    History history(config.at == "best", true);
    for (const Record& record : records()) history.apply(record);
    return history;
  }

  // Of what may change between a trial's state and another's going on from it.
  static constexpr const char* changeable_space =
      "optimizer.learning_rate = { log_uniform = [1e-4, 1.0] }\nmodel.dropout = { uniform = [0.1, 0.5] }\n";
  static constexpr const char* default_space =
      "optimizer.learning_rate = { log_uniform = [1e-4, 1.0] }\ndata.batch = { int = [1, 64] }\n";

 private:
  static SweepConfig make_config(const test::TemporaryFolder& folder, const std::string& text,
                                 const std::string& space) {
    write_file_atomically(folder / "base.toml",
                          "[data]\ntrain = \"train.h5\"\nvalidation = \"test.h5\"\n[train]\nepochs = 3\n");
    return parse_sweep_config("[sweep]\nbase = \"base.toml\"\n" + text + "\n[space]\n" + space,
                              (folder / "sweep.toml").string());
  }
  test::TemporaryFolder folder_;

 public:
  SweepConfig config;
  Config base;
  FunctionTrials trials;
  TrialLog log;
  std::function<void(const SweepView&, bool)> publish;
  std::vector<std::string> said;
};

}  // namespace trireme
