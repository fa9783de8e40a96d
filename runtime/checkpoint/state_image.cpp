#include "checkpoint/state_image.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <set>
#include <system_error>
#include <thread>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/hdf5.h"
#include "base/stream_copy.h"
#include "checkpoint/run_record.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// Below this a second thread costs more than it brings.
constexpr size_t bytes_per_thread = size_t{8} << 20;
// Readers take the values where they lie.
constexpr size_t data_alignment = 64;
// Room for the record: it may grow by numbers that a run gets later.
constexpr size_t record_room = 4096;

std::vector<const NamedTensor*> all_tensors(const CheckpointContent& content) {
  std::vector<const NamedTensor*> all;
  for (const NamedTensor& tensor : content.parameters) all.push_back(&tensor);
  for (const OptimizerSlot& slot : content.slots) {
    for (const NamedTensor& tensor : slot.tensors) all.push_back(&tensor);
  }
  for (const NamedTensor& tensor : content.states) all.push_back(&tensor);
  return all;
}

// What the layout depends on, as one text.
std::string identity_of(const CheckpointContent& content) {
  std::string text;
  for (const OptimizerSlot& slot : content.slots)
    text += fmt::format("{} {}\n", slot.name, slot.tensors.size());
  text += fmt::format("{} {}\n", content.parameters.size(), content.states.size());
  for (const NamedTensor* tensor : all_tensors(content)) {
    text += fmt::format("{} {}\n", tensor->name, tensor->shape.to_string());
  }
  const CheckpointRun& run = content.run;
  return text + fmt::format("{}\n{}\n{}\n{}", run.seed, run.version, run.dataset_identity, run.config);
}

std::vector<h5::Handle> reserve_tensors(const h5::Handle& file, const std::string& group,
                                        const std::vector<NamedTensor>& tensors, bool later = false) {
  h5::create_group(file, group);
  std::set<std::string> seen;
  std::vector<h5::Handle> datasets;
  for (const NamedTensor& tensor : tensors) {
    if (tensor.name.empty()) throw CheckpointError("a tensor to be saved in {} has no name", group);
    if (!seen.insert(tensor.name).second) {
      throw CheckpointError("two tensors to be saved in {} are named '{}'", group, tensor.name);
    }
    if (!later && tensor.shape.elements() != static_cast<int64_t>(tensor.values.size())) {
      throw CheckpointError("{}/{}: shape {} does not fit its {} values", group, tensor.name,
                            tensor.shape.to_string(), tensor.values.size());
    }
    datasets.push_back(h5::create_dataset(file, group + "/" + tensor.name, DType::float32, tensor.shape,
                                          {.chunk = {}, .reserved = true}));
  }
  return datasets;
}

void append(std::vector<h5::Handle> more, std::vector<h5::Handle>& all) {
  for (h5::Handle& one : more) all.push_back(std::move(one));
}

std::vector<h5::Handle> reserve_content(const h5::Handle& file, const CheckpointContent& content) {
  std::vector<h5::Handle> datasets = reserve_tensors(file, parameters_group, content.parameters);
  h5::create_group(file, optimizer_group);
  std::set<std::string> slots;
  for (const OptimizerSlot& slot : content.slots) {
    if (slot.name.empty() || slot.name.find('/') != std::string::npos || !slots.insert(slot.name).second) {
      throw CheckpointError("optimizer slot '{}': a slot's name must be single, not empty and without '/'",
                            slot.name);
    }
    append(reserve_tensors(file, std::string(optimizer_group) + "/" + slot.name, slot.tensors, slot.later),
           datasets);
  }
  append(reserve_tensors(file, state_group, content.states), datasets);
  return datasets;
}

// The file that HDF5 lays out: open as long as this lives, and gone from its folder.
class LayoutFile {
 public:
  explicit LayoutFile(const fs::path& path)
      : path_(path),
        hdf5_(h5::create_file(path, data_alignment)),
        file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    int error = errno;
    std::error_code ignored;
    fs::remove(path, ignored);
    if (file_.get() < 0) throw IoError("{}: cannot open: {}", path.string(), std::strerror(error));
  }
  const h5::Handle& hdf5() const { return hdf5_; }
  // All is in the file; returns its length.
  size_t close() {
    h5::close_file(std::move(hdf5_));
    off_t end = ::lseek(file_.get(), 0, SEEK_END);
    if (end < 0) throw IoError("{}: lseek failed: {}", path_.string(), std::strerror(errno));
    return static_cast<size_t>(end);
  }
  // Reads [from, to).
  void read(size_t from, size_t to, std::byte* target) const {
    while (from < to) {
      ssize_t got = ::pread(file_.get(), target + from, to - from, static_cast<off_t>(from));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw IoError("{}: read failed: {}", path_.string(), std::strerror(errno));
      if (got == 0) return;  // the file ends in reserved room
      from += static_cast<size_t>(got);
    }
  }

 private:
  fs::path path_;
  h5::Handle hdf5_;
  Descriptor file_;
};

