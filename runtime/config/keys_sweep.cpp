// Keys of a sweep's file.
#include "config/key_tables.h"
#include "config/sweep_config.h"

namespace trireme {
namespace {

KeyTable sweep_table(SweepTable& c) {
  return {
      "sweep",
      "what is searched by whom",
      {
          {"name",
           &c.name,
           {.doc = "Name of the sweep and of its folder, runs/<name>. Letters, digits, '.', '_' and '-'."}},
          {"base",
           &c.base,
           {.doc = "The training config that trials begin from; relative to this file. [sweep.set] "
                   "changes keys of it for all trials, [space] for each."}},
          {"seed",
           &c.seed,
           {.doc = "Seed of the sampler's draws. The seed of the trainings is the base's run.seed.",
            .at_least = 0}},
          {"sampler",
           &c.sampler,
           {.doc = "Who suggests points. grid: all combinations. random. sobol: a quasi-random sequence, "
                   "more even than random. tpe: Parzen estimators of what is good and what is not, all "
                   "parameters together; the one to begin with. gp: a Gaussian process with expected "
                   "improvement; for few trials of few parameters, numbers above all. cma_es: for "
                   "numbers, many trials. evolution: regularised evolution; for choices, many trials.",
            .choices = {"grid", "random", "sobol", "tpe", "gp", "cma_es", "evolution"}}},
          {"scheduler",
           &c.scheduler,
           {.doc = "Who decides which trials go on. none: all train to their end. median: stops those "
                   "that are worse than half of the others were at the same epoch. asha: successive "
                   "halving without waiting: a trial stands still at a rung of epochs and goes on once "
                   "it is among the best of it. hyperband: the same with several lowest rungs. pbt: "
                   "population-based training: the worst take over the state of the best and change "
                   "their values on the way. ltfb: tournaments between two: the loser takes over the "
                   "winner's state.",
            .choices = {"none", "median", "asha", "hyperband", "pbt", "ltfb"}}},
          {"launcher",
           &c.launcher,
           {.doc = "ranks: trials run in the sweep's own processes, one after another without a start. "
                   "steps: each trial is a step of SLURM's (srun --exact) of its own, so that one that "
                   "crashes takes nothing with it; the sweep is started once in the batch script then, "
                   "without srun. Outside of SLURM a process, or mpirun for several ranks. Not with pbt "
                   "and ltfb.",
            .choices = {"ranks", "steps"}}},
          {"ranks_per_trial",
           &c.ranks_per_trial,
           {.doc = "Ranks that train a trial together. It may be searched too, as "
                   "sweep.ranks_per_trial in [space].",
            .at_least = 1,
            .at_most = 65536}},
          {"slots",
           &c.slots,
           {.doc = "launcher steps: ranks that train at the same time, in all trials together. 0 for the "
                   "tasks of the SLURM job (sbatch --ntasks), or, outside of one, the cores.",
            .at_least = 0,
            .at_most = 65536}},
          {"retries",
           &c.retries,
           {.doc = "How often a trial is begun again that took its ranks, or its step, down with it. One "
                   "that fails in "
                   "an orderly way (its loss is no number, its keys do not go together) is not.",
            .at_least = 0,
            .at_most = 100}},
          {"suggest_ahead",
           &c.suggest_ahead,
           {.doc = "Work the next point out while trials run, so that no rank waits for the sampler; it "
                   "does not know the newest result then."}},
          {"keep_checkpoints",
           &c.keep_checkpoints,
           {.doc = "Whose checkpoints stay once a trial is over: the best trial's, all, or none.",
            .choices = {"best", "all", "none"}}},
          {"constraints",
           &c.constraints,
           {.doc = "Formulas that every point keeps; see below. One whose value hangs on a parameter that "
                   "is not active does not bind."}},
          {"srun_options",
           &c.srun_options,
           {.doc = "launcher steps: options for each trial's srun, for instance \"--mem-per-cpu=4G\" or "
                   "\"--gpus-per-task=1\"."}},
      }};
}

KeyTable budget_table(BudgetConfig& c) {
  return {
      "budget",
      "when it ends: what is spent first ends it; 0 is no limit, and one at least is needed (sampler grid "
      "ends by itself)",
      {
          {"trials", &c.trials, {.doc = "Trials in all, failed ones too.", .at_least = 0, .at_most = 1e9}},
          {"seconds",
           &c.seconds,
           {.doc = "Seconds over all starts of the sweep; trials that run then are stopped.", .at_least = 0}},
          {"epochs",
           &c.epochs,
           {.doc = "Epochs over all trials; those that run when they are spent go on to their end.",
            .at_least = 0}},
      }};
}

KeyTable tpe_table(TpeConfig& c) {
  return {"sweep.tpe",
          "tree-structured Parzen estimators (Bergstra et al., 2011), multivariate",
          {
              {"startup_trials",
               &c.startup_trials,
               {.doc = "Random points first.", .at_least = 1, .at_most = 1e6}},
              {"candidates",
               &c.candidates,
               {.doc = "Points that are drawn from the good trials' density; the best of them is suggested.",
                .at_least = 1,
                .at_most = 1e6}},
              {"gamma",
               &c.gamma,
               {.doc = "Which part of the trials counts as good; 0 for a tenth, and 25 at most.",
                .at_least = 0,
                .below = 1}},
              {"prior_weight",
               &c.prior_weight,
               {.doc = "Weight of the whole range, beside 1 for a trial.", .above = 0}},
          }};
}

KeyTable gp_table(GpConfig& c) {
  return {"sweep.gp",
          "a Gaussian process with Matern 5/2 kernel and expected improvement",
          {
              {"startup_trials",
               &c.startup_trials,
               {.doc = "Random points first.", .at_least = 1, .at_most = 1e6}},
              {"fit_every",
               &c.fit_every,
               {.doc = "Finished trials after which the kernel's length scales are fitted anew.",
                .at_least = 1,
                .at_most = 1e6}},
          }};
}

KeyTable cma_es_table(CmaEsConfig& c) {
  return {
      "sweep.cma_es",
      "covariance matrix adaptation (Hansen, 2016)",
      {
          {"population",
           &c.population,
           {.doc = "Trials of a generation; 0 for 4 + 3 ln(number of parameters).",
            .at_least = 0,
            .at_most = 1e6}},
          {"sigma", &c.sigma, {.doc = "The first step, as a part of each range.", .above = 0, .at_most = 1}},
      }};
}

KeyTable evolution_table(EvolutionConfig& c) {
  return {"sweep.evolution",
          "regularised evolution (Real et al., 2019)",
          {
              {"population",
               &c.population,
               {.doc = "How many of the newest trials may be parents.", .at_least = 2, .at_most = 1e6}},
              {"tournament",
               &c.tournament,
               {.doc = "How many of them are drawn; the best is the parent.", .at_least = 1, .at_most = 1e6}},
              {"mutation_probability",
               &c.mutation_probability,
               {.doc = "Of each parameter; 0 for 1 / number of parameters. One changes in any case.",
                .at_least = 0,
                .at_most = 1}},
          }};
}

KeyTable grid_table(GridConfig& c) {
  return {"sweep.grid",
          "all combinations",
          {
              {"points",
               &c.points,
               {.doc = "Values of a parameter that has more of them, or a continuum.",
                .at_least = 1,
                .at_most = 1e6}},
          }};
}

KeyTable median_table(MedianConfig& c) {
  return {"sweep.median",
          "the median rule (Golovin et al., 2017)",
          {
              {"startup_trials",
               &c.startup_trials,
               {.doc = "Trials that must be over before any is stopped.", .at_least = 1, .at_most = 1e6}},
              {"warmup_epochs",
               &c.warmup_epochs,
               {.doc = "Epochs of each trial that are not judged.", .at_least = 0, .at_most = 1e9}},
          }};
}

KeyTable halving_table(HalvingConfig& c, std::string_view name, std::string_view doc) {
  KeyTable table{name,
                 doc,
                 {
                     {"reduction",
                      &c.reduction,
                      {.doc = "The best of so many go on from each rung, for so many times the epochs.",
                       .at_least = 2,
                       .at_most = 1000}},
                     {"min_epochs", &c.min_epochs, {.doc = "Epochs of the lowest rung.", .at_least = 1}},
                 }};
  if (name == "sweep.hyperband") {
    table.keys.push_back(
        {"brackets",
         &c.brackets,
         {.doc = "Ladders that begin at different rungs; 0 for as many as there are rungs.", .at_least = 0}});
  }
  return table;
}

std::vector<Key> population_keys(PopulationConfig& c) {
  return {
      {"population",
       &c.population,
       {.doc = "Trials that are trained side by side.", .at_least = 2, .at_most = 1e6}},
      {"interval_epochs",
       &c.interval_epochs,
       {.doc = "Epochs from one comparison to the next.", .at_least = 1, .at_most = 1e9}},
  };
}

KeyTable pbt_table(PopulationConfig& c) {
  KeyTable table{"sweep.pbt", "population-based training (Jaderberg et al., 2017)", population_keys(c)};
  table.keys.push_back({"quantile",
                        &c.quantile,
                        {.doc = "The part of the population that takes over from as many of the best.",
                         .above = 0,
                         .at_most = 0.5}});
  table.keys.push_back(
      {"resample_probability",
       &c.resample_probability,
       {.doc = "Of each value that it is drawn anew, and not perturbed.", .at_least = 0, .at_most = 1}});
  table.keys.push_back({"perturb",
                        &c.perturb,
                        {.doc = "Numbers are multiplied or divided by it.", .above = 1, .at_most = 100}});
  return table;
}

KeyTable ltfb_table(PopulationConfig& c) {
  KeyTable table{"sweep.ltfb", "let a thousand flowers bloom (Jacobs et al., 2017)", population_keys(c)};
  table.keys.push_back({"copies_values",
                        &c.copies_values,
                        {.doc = "The loser takes over the winner's values too, not the state alone."}});
  return table;
}

}  // namespace

std::vector<KeyTable> tables_of(SweepConfig& c) {
  return {sweep_table(c.sweep),
          budget_table(c.budget),
          tpe_table(c.tpe),
          gp_table(c.gp),
          cma_es_table(c.cma_es),
          evolution_table(c.evolution),
          grid_table(c.grid),
          median_table(c.median),
          halving_table(c.asha, "sweep.asha", "asynchronous successive halving (Li et al., 2018)"),
          halving_table(c.hyperband, "sweep.hyperband", "Hyperband (Li et al., 2017) without waiting"),
          pbt_table(c.pbt),
          ltfb_table(c.ltfb)};
}

KeyTable objective_table(ObjectiveConfig& c, std::string& at) {
  return {
      "objective",
      "what is sought; several, as [[objective]], for the Pareto front",
      {
          {"metric",
           &c.metric,
           {.doc = "The figure: of the validation, or of the run: the seconds that it trained, the number "
                   "of its parameters, its samples per second.",
            .choices = {"validation.loss", "validation.accuracy", "validation.perplexity", "train_seconds",
                        "parameters", "samples_per_second"}}},
          {"goal",
           &c.goal,
           {.doc = "auto: to maximize validation.accuracy and samples_per_second, to minimize the others.",
            .choices = {"auto", "minimize", "maximize"}}},
          {"at",
           &at,
           {.doc = "Which of a trial's validations counts, for all objectives: the last, or the best.",
            .choices = {"last", "best"}}},
      }};
}

}  // namespace trireme
