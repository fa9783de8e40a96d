// One trial in a process of its own, or on the ranks of one: the other side of step_runner.
#pragma once

#include <cstdint>
#include <filesystem>

namespace trireme {

struct StepTrial {
  std::filesystem::path config;         // complete TOML of the training run
  std::filesystem::path run_directory;  // of the trial
  int64_t number = 0;
  int cores = 0;  // that a rank may keep busy; 0: its part of those that it may run on
};

// Runs the trial on the ranks of this launch, and talks with the sweep by letters on rank 0's standard input
// and output, which nothing else is written to from here on: what ranks print goes to standard error. Ends
// well whatever becomes of the training, which the last letter tells. Throws MissingInputError, IoError
// (the config cannot be read), what World throws, and what strikes one rank of several alone.
void run_step_trial(const StepTrial& trial);

}  // namespace trireme
