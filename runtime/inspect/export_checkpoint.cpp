#include "inspect/export_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/human.h"
#include "inspect/tensor_file.h"
#include "train/average.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

TensorBytes view_of(const std::string& name, const NamedTensor& tensor) {
  return {name, tensor.shape, DType::float32, std::as_bytes(tensor.values)};
}

const OptimizerSlot& average_of_run(const Checkpoint& checkpoint) {
  for (const OptimizerSlot& slot : checkpoint.content().slots) {
    if (slot.name == average_slot) return slot;
  }
  throw UsageError(
      "{}: holds no moving average of the parameters (optimizer.ema_decay); leave --average away",
      checkpoint.directory().string());
}

FileMetadata metadata_of(const CheckpointRun& run, bool averaged, bool with_config) {
  FileMetadata metadata{{"producer", "trireme"},
                        {"version", run.version},
                        {"step", fmt::format("{}", run.step)},
                        {"epoch", fmt::format("{}", run.epoch)},
                        {"samples", fmt::format("{}", run.samples)},
                        {"seed", fmt::format("{}", run.seed)},
                        {"dataset_identity", run.dataset_identity},
                        {"averaged", averaged ? "true" : "false"}};
  if (with_config) metadata["config"] = run.config;
  return metadata;
}

}  // namespace

Report export_checkpoint(const Checkpoint& checkpoint, const fs::path& file, const ExportOptions& options) {
  const CheckpointContent& content = checkpoint.content();
  std::vector<NamedTensor> parameters = content.parameters;
  int64_t averaged = 0;
  if (options.average) {
    const OptimizerSlot& average = average_of_run(checkpoint);
    for (NamedTensor& parameter : parameters) {
      auto found = std::find_if(average.tensors.begin(), average.tensors.end(),
                                [&](const NamedTensor& one) { return one.name == parameter.name; });
      if (found == average.tensors.end()) continue;  // of a net of the run that keeps none
      parameter.values = found->values;
      ++averaged;
    }
  }
  std::vector<TensorBytes> tensors;
  for (const NamedTensor& tensor : parameters) tensors.push_back(view_of(tensor.name, tensor));
  for (const NamedTensor& tensor : content.states) tensors.push_back(view_of(tensor.name, tensor));
  if (options.optimizer) {
    for (const OptimizerSlot& slot : content.slots) {
      for (const NamedTensor& tensor : slot.tensors) {
        tensors.push_back(view_of("optimizer/" + slot.name + "/" + tensor.name, tensor));
      }
    }
  }
  std::set<std::string> names;
  uint64_t bytes = 0;
  for (const TensorBytes& tensor : tensors) {
    bytes += tensor.bytes.size();
    if (names.insert(tensor.name).second) continue;
    throw CheckpointError("{}: has two tensors named {}, a parameter and a state; a file holds one",
                          checkpoint.directory().string(), tensor.name);
  }
  write_tensor_file(file, tensors,
                    metadata_of(content.run, options.average, file.extension() == ".safetensors"));

  Report report;
  report.json = {{"checkpoint", checkpoint.directory().string()},
                 {"step", content.run.step},
                 {"file", file.string()},
                 {"tensors", tensors.size()},
                 {"bytes", bytes},
                 {"averaged", averaged}};
  report.text = fmt::format("{}: {} of step {}, {}\n", file.string(),
                            counted(static_cast<int64_t>(tensors.size()), "tensor"), content.run.step,
                            human_bytes(static_cast<double>(bytes)));
  if (options.average) {
    report.text += fmt::format("{} of {} are moving averages\n", averaged,
                               counted(static_cast<int64_t>(parameters.size()), "parameter tensor"));
  }
  return report;
}

}  // namespace trireme
