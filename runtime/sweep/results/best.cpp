// best.toml: the config of the best trial, ready for trireme-train.
#include <fmt/format.h>

#include <cmath>

#include "base/atomic_file.h"
#include "base/error.h"
#include "config/config.h"
#include "sweep/results.h"
#include "sweep/results/figures.h"
#include "sweep/results/progress.h"
#include "sweep/results/words.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// A comment never ends early.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string comments(const SweepView& view, const Trial& trial, size_t front, const std::string& name) {
  const SweepTable& sweep = view.config.sweep;
  std::string lines;
  auto add = [&lines](const std::string& line) { lines += one_line("# " + line) + "\n"; };
  if (front > 1) {
    add(fmt::format("One of the {} trials of sweep \"{}\" that no other beats in all objectives: trial {}.",
                    front, sweep.name, trial.number));
  } else {
    add(fmt::format("The best of the {} trials of sweep \"{}\"{}: trial {}.", view.history.trials().size(),
                    sweep.name, view.is_open() ? " so far" : "", trial.number));
  }
  add(fmt::format("{}, after epoch {}; it took {} on {} rank{}.", scores_text(view.config, trial.scores),
                  epoch_of_scores(trial), clock_text(trial.busy_seconds / trial.width), trial.width,
                  trial.width == 1 ? "" : "s"));
  add(fmt::format("Sampler {}, scheduler {}, seed {}; trial {} {}{}.", sweep.sampler, sweep.scheduler,
                  sweep.seed, trial.number, name_of(trial.state),
                  trial.reason.empty() ? "" : ": " + trial.reason));
  add("What was searched:");
  for (const std::string& assignment : view.space.assignments(trial.point)) add("  " + assignment);
  if (sweep.scheduler == "pbt" || sweep.scheduler == "ltfb") {
    add("Population-based training changes values on the way: these are the last ones.");
  }
  add(fmt::format("Train with it: trireme-train {} (on {} rank{}, as the trial was)", name, trial.width,
                  trial.width == 1 ? "" : "s"));
  return lines + "\n";
}

// "best.toml", "best-1.toml" ...
std::string name_of_best(size_t i) { return i == 0 ? "best.toml" : fmt::format("best-{}.toml", i); }

}  // namespace

std::vector<std::pair<std::string, std::string>> bests_of(const SweepView& view) {
  std::vector<int64_t> front = front_so_far(view);
  std::vector<std::pair<std::string, std::string>> bests;
  for (size_t i = 0; i < front.size(); ++i) {
    const Trial& trial = view.history.trial(front[i]);
    Config config = make_trial_config(view.config, view.space.assignments(trial.point));
    // A run of its own: not the base config's, whose folder may hold one.
    std::string name = name_of_best(i);
    config.run.name = fmt::format("{}_{}", view.config.sweep.name, fs::path(name).stem().string());
    bests.emplace_back(name, comments(view, trial, front.size(), name) + dump_config(config));
  }
  return bests;
}

std::vector<fs::path> write_best(const fs::path& folder, const SweepView& view) {
  std::vector<fs::path> files;
  for (const auto& [name, text] : bests_of(view)) {
    files.push_back(folder / name);
    if (is_absent(files.back()) || read_file(files.back()) != text) write_file_atomically(files.back(), text);
  }
  if (files.empty()) return files;
  for (size_t i = files.size(); !is_absent(folder / name_of_best(i)); ++i) {
    fs::path former = folder / name_of_best(i);
    std::error_code error;
    fs::remove(former, error);
    if (error) throw IoError("{}: cannot be removed: {}", former.string(), error.message());
  }
  return files;
}

}  // namespace trireme
