#include "inspect/import_checkpoint.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "base/error.h"
#include "data/dataset.h"
#include "data/sampler.h"
#include "exec/compile.h"
#include "inspect/new_run.h"
#include "inspect/owned_content.h"
#include "inspect/tensor_file.h"
#include "optim/optimizer.h"
#include "train/average.h"
#include "train/programs.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view optimizer_prefix = "optimizer/";

// What a run of the config keeps of one net.
struct NetTensors {
  std::vector<ArenaTensor> parameters, states;
  OptimizerConfig optimizer;
};

std::vector<NetTensors> tensors_of_model(const Config& config, const SampleShape& sample) {
  std::vector<NetTensors> nets;
  for (const NetGraphs& net : net_graphs(config, sample)) {
    // The layout of parameters is that of training, whatever the batch.
    ArenaLayout layout = compile_training(net.training(1), compile_options(config)).layout;
    nets.push_back({layout.parameters, layout.states, net.optimizer});
  }
  return nets;
}

OptimizerSlot& slot_named(const std::string& name, std::vector<OptimizerSlot>& slots) {
  for (OptimizerSlot& slot : slots) {
    if (slot.name == name) return slot;
  }
  return slots.emplace_back(OptimizerSlot{name, {}});
}

// The state of an optimizer that has seen nothing: a run that is under way needs one. `owned` has the
// parameters.
void add_fresh_slots(const NetTensors& net, OwnedContent& owned) {
  CheckpointContent& content = owned.content;
  std::unique_ptr<Optimizer> optimizer = make_optimizer(net.optimizer, {});
  for (const OptimizerMemory& memory : optimizer->memory()) {
    for (const ArenaTensor& one : net.parameters) {
      owned.add(slot_named(memory.name, content.slots).tensors, one.name, one.shape,
                std::vector<float>(one.size(), 0.0f));
    }
  }
  if (net.optimizer.ema_decay == 0) return;
  for (const ArenaTensor& one : net.parameters) {
    for (const NamedTensor& tensor : content.parameters) {
      if (tensor.name != one.name) continue;
      owned.add(slot_named(average_slot, content.slots).tensors, one.name, one.shape,
                {tensor.values.begin(), tensor.values.end()});
    }
  }
}

// Takes tensors out of a file, and remembers what does not fit.
class Taker {
 public:
  explicit Taker(const fs::path& path) : path_(path) {
    for (FileTensor& tensor : read_tensor_file(path).tensors) {
      std::string name = tensor.name;
      tensors_.emplace(std::move(name), std::move(tensor));
    }
  }
  void take(const std::vector<ArenaTensor>& wanted, OwnedContent& result, std::vector<NamedTensor>& list) {
    for (const ArenaTensor& one : wanted) {
      auto found = tensors_.find(one.name);
      if (found == tensors_.end()) {
        faults_.push_back(fmt::format("{} {} is missing", one.name, one.shape.to_string()));
        continue;
      }
      FileTensor tensor = std::move(found->second);
      tensors_.erase(found);
      if (tensor.shape != one.shape) {
        faults_.push_back(fmt::format("{} has shape {}, the model's is {}", one.name,
                                      tensor.shape.to_string(), one.shape.to_string()));
        continue;
      }
      if (tensor.type != DType::float32) ++converted_;
      result.add(list, one.name, one.shape, float_values(tensor, path_));
    }
  }
  // What was not taken: the optimizer's is left out, anything else is a fault. Returns how many are left out.
  int64_t finish() {
    int64_t left_out = 0;
    for (const auto& [name, tensor] : tensors_) {
      if (name.starts_with(optimizer_prefix)) {
        ++left_out;
      } else {
        faults_.push_back(fmt::format("{} {} is none of the model's", name, tensor.shape.to_string()));
      }
    }
    if (!faults_.empty()) {
      throw DataError("{}: does not fit the config's model:\n  {}", path_.string(),
                      fmt::join(faults_, "\n  "));
    }
    return left_out;
  }
  int64_t converted() const { return converted_; }

 private:
  fs::path path_;
  std::map<std::string, FileTensor> tensors_;
  std::vector<std::string> faults_;
  int64_t converted_ = 0;
};

CheckpointRun run_record_of(const Config& config, const Dataset& training, int64_t step) {
  int64_t per_epoch = steps_per_epoch(training.size(), config.data.batch);
  CheckpointRun run;
  run.step = step;
  run.epoch = step / per_epoch;
  // The last batch of an epoch may be smaller.
  run.samples = run.epoch * training.size() + step % per_epoch * config.data.batch;
  run.seed = static_cast<uint64_t>(config.run.seed);
  run.config = dump_config(config);
  run.version = TRIREME_VERSION;
  run.dataset_identity = training.identity();
  return run;
}

}  // namespace

Report import_checkpoint(const fs::path& file, const Config& config, const fs::path& run_directory,
                         int64_t step) {
  require_no_checkpoints(run_directory);
  Datasets data = open_datasets(config.data);
  std::vector<NetTensors> nets = tensors_of_model(config, data.training->sample_shape());
  OwnedContent owned;
  Taker taker(file);
  for (const NetTensors& net : nets) {
    taker.take(net.parameters, owned, owned.content.parameters);
    taker.take(net.states, owned, owned.content.states);
  }
  int64_t left_out = taker.finish();
  if (step > 0) {
    for (const NetTensors& net : nets) add_fresh_slots(net, owned);
  }
  owned.content.run = run_record_of(config, *data.training, step);
  fs::path checkpoint = make_run(run_directory, owned.content);

  Report report;
  report.json = {{"file", file.string()},
                 {"run_directory", run_directory.string()},
                 {"checkpoint", checkpoint.string()},
                 {"step", step},
                 {"parameters", owned.content.parameters.size()},
                 {"states", owned.content.states.size()},
                 {"converted", taker.converted()},
                 {"left_out", left_out}};
  report.text =
      fmt::format("{}: step {} with {} and {}\n", checkpoint.string(), step,
                  counted(static_cast<int64_t>(owned.content.parameters.size()), "parameter tensor"),
                  counted(static_cast<int64_t>(owned.content.states.size()), "state"));
  if (taker.converted() > 0) {
    report.text += fmt::format("{} converted to float32\n", counted(taker.converted(), "tensor"));
  }
  if (left_out > 0) {
    report.text +=
        fmt::format("{} of the optimizer left out: a run begins with its own\n", counted(left_out, "tensor"));
  }
  return report;
}

}  // namespace trireme
