#include "inspect/where.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "checkpoint/manifest.h"
#include "config/config.h"
#include "train/run_directory.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

bool is_step_folder(const fs::path& path) { return step_of_folder_name(path.filename().string()) >= 0; }

// "RUN:938" is cut in two, unless something has that very name.
std::string cut_step(std::string text, std::optional<int64_t>& step) {
  size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size() || fs::exists(text)) return text;
  int64_t number = -1;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data() + colon + 1, end, number);
  if (error != std::errc() || stop != end || number < 0) return text;
  if (step) throw UsageError("{}: names a step, and --step another time", text);
  step = number;
  text.resize(colon);
  return text;
}

fs::path without_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

bool holds_step_folders(const fs::path& directory) {
  return std::any_of(fs::directory_iterator(directory), fs::directory_iterator(),
                     [](const auto& entry) { return is_step_folder(entry.path()); });
}

std::string steps_there(const fs::path& checkpoints) {
  std::vector<int64_t> steps;
  for (const CheckpointEntry& entry : list_checkpoints(checkpoints)) steps.push_back(entry.step);
  return steps.empty() ? "none" : fmt::format("{}", fmt::join(steps, ", "));
}

// The folder of checkpoints that a directory means.
fs::path checkpoints_of(const fs::path& directory) {
  fs::path inside = RunDirectory(directory).checkpoints();
  if (fs::is_directory(inside)) return inside;
  if (holds_step_folders(directory)) return directory;
  throw MissingInputError("{}: is no run directory: it holds no {}", directory.string(),
                          inside.filename().string());
}

}  // namespace

Where find_where(const std::string& text, const WhereOptions& options) {
  std::optional<int64_t> step = options.step;
  fs::path path = without_slash(cut_step(text, step));
  bool is_config = path.extension() == ".toml" && !fs::is_directory(path);
  if (!is_config && !options.run_directory.empty()) {
    throw UsageError("--run-dir goes with a CONFIG.toml; {} is none", path.string());
  }
  if (!is_config && !options.overrides.empty()) {
    throw UsageError("--set goes with a CONFIG.toml; {} is none", path.string());
  }
  Where where;
  if (is_config) {
    if (!fs::exists(path)) throw MissingInputError("{}: no such file", path.string());
    Config config = load_config(path.string(), options.overrides);
    fs::path run = options.run_directory.empty() ? "runs/" + config.run.name : options.run_directory;
    if (!fs::is_directory(run)) {
      throw MissingInputError("{}: there is no such run directory; train first, or name it with --run-dir",
                              run.string());
    }
    where.checkpoints = checkpoints_of(run);
  } else if (!fs::exists(path)) {
    throw MissingInputError("{}: there is no such run directory, checkpoint or CONFIG.toml", path.string());
  } else if (!fs::is_directory(path)) {
    throw UsageError("{}: is neither a directory nor a CONFIG.toml", path.string());
  } else if (fs::exists(path / Manifest::file_name) || is_step_folder(path)) {
    if (step) throw UsageError("{}: is one checkpoint; a step goes with a run", path.string());
    return {without_slash(path).parent_path(), path};
  } else {
    where.checkpoints = checkpoints_of(path);
  }
  if (step) {
    where.checkpoint = where.checkpoints / step_folder_name(*step);
    if (!fs::exists(*where.checkpoint)) {
      throw MissingInputError("{}: has no checkpoint of step {}; there are: {}", where.checkpoints.string(),
                              *step, steps_there(where.checkpoints));
    }
  }
  return where;
}

Checkpoint open_where(const Where& where, const std::function<void(const std::string&)>& warn) {
  if (where.checkpoint) return Checkpoint(*where.checkpoint);
  std::optional<Checkpoint> newest = open_newest_checkpoint(where.checkpoints, warn);
  if (!newest) throw MissingInputError("{}: holds no checkpoint", where.checkpoints.string());
  return std::move(*newest);
}

int64_t written_at(const fs::path& checkpoint) {
  struct stat status {};
  if (::stat((checkpoint / Manifest::file_name).c_str(), &status) != 0) return 0;
  return status.st_mtim.tv_sec;
}

}  // namespace trireme
