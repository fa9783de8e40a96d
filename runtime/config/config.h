// The typed form of a run's TOML file: one plain struct a table, one member a key, the member initialiser its
// default. What a key may hold and what it means to a user is declared once, in keys_SUBJECT.cpp; types,
// ranges, parsing, dumping and the reference all come from that declaration.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

// [run]
struct RunConfig {
  std::string name = "run";  // also the run directory's name, runs/<name>
  int64_t seed = 1;          // >= 0
  bool operator==(const RunConfig&) const = default;
};

// [data.transform]: applied to training samples; validation samples are only normalised
struct TransformConfig {
  bool normalize = true;
  int64_t resize = 0;                // side of the square that images are scaled to first; 0: as stored
  int64_t crop = 0;                  // side of the square cut out: at random in training, from the middle
                                     // in validation; 0: none
  int64_t random_crop_padding = 0;   // pixels
  bool random_resized_crop = false;  // cut 8 to 100 % of the area, scale it to the crop or image size
  bool horizontal_flip = false;
  bool vertical_flip = false;
  double rotation_degrees = 0.0;  // uniform in +-this
  double grayscale_probability = 0.0;
  double erase_probability = 0.0;  // random erasing
  bool operator==(const TransformConfig&) const = default;
};

// [data]
struct DataConfig {
  std::string train;                 // HDF5 file; "" where a job needs none
  std::string validation;            // HDF5 file; "" for none
  int64_t batch = 64;                // samples over all ranks
  int64_t validation_batch = 256;    // samples per rank
  double validation_fraction = 0.0;  // of train's samples kept apart for validation; needs validation = ""
  int64_t sequence_length = 128;     // text: tokens of a sample
  bool shuffle = true;
  int64_t cache_bytes = int64_t{1} << 30;
  int64_t loader_threads = 1;
  int64_t prefetch_batches = 4;
  TransformConfig transform;
  bool operator==(const DataConfig&) const = default;
};

// One [[model.layer]]. Members that the layer's kind has no use for hold their defaults.
struct LayerConfig {
  std::string kind;        // linear convolution transposed_convolution batch_norm group_norm layer_norm relu
                           // leaky_relu gelu tanh sigmoid max_pool average_pool global_average_pool flatten
                           // dropout embedding rnn lstm attention
  int64_t units = 0;       // linear, rnn, lstm: outputs; embedding: channels of a token
  int64_t channels = 0;    // convolutions: outputs
  int64_t kernel = 0;      // convolutions, pools: side of the square window
  int64_t stride = 0;      // convolutions, pools; load_config puts 1 (convolutions) or kernel (pools) for 0
  int64_t padding = 0;     // convolutions, pools: zeros on every side
  bool bias = true;        // linear, convolutions
  double rate = 0.5;       // dropout: probability of dropping
  double epsilon = 1e-5;   // norms
  double momentum = 0.1;   // batch_norm: weight of the newest batch in the running statistics
  int64_t groups = 0;      // group_norm
  double slope = 0.01;     // leaky_relu: below zero
  bool positions = false;  // embedding: adds learned channels of the position
  int64_t heads = 0;       // attention
  bool operator==(const LayerConfig&) const = default;
};

// [model]
struct ModelConfig {
  std::string kind = "mlp";               // mlp lenet cnn resnet rnn lstm gpt gan layers
  std::vector<int64_t> hidden{128};       // mlp
  std::vector<int64_t> channels{32, 64};  // cnn
  int64_t kernel = 3;                     // cnn: side of the windows, padded by half
  int64_t dense = 128;                    // cnn: units of the hidden linear layer, 0 for none
  int64_t depth = 0;                      // resnet (18, 34), rnn, lstm, gpt: layers; 0: 18, 2, 2, 4
  int64_t width = 0;                // resnet, gan: channels of the first stage; gpt: channels; 0: 64, 64, 128
  std::string stem = "cifar";       // resnet: cifar imagenet
  std::string norm = "batch";       // cnn, resnet: batch group
  int64_t units = 256;              // rnn, lstm: of each layer
  int64_t embedding = 0;            // rnn, lstm: channels of a token; 0: units
  int64_t heads = 4;                // gpt
  bool tied = true;                 // gpt: the head reads the embedding's weight
  int64_t latent = 100;             // gan: values that an image is made from
  double dropout = 0.0;             // mlp, lenet, cnn, rnn, lstm, gpt
  std::string activation = "relu";  // mlp, lenet: relu tanh sigmoid
  std::vector<LayerConfig> layer;   // layers
  bool operator==(const ModelConfig&) const = default;
};

