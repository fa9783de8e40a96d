#include "checkpoint/load.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <system_error>
#include <thread>

#include "base/hashed_file.h"
#include "base/hdf5.h"
#include "checkpoint/manifest.h"
#include "checkpoint/reader.h"
#include "checkpoint/run_record.h"
#include "checkpoint/state_image.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr const char* advice =
    "the config's model or optimizer is not the one that was saved; begin anew with --fresh, or choose "
    "another --run-dir";

// A tensor as it lies in one of the files.
struct Place {
  size_t file = 0;
  Shape shape;
  h5::Extent extent;
};

// What the files' own tables of contents say: not verified yet, so nothing but where to put the values may
// come of it.
struct Contents {
  std::map<std::string, Place> places;  // by path: "/parameters/conv1.weight"
  CheckpointRun run;
  bool in_place = true;  // all tensors are float32 in one piece, as we write them
};

void collect_places(const h5::Handle& file, size_t number, const std::string& path, Contents& contents) {
  for (const std::string& member : h5::members(file, path)) {
    std::string inner = path + "/" + member;
    if (h5::is_group(file, inner)) {
      collect_places(file, number, inner, contents);
      continue;
    }
    h5::Handle dataset = h5::open_dataset(file, inner);
    Place place{number, h5::shape_of(dataset), h5::extent_of(dataset)};
    auto bytes = static_cast<uint64_t>(place.shape.elements()) * sizeof(float);
    contents.in_place &= h5::is_stored_as(dataset, DType::float32) && place.extent.bytes == bytes;
    if (!contents.places.emplace(inner, place).second) {
      throw DataError("a second file holds the tensor {}", inner);
    }
  }
}

Contents read_contents(const fs::path& directory, const Manifest& manifest) {
  Contents contents;
  for (size_t i = 0; i < manifest.files.size(); ++i) {
    fs::path path = directory / manifest.files[i].name;
    try {
      h5::Handle file = h5::open_file(path);
      contents.run = read_run(file);
      for (const char* group : {parameters_group, optimizer_group, state_group}) {
        if (h5::exists(file, group)) collect_places(file, i, group, contents);
      }
    } catch (const DataError& error) {
      throw CheckpointError("{}: is damaged: {}", path.string(), error.what());
    } catch (const MissingInputError&) {
      throw CheckpointError("{}: is missing, though the manifest names it", path.string());
    }
  }
  return contents;
}

// A stretch of a file, and where it goes.
struct Piece {
  uint64_t address = 0;
  uint64_t bytes = 0;
  std::byte* target = nullptr;
};
using Pieces = std::vector<std::vector<Piece>>;  // a list a file, by address

class Matcher {
 public:
  Matcher(const fs::path& directory, const Contents& contents, size_t files)
      : directory_(directory), contents_(contents), pieces_(files) {}

  void match(const std::string& group, const std::vector<MutableTensor>& tensors) {
    for (const MutableTensor& tensor : tensors) {
      std::string path = group + "/" + tensor.name;
      auto found = contents_.places.find(path);
      if (found == contents_.places.end()) {
        throw CheckpointMismatch("{}: has no tensor {}: {}", directory_.string(), path, advice);
      }
      const Place& place = found->second;
      if (!(place.shape == tensor.shape)) {
        throw CheckpointMismatch("{}: tensor {} has shape {}, the run needs {}: {}", directory_.string(),
                                 path, place.shape.to_string(), tensor.shape.to_string(), advice);
      }
      pieces_[place.file].push_back({place.extent.address, tensor.values.size_bytes(),
                                     reinterpret_cast<std::byte*>(tensor.values.data())});
    }
  }

  void match_slots(const std::vector<SlotTarget>& slots) {
    for (const SlotTarget& slot : slots) {
      std::string group = std::string(optimizer_group) + "/" + slot.name;
      auto below = contents_.places.lower_bound(group + "/");
      bool there = below != contents_.places.end() && below->first.starts_with(group + "/");
      if (!there && !slot.tensors.empty()) {
        throw CheckpointMismatch(
            "{}: has no optimizer state '{}', which the config's optimizer needs (it has: {}): keep the "
            "optimizer the "
            "run was started with, or begin anew with --fresh",
            directory_.string(), slot.name, saved_slots());
      }
      match(group, slot.tensors);
    }
  }

  std::string saved_slots() const {
    std::set<std::string> names;
    std::string group = std::string(optimizer_group) + "/";
    for (const auto& [path, place] : contents_.places) {
      if (path.starts_with(group))
        names.insert(path.substr(group.size(), path.find('/', group.size()) - group.size()));
    }
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
  }

  Pieces take() {
    for (auto& list : pieces_) std::ranges::sort(list, {}, &Piece::address);
    return std::move(pieces_);
  }

 private:
  const fs::path& directory_;
  const Contents& contents_;
  Pieces pieces_;
};

