#include "checkpoint/reader.h"

#include <algorithm>
#include <deque>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/hashed_file.h"
#include "base/hdf5.h"
#include "checkpoint/manifest.h"
#include "checkpoint/run_record.h"
#include "checkpoint/state_image.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr const char* advice =
    "the config's model or optimizer is not the one that was saved; begin anew with --fresh, or choose "
    "another "
    "--run-dir";

// The bytes of the file that the manifest names, when they are what was written.
PageMemory read_verified(const fs::path& directory, const Manifest& manifest, const ManifestFile& file) {
  fs::path path = directory / file.name;
  if (is_absent(path)) throw CheckpointError("{}: is missing, though the manifest names it", path.string());
  std::error_code error;
  auto bytes = fs::file_size(path, error);
  if (!error && bytes != file.bytes) {
    throw CheckpointError("{}: has {} bytes, the manifest says {}: it was cut short or replaced",
                          path.string(), bytes, file.bytes);
  }
  HashedFile read;
  PageMemory memory = read_hashed_file(path, read);
  std::string hash = manifest.version == 1 ? sha256_hex(memory.span()) : read.xxh3;
  if (memory.bytes() != file.bytes || hash != file.hash) {
    throw CheckpointError("{}: is damaged: its hash is {}, the manifest says {}", path.string(), hash,
                          file.hash);
  }
  return memory;
}

// Values that could not be taken where they lie.
using Copies = std::deque<std::vector<float>>;

// The values of a data set in `image`: where they lie, if they lie there as memory has them.
std::span<const float> values_of(const h5::Handle& dataset, const Shape& shape, const PageMemory& image,
                                 Copies& copies) {
  auto count = static_cast<size_t>(shape.elements());
  h5::Extent extent = h5::extent_of(dataset);
  bool in_place = h5::is_stored_as(dataset, DType::float32) && extent.bytes == count * sizeof(float) &&
                  extent.address % alignof(float) == 0 && extent.address <= image.bytes() &&
                  extent.bytes <= image.bytes() - extent.address;
  if (in_place && count > 0) {
    return {reinterpret_cast<const float*>(image.data() + extent.address), count};
  }
  std::vector<float>& copy = copies.emplace_back(count);
  if (count > 0) h5::read_all(dataset, DType::float32, copy.data());
  return copy;
}

// Every data set below `path`, by its name within `group`.
void collect_tensors(const h5::Handle& file, const std::string& group, const std::string& path,
                     const PageMemory& image, Copies& copies, std::vector<NamedTensor>& tensors) {
  for (const std::string& member : h5::members(file, path)) {
    std::string inner = path + "/" + member;
    if (h5::is_group(file, inner)) {
      collect_tensors(file, group, inner, image, copies, tensors);
      continue;
    }
    h5::Handle dataset = h5::open_dataset(file, inner);
    Shape shape = h5::shape_of(dataset);
    tensors.push_back({inner.substr(group.size() + 1), shape, values_of(dataset, shape, image, copies)});
  }
}

void collect_group(const h5::Handle& file, const std::string& group, const PageMemory& image, Copies& copies,
                   std::vector<NamedTensor>& tensors) {
  if (h5::exists(file, group)) collect_tensors(file, group, group, image, copies, tensors);
}

OptimizerSlot& slot_named(const std::string& name, std::vector<OptimizerSlot>& slots) {
  for (OptimizerSlot& slot : slots) {
    if (slot.name == name) return slot;
  }
  return slots.emplace_back(OptimizerSlot{name, {}});
}

// What one file adds.
void collect_shard(const h5::Handle& file, const PageMemory& image, Copies& copies,
                   CheckpointContent& content) {
  collect_group(file, parameters_group, image, copies, content.parameters);
  collect_group(file, state_group, image, copies, content.states);
  if (!h5::exists(file, optimizer_group)) return;
  for (const std::string& slot : h5::members(file, optimizer_group)) {
    collect_group(file, std::string(optimizer_group) + "/" + slot, image, copies,
                  slot_named(slot, content.slots).tensors);
  }
}

void sort_by_name(std::vector<NamedTensor>& tensors, const std::string& group, const fs::path& directory) {
  auto name = [](const NamedTensor& tensor) { return tensor.name; };
  std::ranges::sort(tensors, {}, name);
  auto twice = std::ranges::adjacent_find(tensors, {}, name);
  if (twice != tensors.end()) {
    throw CheckpointError("{}: two files hold the tensor {}/{}", directory.string(), group, twice->name);
  }
}

void sort_content(CheckpointContent& content, const fs::path& directory) {
  sort_by_name(content.parameters, parameters_group, directory);
  sort_by_name(content.states, state_group, directory);
  std::ranges::sort(content.slots, {}, &OptimizerSlot::name);
  for (OptimizerSlot& slot : content.slots) {
    sort_by_name(slot.tensors, std::string(optimizer_group) + "/" + slot.name, directory);
  }
}

}  // namespace