// A stretch of a tensor, for one thread.
struct Stretch {
  const float* from;
  float* to;
  size_t count;
  bool parameter;
};

}  // namespace

StateImage::StateImage(const CheckpointContent& content, const fs::path& layout)
    : identity_(identity_of(content)) {
  LayoutFile file(layout);
  std::vector<h5::Handle> datasets = reserve_content(file.hdf5(), content);
  write_run_constants(file.hdf5(), content.run);
  record_bytes_ = std::max(record_room, 2 * run_record(content.run).size());
  datasets.push_back(h5::create_text(file.hdf5(), record_dataset, record_bytes_));
  std::vector<h5::Extent> places;
  for (const h5::Handle& dataset : datasets) {
    places.push_back(h5::extent_of(dataset));
    addresses_.push_back(places.back().address);
  }
  record_address_ = addresses_.back();
  addresses_.pop_back();
  size_t number = content.parameters.size();
  for (const OptimizerSlot& slot : content.slots) {
    for (const NamedTensor& tensor : slot.tensors) {
      slot_addresses_[slot.name + "/" + tensor.name] = addresses_[number++];
    }
  }
  datasets.clear();
  memory_ = PageMemory(file.close());

  // HDF5's own bytes are what lies between the reserved places.
  std::ranges::sort(places, {}, &h5::Extent::address);
  size_t at = 0;
  for (const h5::Extent& place : places) {
    if (place.bytes == 0) continue;
    file.read(at, place.address, memory_.data());
    at = place.address + place.bytes;
  }
  file.read(at, memory_.bytes(), memory_.data());
  // Pages are given out at the first touch, which is better now than at the first save.
  for (size_t page = 0; page < memory_.capacity(); page += PageMemory::page_bytes) {
    auto* touched = reinterpret_cast<volatile std::byte*>(memory_.data() + page);
    *touched = *touched;
  }
}

float* StateImage::place(const std::string& slot, const std::string& tensor) {
  auto found = slot_addresses_.find(slot + "/" + tensor);
  if (found == slot_addresses_.end()) return nullptr;
  return reinterpret_cast<float*>(memory_.data() + found->second);
}

bool StateImage::fits(const CheckpointContent& content) const {
  return identity_ == identity_of(content) && run_record(content.run).size() <= record_bytes_;
}

bool StateImage::fill(const CheckpointContent& content, int threads) {
  std::vector<const NamedTensor*> tensors = all_tensors(content);
  size_t total = 0;
  for (const NamedTensor* tensor : tensors) total += tensor->values.size();
  auto workers = std::clamp<size_t>(total * sizeof(float) / bytes_per_thread, 1,
                                    static_cast<size_t>(std::max(threads, 1)));
  // Stretches of about an equal part each, in order; worker i takes those of part i.
  size_t part = std::max<size_t>((total + workers - 1) / workers, 1);
  std::vector<std::vector<Stretch>> parts(workers);
  size_t before = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::span<const float> values = tensors[i]->values;
    auto* target = reinterpret_cast<float*>(memory_.data() + addresses_[i]);
    for (size_t at = 0; at < values.size();) {
      size_t owner = (before + at) / part;
      size_t count = std::min(values.size() - at, (owner + 1) * part - before - at);
      parts[owner].push_back({values.data() + at, target + at, count, i < content.parameters.size()});
      at += count;
    }
    before += values.size();
  }
  std::atomic<bool> finite{true};
  auto work = [&finite](const std::vector<Stretch>& stretches) {
    for (const Stretch& one : stretches) {
      if (!stream_copy(one.from, one.to, one.count) && one.parameter) finite = false;
    }
  };
  {
    std::vector<std::jthread> helpers;
    size_t begun = 1;
    try {
      for (; begun < workers; ++begun) helpers.emplace_back(work, std::cref(parts[begun]));
    } catch (const std::system_error&) {
      // No more threads to be had: this one does the rest.
    }
    work(parts[0]);
    for (; begun < workers; ++begun) work(parts[begun]);
  }

  std::string record = run_record(content.run);
  std::memset(memory_.data() + record_address_, 0, record_bytes_);
  std::memcpy(memory_.data() + record_address_, record.data(), record.size());
  return finite;
}

}  // namespace trireme
