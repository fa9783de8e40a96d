// The typed form of a sweep's TOML file, by the same declarations as config.h's:
//
//   [sweep]
//   name = "lenet"                      # runs/lenet
//   base = "fashion_lenet.toml"         # beside this file
//   sampler = "tpe"
//   scheduler = "asha"
//   constraints = ["data.batch * train.micro_batches <= 512"]
//   [sweep.set]                         # keys of the base config, for all trials
//   train.epochs = 9
//   [objective]                         # or several, [[objective]]: the Pareto front
//   metric = "validation.loss"
//   [budget]
//   trials = 100
//   [space]
//   optimizer.kind = { choice = ["sgd", "adam"] }
//   optimizer.learning_rate = { log_uniform = [1e-4, 1e-1] }
//   optimizer.momentum = { uniform = [0.0, 0.99], when = 'optimizer.kind == "sgd"' }
//   data.batch = { log_int = [16, 256] }
//   model.dense = { quantized = [32, 512], step = 32 }
//   sweep.ranks_per_trial = { choice = [1, 2] }
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"

namespace trireme {

// [sweep.tpe]: Bergstra et al. 2011; multivariate as Falkner et al. 2018 and Watanabe 2023.
struct TpeConfig {
  int64_t startup_trials = 10;  // random ones first
  int64_t candidates = 24;
  double gamma = 0;  // the good part of the trials; 0: min(0.1 n, 25) of them
  double prior_weight = 1;
  bool operator==(const TpeConfig&) const = default;
};
// [sweep.gp]
struct GpConfig {
  int64_t startup_trials = 10;
  int64_t fit_every = 1;  // finished trials after which the kernel is fitted anew
  bool operator==(const GpConfig&) const = default;
};
// [sweep.cma_es]
struct CmaEsConfig {
  int64_t population = 0;  // 0: 4 + 3 ln(parameters)
  double sigma = 0.25;     // the first step, in units of the range
  bool operator==(const CmaEsConfig&) const = default;
};
// [sweep.evolution]: Real et al. 2019.
struct EvolutionConfig {
  int64_t population = 32;
  int64_t tournament = 8;
  double mutation_probability = 0;  // of each parameter; 0: 1 / parameters
  bool operator==(const EvolutionConfig&) const = default;
};
// [sweep.grid]
struct GridConfig {
  int64_t points = 5;  // of a continuous parameter, or one of more values than that
  bool operator==(const GridConfig&) const = default;
};
// [sweep.median]
struct MedianConfig {
  int64_t startup_trials = 5;
  int64_t warmup_epochs = 1;
  bool operator==(const MedianConfig&) const = default;
};
// [sweep.asha] and [sweep.hyperband]
struct HalvingConfig {
  int64_t reduction = 3;   // eta
  int64_t min_epochs = 1;  // of the lowest rung
  int64_t brackets = 0;    // hyperband: 0: as many as there are rungs
  bool operator==(const HalvingConfig&) const = default;
};
// [sweep.pbt] and [sweep.ltfb]: Jaderberg et al. 2017; Jacobs et al. 2017 (LBANN's tournaments).
struct PopulationConfig {
  int64_t population = 16;
  int64_t interval_epochs = 1;
  double quantile = 0.25;  // pbt: of the worst, who take over from as many of the best
  double resample_probability = 0.25;
  double perturb = 1.2;       // numbers are multiplied or divided by it
  bool copies_values = true;  // ltfb: the loser takes the winner's hyperparameters too
  bool operator==(const PopulationConfig&) const = default;
};

// [sweep]
struct SweepTable {
  std::string name = "sweep";  // the sweep's folder, runs/<name>
  std::string base;            // a training config; in the file relative to it, here absolute
  int64_t seed = 1;
  std::string sampler = "tpe";     // grid random sobol tpe gp cma_es evolution
  std::string scheduler = "none";  // none median asha hyperband pbt ltfb
  std::string launcher = "ranks";  // ranks: in the processes of the sweep; steps: each a step of its own
  int64_t ranks_per_trial = 1;
  int64_t slots = 0;           // steps: ranks that train at the same time; 0: as many as the job has tasks
  int64_t retries = 1;         // of a trial that crashed
  bool suggest_ahead = false;  // the next point is worked out while trials run, without the newest results
  std::string keep_checkpoints = "best";  // best all none: of trials that are over
  std::vector<std::string> constraints;
  std::vector<std::string> srun_options;  // steps: more options of srun
  bool operator==(const SweepTable&) const = default;
};

// [objective] or [[objective]]
struct ObjectiveConfig {
  std::string metric = "validation.loss";  // validation.loss .accuracy .perplexity, train_seconds,
                                           // parameters, samples_per_second
  std::string goal = "auto";               // auto minimize maximize
  bool maximized = false;                  // goal, resolved
  Place place = {};
  bool operator==(const ObjectiveConfig&) const = default;
};

// [budget]: what is spent first ends the sweep: running trials are trained to their end (trials, epochs), or
// are stopped (seconds).
struct BudgetConfig {
  int64_t trials = 0;  // 0: no such limit, as for the others; one must be given
  double seconds = 0;  // over all starts
  int64_t epochs = 0;  // over all trials
  bool operator==(const BudgetConfig&) const = default;
};

// One row of [space] as it stands in the file.
struct SpaceEntry {
  std::string key;           // "optimizer.learning_rate"
  std::string distribution;  // uniform log_uniform int log_int choice quantized log_quantized
  double low = 0, high = 0;
  double step = 0;                        // quantized, log_quantized
  std::vector<std::string> choices = {};  // as TOML
  std::string when = {};
  Place place = {};
  bool operator==(const SpaceEntry&) const = default;
};

struct SweepConfig {
  SweepTable sweep;
  std::string at = "last";                  // objective.at: what a trial is judged by, last or best
  std::vector<ObjectiveConfig> objectives;  // one at least
  BudgetConfig budget;
  std::vector<SpaceEntry> space;                         // in the order of the file
  std::vector<std::pair<std::string, std::string>> set;  // [sweep.set]: key and TOML literal
  TpeConfig tpe;
  GpConfig gp;
  CmaEsConfig cma_es;
  EvolutionConfig evolution;
  GridConfig grid;
  MedianConfig median;
  HalvingConfig asha, hyperband;
  PopulationConfig pbt, ltfb;
  Origins origins;
  std::string text;       // the file as it stands
  std::string base_text;  // the file sweep.base, read once: a later change of it does not reach this sweep