std::vector<CheckpointEntry> list_checkpoints(const fs::path& checkpoints) {
  std::vector<CheckpointEntry> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(checkpoints, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    int64_t step = step_of_folder_name(entry->path().filename().string());
    // Where nobody can say whether there is one, loading finds out, loudly.
    if (step >= 0 && !is_absent(entry->path() / Manifest::file_name)) found.push_back({step, entry->path()});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw IoError("{}: cannot list the checkpoints: {}", checkpoints.string(), error.message());
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  return found;
}

struct Checkpoint::Memory {
  std::vector<PageMemory> images;
  Copies copies;
};

Checkpoint::Checkpoint(const fs::path& directory)
    : directory_(directory), memory_(std::make_unique<Memory>()) {
  if (is_absent(directory / Manifest::file_name)) {
    throw CheckpointError("{}: has no {}: it is no checkpoint, or its writer was killed", directory.string(),
                          Manifest::file_name);
  }
  Manifest manifest = read_manifest(directory);
  start_ = manifest.start;
  for (const ManifestFile& file : manifest.files) {
    memory_->images.push_back(read_verified(directory, manifest, file));
    const PageMemory& image = memory_->images.back();
    bytes_ += image.bytes();
    fs::path path = directory / file.name;
    try {
      h5::Handle handle = h5::open_file_image(image.span(), path.string());
      CheckpointRun run = read_run(handle);
      if (run.step != manifest.step || run.epoch != manifest.epoch) {
        throw CheckpointError("{}: is of step {} and epoch {}, the manifest of step {} and epoch {}",
                              path.string(), run.step, run.epoch, manifest.step, manifest.epoch);
      }
      content_.run = std::move(run);
      collect_shard(handle, image, memory_->copies, content_);
    } catch (const DataError& error) {
      throw CheckpointError("{}: is not the state of a run: {}", path.string(), error.what());
    }
  }
  int64_t named = step_of_folder_name(directory.filename().string());
  if (named >= 0 && named != manifest.step) {
    throw CheckpointError("{}: the folder's name says step {}, its manifest step {}", directory.string(),
                          named, manifest.step);
  }
  sort_content(content_, directory);
}

Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

namespace {

// Of tensors sorted by name.
const NamedTensor* find_tensor(const std::vector<NamedTensor>& tensors, const std::string& name) {
  auto found = std::ranges::lower_bound(tensors, name, {}, [](const NamedTensor& one) { return one.name; });
  return found != tensors.end() && found->name == name ? &*found : nullptr;
}

void load(const std::vector<NamedTensor>& saved, std::span<const MutableTensor> tensors,
          const std::string& group, const fs::path& directory) {
  std::vector<const NamedTensor*> sources;
  for (const MutableTensor& tensor : tensors) {
    if (tensor.shape.elements() != static_cast<int64_t>(tensor.values.size())) {
      throw CheckpointError("{}/{}: shape {} does not fit the {} values to be filled", group, tensor.name,
                            tensor.shape.to_string(), tensor.values.size());
    }
    const NamedTensor* source = find_tensor(saved, tensor.name);
    if (source == nullptr) {
      throw CheckpointError("{}: has no tensor {}/{}: {}", directory.string(), group, tensor.name, advice);
    }
    if (!(source->shape == tensor.shape)) {
      throw CheckpointError("{}: tensor {}/{} has shape {}, the run needs {}: {}", directory.string(), group,
                            tensor.name, source->shape.to_string(), tensor.shape.to_string(), advice);
    }
    sources.push_back(source);
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::ranges::copy(sources[i]->values, tensors[i].values.begin());
  }
}

}  // namespace

void Checkpoint::load_parameters(std::span<const MutableTensor> tensors) const {
  load(content_.parameters, tensors, parameters_group, directory_);
}

void Checkpoint::load_slot(const std::string& slot, std::span<const MutableTensor> tensors) const {
  std::string group = std::string(optimizer_group) + "/" + slot;
  auto found = std::ranges::find(content_.slots, slot, &OptimizerSlot::name);
  load(found == content_.slots.end() ? std::vector<NamedTensor>() : found->tensors, tensors, group,
       directory_);
}

void Checkpoint::load_states(std::span<const MutableTensor> tensors) const {
  load(content_.states, tensors, state_group, directory_);
}

std::vector<std::string> Checkpoint::slots() const {
  std::vector<std::string> names;
  for (const OptimizerSlot& slot : content_.slots) names.push_back(slot.name);
  return names;
}

std::optional<Checkpoint> open_newest_checkpoint(const fs::path& checkpoints,
                                                 const std::function<void(const std::string&)>& warn) {
  std::vector<CheckpointEntry> found = list_checkpoints(checkpoints);
  for (const CheckpointEntry& entry : found) {
    try {
      return Checkpoint(entry.directory);
    } catch (const NewerFormatError&) {
      throw;
    } catch (const std::exception& error) {
      if (warn) warn(fmt::format("skipping the checkpoint of step {}: {}", entry.step, error.what()));
    }
  }
  if (found.empty()) return std::nullopt;
  throw CheckpointError(
      "{}: none of the {} checkpoints there can be used (see the warnings): begin anew with --fresh",
      checkpoints.string(), found.size());
}

}  // namespace trireme
