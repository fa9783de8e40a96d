// The sample sweep as a folder that a sweep has written: its config, its base config, its journal.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "support/temporary_folder.h"
#include "sweep/journal.h"
#include "sweep/sample_sweep.h"
#include "sweep/shared_journals.h"

namespace trireme {

// Writes net.toml and sweep.toml to `folder`: the space is SampleSweep::space().
inline std::filesystem::path write_sample_files(const std::filesystem::path& folder,
                                                bool accuracy_too = false) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "net.toml") << R"(
[run]
name = "net"
[data]
train = "train.h5"
validation = "validation.h5"
[model]
kind = "cnn"
[train]
epochs = 9
)";
  std::ofstream(folder / "search.toml")
      << R"(
[sweep]
name = "sample"
base = "net.toml"
sampler = "random"
)" << (accuracy_too ? "" : "scheduler = \"asha\"\n")
      << R"([budget]
trials = 60
[space]
optimizer.kind = { choice = ["sgd", "adam", "adamw"] }
optimizer.learning_rate = { log_uniform = [1e-5, 1.0] }
optimizer.momentum = { uniform = [0.0, 0.99], when = 'optimizer.kind == "sgd"' }
data.batch = { log_int = [16, 512] }
model.dense = { int = [8, 256] }
data.transform.horizontal_flip = { choice = [false, true] }
)"
      << (accuracy_too ? "[[objective]]\nmetric = \"validation.loss\"\n[[objective]]\nmetric = "
                         "\"validation.accuracy\"\n"
                       : "[objective]\nmetric = \"validation.loss\"\n");
  return folder / "search.toml";
}

// The folder of a sweep with such a journal; its times are those of writing.
inline void write_sample_folder(const std::filesystem::path& folder, const SweepView& view) {
  std::filesystem::path file = write_sample_files(folder / "source", view.config.objectives.size() > 1);
  save_sweep_config(load_sweep_config(file.string()), folder.string());
  std::filesystem::create_directories(folder / "journal");
  JournalWriter writer(journal_path(folder, 0));
  for (const SweepEvent& event : view.events) writer.append(event.record);
}

}  // namespace trireme