// [train]
struct TrainConfig {
  int64_t epochs = 1;
  int64_t steps = 0;                  // a limit, 0 for none
  std::string precision = "float32";  // float32 bfloat16 float16
  double loss_scale = 65536.0;        // float16: at the start
  int64_t loss_scale_steps = 2000;    // float16: good steps after which the scale doubles
  std::string recompute = "none";     // none layer sqrt
  int64_t micro_batches = 1;          // pieces that a rank's share of a batch is computed in
  std::string on_nan = "stop";        // stop rollback
  std::string device = "auto";        // auto cpu
  std::string backend = "cpu";        // cpu reference
  int64_t threads = 0;                // per rank; 0: cores available / ranks on the node
  bool matrix_units = true;           // float32 products on bfloat16 matrix units, split in three
  double gradient_clip_norm = 0.0;    // 0 for none
  int64_t validate_every_epochs = 1;  // 0: only at the end
  int64_t log_every_steps = 50;
  double label_smoothing = 0.0;
  bool operator==(const TrainConfig&) const = default;
};

// Where something was written, for messages; no part of a config's value.
struct Place {
  std::string text;
  bool operator==(const Place&) const { return true; }
};

// One [[optimizer.group]]: parameters that move otherwise than the rest. Of several groups that name a
// parameter the first counts.
struct OptimizerGroupConfig {
  std::vector<std::string> parameters = {};  // patterns of fnmatch(3) over the parameters' names: "*.bias"
  double learning_rate_factor = 1.0;
  double weight_decay = -1.0;  // for all of the group, vectors too; -1: as without the group
  Place place = {};
  bool operator==(const OptimizerGroupConfig&) const = default;
};

// [optimizer]
struct OptimizerConfig {
  std::string kind = "sgd";  // sgd adam adamw rmsprop adagrad lamb lars
  double learning_rate = 0.01;
  double momentum = 0.9;             // sgd, lars
  bool nesterov = false;             // sgd
  double weight_decay = 0.0;         // not applied to tensors of rank <= 1
  double beta1 = 0.9;                // adam, adamw, lamb
  double beta2 = 0.999;              // adam, adamw, lamb
  double smoothing = 0.99;           // rmsprop: decay of the squared gradient's running mean
  double epsilon = 1e-8;             // adam, adamw, rmsprop, adagrad, lamb
  double trust_coefficient = 0.001;  // lars
  double ema_decay = 0.0;            // of the parameters' moving average, which validation uses; 0: none
  std::vector<OptimizerGroupConfig> group = {};
  bool operator==(const OptimizerConfig&) const = default;
};

// [schedule]
struct ScheduleConfig {
  std::string kind = "constant";     // constant step cosine one_cycle
  int64_t warmup_steps = 0;          // linear warm-up at the start
  std::vector<int64_t> step_epochs;  // step: epochs at whose start the rate is multiplied by gamma
  int64_t step_every_epochs = 0;     // step: the same at every multiple; exactly one of the two is given
  double gamma = 0.1;                // step
  double final_fraction = 0.0;       // cosine: last rate / learning_rate
  double peak_fraction = 0.3;        // one_cycle: part of all steps spent rising
  double initial_divisor = 25.0;     // one_cycle: learning_rate / first rate
  double final_divisor = 1e4;        // one_cycle: first rate / last rate
  bool operator==(const ScheduleConfig&) const = default;
};

// A number, or a name in place of it: servers = 2, servers = "per_node".
struct CountOrName {
  CountOrName(int64_t number = 1) : count(number) {}
  int64_t count;
  std::string name;  // empty: the count holds
  bool operator==(const CountOrName& other) const {
    return name == other.name && (!name.empty() || count == other.count);
  }
};

// [parallel]
struct ParallelConfig {
  std::string mode = "allreduce";  // allreduce parameter_server
  int64_t virtual_ranks = 0;       // a power of two; 0: none
  bool operator==(const ParallelConfig&) const = default;
};

// [parallel.allreduce]
struct AllReduceConfig {
  bool shard_optimizer = false;  // each rank keeps the optimizer's state of, and updates, its part alone
  bool operator==(const AllReduceConfig&) const = default;
};

