// Rules between keys: what each key allows by itself may still make no sense together.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "config/bind.h"

namespace trireme {
namespace {

void check_layers(const Config& config) {
  if (config.model.kind == "layers" && config.model.layer.empty()) {
    throw ConfigError("{}: model.kind = \"layers\" needs at least one [[model.layer]] table",
                      config.where("model.kind"));
  }
  for (size_t i = 0; i < config.model.layer.size(); ++i) {
    const LayerConfig& layer = config.model.layer[i];
    std::string name = fmt::format("model.layer[{}]", i);
    bool pool = layer.kind == "max_pool" || layer.kind == "average_pool";
    if (pool && 2 * layer.padding > layer.kernel) {
      throw ConfigError(
          "{}: {}.padding = {} is more than half of kernel = {}: some windows would hold nothing else",
          config.where(name + ".padding"), name, layer.padding, layer.kernel);
    }
    if (layer.kind == "convolution" && layer.padding >= layer.kernel) {
      throw ConfigError(
          "{}: {}.padding = {} must be less than kernel = {}: some windows would hold nothing else",
          config.where(name + ".padding"), name, layer.padding, layer.kernel);
    }
  }
}

void check_optimizer(const Config& config, const OptimizerConfig& optimizer, const std::string& name) {
  if (optimizer.kind == "sgd" && optimizer.nesterov && optimizer.momentum == 0) {
    throw ConfigError("{}: {}.nesterov needs {}.momentum above 0", config.where(name + ".nesterov"), name,
                      name);
  }
  for (const OptimizerGroupConfig& group : optimizer.group) {
    if (group.weight_decay >= 0 || group.weight_decay == -1) continue;
    throw ConfigError("{}: weight_decay = {}: give at least 0, or -1 for what it is without the group",
                      group.place.text, group.weight_decay);
  }
}

void check_data(const Config& config) {
  if (config.data.validation_fraction == 0 || config.data.validation.empty()) return;
  throw ConfigError(
      "{}: data.validation_fraction splits data.train; it and data.validation exclude each other",
      config.where("data.validation_fraction"));
}

void check_schedule(const Config& config) {
  const ScheduleConfig& schedule = config.schedule;
  if (schedule.kind != "step") return;
  bool listed = !schedule.step_epochs.empty();
  bool regular = schedule.step_every_epochs > 0;
  if (!listed && !regular) {
    throw ConfigError("{}: schedule.kind = \"step\" needs schedule.step_epochs or schedule.step_every_epochs",
                      config.where("schedule.kind"));
  }
  if (listed && regular) {
    throw ConfigError(
        "{}: schedule.step_epochs and schedule.step_every_epochs exclude each other; remove one",
        config.where("schedule.step_every_epochs"));
  }
  auto rises = [](int64_t a, int64_t b) { return a >= b; };
  const auto& epochs = schedule.step_epochs;
  if (std::adjacent_find(epochs.begin(), epochs.end(), rises) != epochs.end()) {
    throw ConfigError("{}: schedule.step_epochs must rise from entry to entry",
                      config.where("schedule.step_epochs"));
  }
}

void check_parallel(const Config& config) {
  int64_t shards = config.parallel.virtual_ranks;
  if (shards > 0 && (shards & (shards - 1)) != 0) {
    throw ConfigError("{}: parallel.virtual_ranks = {}: give a power of two (2, 4, 8, ...), or 0 for none",
                      config.where("parallel.virtual_ranks"), shards);
  }
  if (shards > 0 && config.train.micro_batches > 1) {
    throw ConfigError(
        "{}: parallel.virtual_ranks already cuts the batch into shards that are computed one by one: leave "
        "train.micro_batches at 1, and raise virtual_ranks for smaller pieces",
        config.where("parallel.virtual_ranks"));
  }
}

// What a parameter server cannot keep is refused, not passed over.
void check_parameter_server(const Config& config) {
  if (config.parallel.mode != "parameter_server") return;
  auto refuse = [&](std::string_view key, const std::string& reason) {
    throw ConfigError("{}: with parallel.mode = \"parameter_server\" {}", config.where(key), reason);
  };
  const ParameterServerConfig& server = config.parameter_server;
  auto where = [](std::string_view key) { return fmt::format("parallel.parameter_server.{}", key); };
  if (config.parallel.virtual_ranks > 0) {
    refuse(
        "parallel.virtual_ranks",
        "parallel.virtual_ranks cannot be kept: workers take pieces as they come, and the same bits on any "
        "number of them come from mode = \"ssp\" with staleness = 0 and a fixed pieces; set virtual_ranks to "
        "0");
  }
  if (config.allreduce.shard_optimizer) {
    refuse("parallel.allreduce.shard_optimizer",
           "parallel.allreduce.shard_optimizer has no meaning: the servers share the optimizer's state out "
           "already; leave it away");
  }
  if (config.train.on_nan == "rollback") {
    refuse("train.on_nan",
           "train.on_nan = \"rollback\" cannot be kept: other workers' updates go on while one sees that its "
           "loss is no number; set it to \"stop\"");
  }
  for (const auto& [optimizer, name] :
       {std::pair{&config.optimizer, "optimizer"},
        std::pair{&config.discriminator_optimizer, "optimizer.discriminator"}}) {
    if (optimizer->ema_decay == 0) continue;
    refuse(fmt::format("{}.ema_decay", name),
           fmt::format("{}.ema_decay cannot be kept: servers hold no moving average; set it to 0", name));
  }
  if (server.replicas == 2 && server.servers == CountOrName{1}) {
    refuse(where("replicas"),
           "parallel.parameter_server.replicas = 2 needs a second server: raise servers to 2 at least");
  }
  if (server.pieces > config.data.batch) {
    refuse(where("pieces"),
           fmt::format("parallel.parameter_server.pieces = {} is more than data.batch = {}: some "
                       "pieces would hold no sample",
                       server.pieces, config.data.batch));
  }
  if (server.encoding == "top_k" && server.mode == "easgd") {
    refuse(
        where("encoding"),
        "parallel.parameter_server.encoding = \"top_k\" does not go with mode = \"easgd\": a worker moves by "
        "the same difference as the centre does, whole, so nothing may be kept back; choose \"bfloat16\" or "
        "\"float32\"");
  }
  if (server.encoding != "float32" && server.mode == "dcasgd") {
    refuse(where("encoding"),
           fmt::format(
               "parallel.parameter_server.encoding = \"{}\" does not go with mode = \"dcasgd\": its pushes "
               "carry the parameters that were pulled too, and the correction needs both as they were; "
               "choose \"float32\"",
               server.encoding));
  }
  if (server.mode == "ssp" && server.staleness == 0 && server.scale_by_staleness) {
    refuse(
        where("scale_by_staleness"),
        "parallel.parameter_server.scale_by_staleness has nothing to do with staleness = 0: leave it away");
  }
}

void check_comm(const Config& config) {
  if (config.comm.require_rdma && config.comm.transport != "auto" && config.comm.transport != "rdma") {
    throw ConfigError(
        "{}: comm.require_rdma cannot be kept with comm.transport = \"{}\": choose \"rdma\" or \"auto\"",
        config.where("comm.require_rdma"), config.comm.transport);
  }
}

void check_checkpoint(const Config& config) {
  const bool validates = !config.data.validation.empty() || config.data.validation_fraction > 0;
  if (config.checkpoint.keep_best == 0 || validates) return;
  throw ConfigError(
      "{}: checkpoint.keep_best = {} judges by the validation, and there is none: name a data.validation or "
      "a "
      "data.validation_fraction, or leave it away",
      config.where("checkpoint.keep_best"), config.checkpoint.keep_best);
}

void check_file(const Config& config, std::string_view key, const std::string& path) {
  if (path.empty()) return;
  std::error_code error;
  std::filesystem::file_status status = std::filesystem::status(path, error);
  std::string reason;
  if (!std::filesystem::exists(status)) reason = "there is no such file";
  if (std::filesystem::is_directory(status)) reason = "it is a directory";
  if (reason.empty()) return;
  std::string base = std::filesystem::path(path).is_relative()
                         ? fmt::format(" (relative to the current directory, {})",
                                       std::filesystem::current_path(error).string())
                         : "";
  throw ConfigError("{}: {} = \"{}\": {}{}; trireme-prepare makes data files", config.where(key), key, path,
                    reason, base);
}

}  // namespace

void check_directory_name(const std::string& place, const std::string& key, const std::string& name) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  bool good = !name.empty() && name.size() <= 200 && name.front() != '.' && name.front() != '-' &&
              name.find_first_not_of(allowed) == std::string::npos;
  if (good) return;
  throw ConfigError(
      "{}: {} = \"{}\" cannot name a directory: use letters, digits, '.', '_' and '-', beginning with a "
      "letter, a digit or '_'",
      place, key, name);
}

void check_rules(const Config& config) {
  check_directory_name(config.where("run.name"), "run.name", config.run.name);
  check_data(config);
  check_layers(config);
  check_optimizer(config, config.optimizer, "optimizer");
  check_optimizer(config, config.discriminator_optimizer, "optimizer.discriminator");
  check_schedule(config);
  check_parallel(config);
  check_parameter_server(config);
  check_comm(config);
  check_checkpoint(config);
}

void require_training_keys(const Config& config) {
  if (!config.data.train.empty()) return;
  throw ConfigError("{}: the key data.train is missing: the HDF5 file of training samples",
                    config.where("data.train"));
}

void check_files_exist(const Config& config) {
  check_file(config, "data.train", config.data.train);
  check_file(config, "data.validation", config.data.validation);
}

}  // namespace trireme
