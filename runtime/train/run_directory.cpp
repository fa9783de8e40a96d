#include "train/run_directory.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"

namespace trireme {
namespace fs = std::filesystem;
namespace {

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw IoError("{}: cannot be removed: {}", path.string(), error.message());
}

}  // namespace

void RunDirectory::open(bool fresh) const {
  make_directories(path_);
  if (!fresh) return;
  // The newest state goes last: a kill in between leaves nothing that looks whole but is not.
  for (const fs::path& one : {summary(), metrics(), config(), log(), checkpoints()}) remove_tree(one);
  sync_directory(path_);
}

bool RunDirectory::says_finished() const {
  if (!fs::exists(summary())) return false;
  nlohmann::json json = nlohmann::json::parse(read_file(summary()), nullptr, false);
  return json.is_object() && json.value("state", "") == "finished";
}

void RunDirectory::begin() const { remove_tree(summary()); }

}  // namespace trireme