// Reads a file from end to end, fills the pieces, and throws CheckpointError unless it is what was written.
void stream_verified(const fs::path& path, const ManifestFile& file, const std::vector<Piece>& pieces) {
  size_t first = 0;  // of the pieces that may reach into the next block
  auto scatter = [&](size_t offset, std::span<const std::byte> block) {
    size_t end = offset + block.size();
    while (first < pieces.size() && pieces[first].address + pieces[first].bytes <= offset) ++first;
    for (size_t i = first; i < pieces.size() && pieces[i].address < end; ++i) {
      const Piece& piece = pieces[i];
      size_t from = std::max<size_t>(piece.address, offset);
      size_t to = std::min<size_t>(piece.address + piece.bytes, end);
      if (from < to)
        std::memcpy(piece.target + (from - piece.address), block.data() + (from - offset), to - from);
    }
  };
  std::error_code error;
  auto bytes = fs::file_size(path, error);
  if (!error && bytes != file.bytes) {
    throw CheckpointError("{}: has {} bytes, the manifest says {}: it was cut short or replaced",
                          path.string(), bytes, file.bytes);
  }
  HashedFile read = stream_hashed_file(path, scatter);
  if (read.xxh3 != file.hash) {
    throw CheckpointError("{}: is damaged: its hash is {}, the manifest says {}", path.string(), read.xxh3,
                          file.hash);
  }
}

// As earlier builds wrote it, or with tensors that need converting: by way of memory.
LoadedCheckpoint load_through_memory(const fs::path& directory, const LoadTargets& targets) {
  Checkpoint checkpoint(directory);
  LoadedCheckpoint loaded{directory, checkpoint.run(), true};
  loaded.has_slots = checkpoint.run().step > 0 || !checkpoint.slots().empty();
  try {
    checkpoint.load_parameters(targets.parameters);
    checkpoint.load_states(targets.states);
    for (const SlotTarget& slot : targets.slots) {
      if (loaded.has_slots) checkpoint.load_slot(slot.name, slot.tensors);
    }
  } catch (const CheckpointError& error) {
    throw CheckpointMismatch("{}", error.what());
  }
  return loaded;
}

LoadedCheckpoint load_checkpoint(const fs::path& directory, const LoadTargets& targets) {
  Manifest manifest = read_manifest(directory);
  if (manifest.version == 1) return load_through_memory(directory, targets);
  Contents contents = read_contents(directory, manifest);
  if (!contents.in_place) return load_through_memory(directory, targets);
  LoadedCheckpoint loaded{directory, contents.run, true};
  Pieces pieces(manifest.files.size());
  std::optional<CheckpointMismatch> mismatch;
  try {
    Matcher matcher(directory, contents, manifest.files.size());
    matcher.match(parameters_group, targets.parameters);
    matcher.match(state_group, targets.states);
    auto slots = contents.places.lower_bound(std::string(optimizer_group) + "/");
    bool any_slot = slots != contents.places.end() && slots->first.starts_with(optimizer_group);
    loaded.has_slots = contents.run.step > 0 || any_slot;
    if (loaded.has_slots) matcher.match_slots(targets.slots);
    pieces = matcher.take();
  } catch (const CheckpointMismatch& error) {
    mismatch = error;  // or damage: the hashes tell
  }
  for (size_t i = 0; i < manifest.files.size(); ++i) {
    stream_verified(directory / manifest.files[i].name, manifest.files[i], pieces[i]);
  }
  if (mismatch) throw CheckpointMismatch(*mismatch);
  if (loaded.run.step != manifest.step ||
      step_of_folder_name(directory.filename().string()) != manifest.step) {
    throw CheckpointError("{}: folder, manifest and state disagree about the step ({} and {})",
                          directory.string(), manifest.step, loaded.run.step);
  }
  return loaded;
}

// A second time where a file system did not answer: what cannot be read is passed over, and the run saves
// over it.
LoadedCheckpoint load_checkpoint_patiently(const fs::path& directory, const LoadTargets& targets) {
  try {
    return load_checkpoint(directory, targets);
  } catch (const IoError&) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    return load_checkpoint(directory, targets);
  }
}

}  // namespace

void require_good_checkpoint(const fs::path& directory) {
  Manifest manifest = read_manifest(directory);
  if (manifest.version == 1) {
    Checkpoint read_back(directory);
    return;
  }
  for (const ManifestFile& file : manifest.files) stream_verified(directory / file.name, file, {});
}

std::optional<LoadedCheckpoint> load_newest_checkpoint(const fs::path& checkpoints,
                                                       const LoadTargets& targets,
                                                       const std::function<void(const std::string&)>& warn) {
  std::vector<CheckpointEntry> found = list_checkpoints(checkpoints);
  for (const CheckpointEntry& entry : found) {
    try {
      return load_checkpoint_patiently(entry.directory, targets);
    } catch (const CheckpointMismatch&) {
      throw;
    } catch (const NewerFormatError&) {
      throw;
    } catch (const std::exception& error) {  // damaged tables may ask for any amount of memory
      if (warn) warn(fmt::format("skipping the checkpoint of step {}: {}", entry.step, error.what()));
    }
  }
  if (found.empty()) return std::nullopt;
  throw CheckpointError(
      "{}: none of the {} checkpoints there can be used (see the warnings): begin anew with --fresh",
      checkpoints.string(), found.size());
}

}  // namespace trireme
