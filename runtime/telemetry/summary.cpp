#include "telemetry/summary.h"

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"

namespace trireme {
namespace {

using Json = nlohmann::ordered_json;  // its dump() writes nan and infinity as null

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::finished:
      return "finished";
    case Outcome::stopped:
      return "stopped";
    case Outcome::failed:
      return "failed";
  }
  return "?";
}

}  // namespace

std::string summary_json(const Summary& summary) {
  Json validation;  // null
  if (summary.validation) {
    validation = {{"step", summary.validation->step}, {"epoch", summary.validation->epoch}};
    for_each_figure(*summary.validation,
                    [&validation](const char* name, double value) { validation[name] = value; });
  }
  Json object = {{"state", name_of(summary.state)},
                 {"steps", summary.steps},
                 {"epochs", summary.epochs},
                 {"train_seconds", summary.train_seconds},
                 {"samples_per_second", summary.samples_per_second},
                 {"startup_seconds", summary.startup_seconds},
                 {"data_stall_fraction", summary.data_stall_fraction},
                 {"validation", validation},
                 {"parameters", summary.parameters},
                 {"parameters_sha256", summary.parameters_sha256},
                 {"ranks", summary.ranks},
                 {"hosts", summary.hosts},
                 {"virtual_ranks", summary.virtual_ranks},
                 {"checkpoint_step", summary.checkpoint_step},
                 {"checkpoints_written", summary.checkpoints_written},
                 {"checkpoints_failed", summary.checkpoints_failed},
                 {"checkpoint_stall_seconds", summary.checkpoint_stall_seconds}};
  if (!summary.error.empty()) object["error"] = summary.error;
  // An error message may hold bytes of a broken file name: replace what is not UTF-8 rather than throw.
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

void write_summary(const std::filesystem::path& path, const Summary& summary) {
  write_file_atomically(path, summary_json(summary));
}

}  // namespace trireme
