#include "checkpoint/reader.h"

#include <algorithm>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/hdf5.h"
#include "checkpoint/manifest.h"
#include "checkpoint/state_file.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr const char* advice =
    "the config's model or optimizer is not the one that was saved; begin anew with --fresh, or choose "
    "another "
    "--run-dir";

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// The bytes of the file that the manifest names, when they are what was written.
std::string read_verified(const fs::path& directory, const ManifestFile& file) {
  fs::path path = directory / file.name;
  if (!fs::exists(path)) throw CheckpointError("{}: is missing, though the manifest names it", path.string());
  std::error_code error;
  auto bytes = fs::file_size(path, error);
  if (!error && bytes != file.bytes) {
    throw CheckpointError("{}: has {} bytes, the manifest says {}: it was cut short or replaced",
                          path.string(), bytes, file.bytes);
  }
  std::string content = read_file(path);
  if (std::string hash = sha256_hex(bytes_of(content)); hash != file.sha256) {
    throw CheckpointError("{}: is damaged: its SHA-256 is {}, the manifest says {}", path.string(), hash,
                          file.sha256);
  }
  return content;
}

}  // namespace

std::vector<CheckpointEntry> list_checkpoints(const fs::path& checkpoints) {
  std::vector<CheckpointEntry> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(checkpoints, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    int64_t step = step_of_folder_name(entry->path().filename().string());
    std::error_code ignored;
    if (step >= 0 && fs::exists(entry->path() / Manifest::file_name, ignored))
      found.push_back({step, entry->path()});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw IoError("{}: cannot list the checkpoints: {}", checkpoints.string(), error.message());
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  return found;
}

struct Checkpoint::File {
  h5::Handle handle;
};

Checkpoint::Checkpoint(const fs::path& directory) : directory_(directory) {
  if (!fs::exists(directory / Manifest::file_name)) {
    throw CheckpointError("{}: has no {}: it is no checkpoint, or its writer was killed", directory.string(),
                          Manifest::file_name);
  }
  Manifest manifest = read_manifest(directory);
  if (manifest.files.size() != 1) {
    throw CheckpointError("{}: consists of {} files, this build reads checkpoints of one", directory.string(),
                          manifest.files.size());
  }
  std::string image = read_verified(directory, manifest.files.front());
  fs::path path = directory / manifest.files.front().name;
  try {
    file_ = std::make_unique<File>(File{h5::open_file_image(bytes_of(image), path.string())});
    run_ = read_run(file_->handle);
  } catch (const DataError& error) {
    throw CheckpointError("{}: is not the state of a run: {}", path.string(), error.what());
  }
  int64_t named = step_of_folder_name(directory.filename().string());
  if (run_.step != manifest.step || run_.epoch != manifest.epoch || (named >= 0 && named != manifest.step)) {
    throw CheckpointError(
        "{}: folder, manifest and state disagree about the step ({}, {}, {}) or epoch ({}, {})",
        directory.string(), named, manifest.step, run_.step, manifest.epoch, run_.epoch);
  }
}

Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

void Checkpoint::load(const std::string& group, std::span<const MutableTensor> tensors) const {
  try {
    std::vector<h5::Handle> datasets;
    for (const MutableTensor& tensor : tensors) {
      if (tensor.shape.elements() != static_cast<int64_t>(tensor.values.size())) {
        throw CheckpointError("{}/{}: shape {} does not fit the {} values to be filled", group, tensor.name,
                              tensor.shape.to_string(), tensor.values.size());
      }
      std::string path = group + "/" + tensor.name;
      if (!h5::exists(file_->handle, path)) {
        throw CheckpointError("{}: has no tensor {}: {}", directory_.string(), path, advice);
      }
      h5::Handle dataset = h5::open_dataset(file_->handle, path);
      if (Shape saved = h5::shape_of(dataset); !(saved == tensor.shape)) {
        throw CheckpointError("{}: tensor {} has shape {}, the run needs {}: {}", directory_.string(), path,
                              saved.to_string(), tensor.shape.to_string(), advice);
      }
      datasets.push_back(std::move(dataset));
    }
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (!tensors[i].values.empty()) h5::read_all(datasets[i], DType::float32, tensors[i].values.data());
    }
  } catch (const DataError& error) {
    throw CheckpointError("{}: {}", directory_.string(), error.what());
  }
}

void Checkpoint::load_parameters(std::span<const MutableTensor> tensors) const {
  load(parameters_group, tensors);
}

void Checkpoint::load_slot(const std::string& slot, std::span<const MutableTensor> tensors) const {
  load(std::string(optimizer_group) + "/" + slot, tensors);
}

void Checkpoint::load_states(std::span<const MutableTensor> tensors) const { load(state_group, tensors); }

std::vector<std::string> Checkpoint::slots() const { return h5::members(file_->handle, optimizer_group); }

std::optional<Checkpoint> open_newest_checkpoint(const fs::path& checkpoints,
                                                 const std::function<void(const std::string&)>& warn) {
  std::vector<CheckpointEntry> found = list_checkpoints(checkpoints);
  for (const CheckpointEntry& entry : found) {
    try {
      return Checkpoint(entry.directory);
    } catch (const Error& error) {
      if (warn) warn(fmt::format("skipping the checkpoint of step {}: {}", entry.step, error.what()));
    }
  }
  if (found.empty()) return std::nullopt;
  throw CheckpointError(
      "{}: none of the {} checkpoints there can be used (see the warnings): begin anew with --fresh",
      checkpoints.string(), found.size());
}

}  // namespace trireme