// [parallel.parameter_server]
struct ParameterServerConfig {
  std::string mode = "ssp";          // async ssp easgd dcasgd
  CountOrName servers;               // of the first ranks; per_node colocated
  int64_t staleness = 4;             // ssp: clocks; 0: bulk synchronous
  int64_t pieces = 0;                // of a global batch; 0: as many as there are workers at the start
  int64_t replicas = 1;              // servers that hold each shard: 1 or 2
  int64_t threads = 0;               // of a server that apply updates; 0: as many as it has cores to itself
  std::string encoding = "float32";  // of pushes: float32 bfloat16 top_k
  double top_k_fraction = 0.01;      // of a shard's entries that a push carries
  double easgd_moving_rate = 0;      // alpha; 0: 0.9 / workers
  int64_t easgd_period = 4;          // tau: local steps between two exchanges
  double dcasgd_lambda = 0.04;
  bool scale_by_staleness = false;
  bool backup_pieces = true;
  double lease_seconds = 10;  // a worker that is not heard of for so long is dead
  int64_t port = 0;           // of the servers; 0: any free one
  bool operator==(const ParameterServerConfig&) const = default;
};

// [checkpoint]
struct CheckpointConfig {
  int64_t every_steps = 0;  // 0: at epoch ends and at the end only
  int64_t keep = 3;
  int64_t keep_every = 0;       // steps whose multiples are kept for good; 0: none
  int64_t keep_best = 0;        // so many of the best by `metric` are kept too
  std::string metric = "loss";  // loss accuracy perplexity
  double before_end_seconds =
      60;                // a job's end by SLURM's word is a request to stop so long before; 0: never
  int64_t restarts = 3;  // automatic ones in a row that a job may have without a newer checkpoint
  bool operator==(const CheckpointConfig&) const = default;
};

// [comm]
struct CommConfig {
  std::string transport = "auto";  // auto rdma tcp shared_memory
  bool require_rdma = false;
  std::string backend = "auto";  // auto mpi shared_memory hierarchical
  int64_t leaders = 0;           // ranks of a node that talk to other nodes; 0: as the fabric wants
  int64_t bucket_bytes = int64_t{4} << 20;
  std::string overlap =
      "auto";  // auto on off: exchange in a thread of its own while the backward pass goes on
  double timeout_seconds = 300;  // the watchdog's deadline; 0: no watchdog
  bool operator==(const CommConfig&) const = default;
};

// Where each key that was given came from: "model.layer[2].rate" -> "net.toml:12:9" or "--set model...".
// No part of a config's value: two configs with other origins are equal.
struct Origins {
  std::string file;  // as it was named by the caller
  std::map<std::string, std::string, std::less<>> keys;
  bool operator==(const Origins&) const { return true; }
};

struct Config {
  RunConfig run;
  DataConfig data;
  ModelConfig model;
  TrainConfig train;
  OptimizerConfig optimizer;
  OptimizerConfig discriminator_optimizer{.kind = "adam", .learning_rate = 2e-4, .beta1 = 0.5};  // gan
  ScheduleConfig schedule;
  ParallelConfig parallel;
  AllReduceConfig allreduce;
  ParameterServerConfig parameter_server;
  CheckpointConfig checkpoint;
  CommConfig comm;
  Origins origins;

  // "FILE:LINE:COLUMN" or "--set KEY=VALUE" of a key that was given, the file's name of one that was not.
  // `key` is dotted; layers count from 0: "model.layer[2].rate".
  std::string where(std::string_view key) const;
  bool operator==(const Config&) const = default;
};

// Reads `path`, applies the overrides ("table.key=value" each, later ones win) and checks everything that can
// be checked before anything is allocated: syntax, names, types, ranges, choices, rules between keys. Throws
// ConfigError (exit 78) with one message that begins with FILE:LINE:COLUMN or with "--set KEY=VALUE".
Config load_config(const std::string& path, const std::vector<std::string>& overrides = {});
// The same of a text; `name` stands for the file in messages.
Config parse_config(std::string_view text, const std::string& name,
                    const std::vector<std::string>& overrides = {});

// The complete config as TOML that parses back to an equal config. Keys that the chosen kinds do not read are
// left out.
std::string dump_config(const Config& config);

// The user's reference: every table and key with type, default, range or choices, and a line of explanation.
std::string help_config();

// ConfigError when a key that training needs was not given (data.train).
void require_training_keys(const Config& config);
// ConfigError naming key, place and path when a data file that the config names is not there or is a folder.
// Relative paths are relative to the current directory.
void check_files_exist(const Config& config);

}  // namespace trireme
