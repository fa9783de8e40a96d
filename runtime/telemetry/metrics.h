// metrics.jsonl: what a run measured, one JSON object a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

// One training step (or the mean of the steps since the last record).
struct TrainRecord {
  int64_t step = 0;  // steps done, 1 after the first
  int64_t epoch = 0;
  int64_t samples = 0;  // seen so far, over all ranks
  double loss = 0;      // mean over the global batch
  double learning_rate = 0;
  double samples_per_second = 0;
  double data_seconds = 0;  // the step's parts, seconds a step
  double compute_seconds = 0;
  double exchange_seconds = 0;         // the step waited for it
  double exchange_hidden_seconds = 0;  // beside the computing: no part of the step's time
  double checkpoint_seconds = 0;
  std::optional<double> gradient_norm = {};       // written when clipping is on
  std::optional<double> generator_loss = {};      // a GAN's; `loss` is the generator's too
  std::optional<double> discriminator_loss = {};  // on real images and on fakes, the sum
  std::optional<double> learning_rate_factor =
      {};                                 // once rollbacks have lowered the rate; learning_rate has it in it
  std::optional<double> loss_scale = {};  // float16
  int64_t skipped_steps = 0;  // left out so far, since float16 gradients overflowed; written if any
};

// What a kind of model has no use for is absent.
struct ValidationRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0;
  std::optional<double> accuracy = {};            // classes, and tokens of text: 0..1
  std::optional<double> perplexity = {};          // text: exp(loss)
  std::optional<double> generator_loss = {};      // a GAN's; `loss` is the generator's too
  std::optional<double> discriminator_loss = {};  // on real images and on fakes, the sum
};

// A checkpoint, once it is written or has failed.
struct CheckpointRecord {
  int64_t step = 0;
  double stall_seconds = 0;  // training stood still for it
  double write_seconds = 0;  // hashed, written and committed, beside the training
  int64_t bytes = 0;         // of rank 0's file
  bool direct = false;       // written past the page cache
  std::string error = {};    // empty: it exists
};

// What the servers of parallel.mode = "parameter_server" have done since the last such record.
struct ParameterServerRecord {
  struct Worker {
    int32_t worker = 0;
    bool present = false;
    int64_t pieces = 0;       // done since the last record
    double wait_seconds = 0;  // for pieces and for acknowledgements, of these
  };
  int64_t step = 0;
  int64_t workers = 0;       // present
  int64_t workers_lost = 0;  // so far
  double pushes_per_second = 0;
  double pulls_per_second = 0;
  uint64_t pushed_bytes = 0;
  uint64_t pulled_bytes = 0;
  uint64_t torn_blocks = 0;  // that pulls had to fetch again
  // Pushes to the coordinating server's shards by how many updates their pull lacked; the last place: that
  // and more.
  std::vector<uint64_t> staleness = {};
  double mean_staleness = 0;
  uint64_t duplicates = 0;  // so far: pushes that came again and changed nothing
  uint64_t fenced = 0;      // so far: pushes of workers that had been taken for dead
  uint64_t refused = 0;     // so far: messages of strangers, or malformed
  std::vector<Worker> by_worker = {};
};

// "loss 0.4058, accuracy 0.8473": for people.
std::string figures_text(const ValidationRecord& record);
// Calls tell(name, value) for each figure that the record has, in the order in which files list them, loss
// first.
void for_each_figure(const ValidationRecord& record,
                     const std::function<void(const char* name, double value)>& tell);

// Appends whole lines, each by one write(2), so that a killed run leaves at most one torn line, at the end.
// Opening repairs: a torn last line is cut off. Only rank 0 owns one.
class MetricsWriter {
 public:
  // Opens `path` and keeps those whole lines whose step is <= resume_step (0: a fresh start, nothing is
  // kept), so that after a resume the file has each step once. Throws IoError.
  // `lost` is told once, at the first line that cannot be appended (disk full): that and further such lines
  // are left out, and whoever writes goes on. Without it they are an IoError.
  MetricsWriter(const std::filesystem::path& path, int64_t resume_step,
                std::function<void(const std::string&)> lost = {});
  ~MetricsWriter();
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;

  // Numbers that JSON cannot say (nan, infinity) become null.
  void write(const TrainRecord& record);
  void write(const ValidationRecord& record);
  void write(const CheckpointRecord& record);
  void write(const ParameterServerRecord& record);
  // Keeps what opening with resume_step = `step` would keep: the run has gone back there. Throws IoError.
  void rewind(int64_t step);

 private:
  void open(int64_t step);
  void close();

  void append(const char* text, size_t bytes);
  std::filesystem::path path_;
  std::function<void(const std::string&)> lost_;
  int64_t lost_lines_ = 0;
  int file_ = -1;
};

}  // namespace trireme
