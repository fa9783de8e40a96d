// metrics.jsonl: what a run measured, one JSON object a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

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
  double exchange_seconds = 0;
  double checkpoint_seconds = 0;
  std::optional<double> gradient_norm;  // written when clipping is on
};

struct ValidationRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0;
  double accuracy = 0;  // 0..1
};

// Appends whole lines, each by one write(2), so that a killed run leaves at most one torn line, at the end.
// Opening repairs: a torn last line is cut off. Only rank 0 owns one.
class MetricsWriter {
 public:
  // Opens `path` and keeps those whole lines whose step is <= resume_step (0: a fresh start, nothing is
  // kept), so that after a resume the file has each step once. Throws IoError.
  MetricsWriter(const std::filesystem::path& path, int64_t resume_step);
  ~MetricsWriter();
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;

  // Numbers that JSON cannot say (nan, infinity) become null. Throws IoError (disk full).
  void write(const TrainRecord& record);
  void write(const ValidationRecord& record);

 private:
  void append(const char* text, size_t bytes);
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace trireme