  // "FILE:LINE:COLUMN" or "--set KEY=VALUE" of a key that was given, the file's name of one that was not.
  // "space.optimizer.kind", "sweep.set.train.epochs", "objective[1].metric".
  std::string where(std::string_view key) const;
  // Whether they describe the same sweep: places and texts do not count.
  bool operator==(const SweepConfig& other) const;
};

// As load_config: ConfigError (78) of one line that begins with FILE:LINE:COLUMN or "--set KEY=VALUE". Reads
// sweep.base too, where it is given, and puts its absolute path. An override of a row of [space] is
// "space.KEY={ int = [1, 8] }" or "space.KEY.int=[1, 8]"; "sweep.set.KEY=VALUE" one of [sweep.set].
SweepConfig load_sweep_config(const std::string& path, const std::vector<std::string>& overrides = {});
// The same of a text; `name` stands for the file, in messages and for sweep.base.
SweepConfig parse_sweep_config(std::string_view text, const std::string& name,
                               const std::vector<std::string>& overrides = {});
// The complete file as TOML that parses back to an equal one, anywhere on this machine.
std::string dump_sweep_config(const SweepConfig& config);
// Writes FOLDER/sweep.toml and, as it was when it was read, FOLDER/base.toml, which the former names:
// together they are the sweep, whatever becomes of the files that it was started with. Throws IoError.
void save_sweep_config(const SweepConfig& config, const std::string& folder);
std::string help_sweep_config();

// The training config of the sweep: sweep.base with [sweep.set]. Throws ConfigError also where a trial of it
// could not be judged: without training data, or without validation.
Config load_sweep_base(const SweepConfig& config);
// Every key of [space] is a key of the training config (or sweep.ranks_per_trial), and its ends, or each
// choice, are values that it may hold. Throws ConfigError naming the row.
void check_space_keys(const SweepConfig& config, const Config& base);
// The config of a trial: the base with the assignments of Space::assignments() ("key=literal"; those of the
// sweep's own keys are passed over). Keys of the base and of [sweep.set] that a searched kind does not read
// are left out. Throws ConfigError where they do not go together: a failed trial, not a failed sweep.
Config make_trial_config(const SweepConfig& config, const std::vector<std::string>& assignments);

}  // namespace trireme
