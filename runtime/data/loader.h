// Batches, ahead of time: a pool of threads extracts, transforms and hands over while the last batch is
// computed on.
//
// A ring of prefetch_batches preallocated slots; batch number i lives in slot i modulo their number. A worker
// takes the next number, waits until that slot is free, fills it and marks it ready; next() waits for the
// slot of the next number. So the order of batches and what is in them never depend on the threads' timing,
// and memory is bounded.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "config/config.h"
#include "data/dataset.h"

namespace trireme {

// What next() hands over; memory and contents stay as they are until the following next().
struct Batch {
  const void* features = nullptr;  // images float32 (count, H, W, C), rows of a table float32 (count, F),
                                   // text int32 (count, T)
  const void* targets = nullptr;   // classes int32 (count), values float32 (count, K), text int32 (count, T)
  int64_t count = 0;               // samples of this rank; 0 where the step has fewer samples than ranks
  int64_t global_count = 0;        // samples over all ranks
  int64_t first = 0;               // place of this rank's first sample in the global batch
  int64_t epoch = 0;
  int64_t step = 0;            // global step of a training pass; number of the batch in a sequential one
  double stall_seconds = 0.0;  // how long next() waited
};

struct LoaderOptions {
  uint64_t seed = 1;
  int64_t rank = 0;
  int64_t ranks = 1;
  int64_t first_step = 0;     // resume here
  int64_t end_step = 0;       // one past the last
  int64_t virtual_ranks = 0;  // see share_of; validation is shared out without
};

class Loader {
 public:
  // Training: steps [first_step, end_step), counted over all epochs; step k of an epoch takes samples
  // [k * batch, min(n, (k + 1) * batch)) of the epoch's order, of which this rank has its share_of. Shuffled
  // as `config` says and augmented as the data set does it, which must outlive the loader.
  static Loader training(const Dataset& dataset, const DataConfig& config, const LoaderOptions& options);

  // Validation: once through this rank's slice_of the whole data set in order, in batches of
  // validation_batch, not augmented. All ranks get equally many batches (the last ones of some
  // may be short or empty), so that they may meet in a collective after each. global_count is the sum over
  // ranks; `first` is the number of the first sample in the data set. Start another for the next pass;
  // options' seed and steps do not matter.
  static Loader sequential(const Dataset& dataset, const DataConfig& config, const LoaderOptions& options);

  // Training batches that are asked for one by one, in any order: request() says which, next() hands them
  // over in the order of requests, with the bits that training() gives rank `piece` of `pieces`. Of `options`
  // seed and ranks count: no request may have fewer pieces than there are ranks. Requests that nobody has
  // waited for are dropped with the loader.
  static Loader on_demand(const Dataset& dataset, const DataConfig& config, const LoaderOptions& options);
  // Of an on_demand loader; takes no time. step >= 0, 0 <= piece < pieces, options.ranks <= pieces, else
  // DataError. Filling begins at once, while prefetch_batches are not yet ready.
  void request(int64_t step, int64_t piece, int64_t pieces);

  Loader(Loader&&) noexcept;
  // Ends the workers, whatever they are doing, and waits for them (for the chunk that is being read at most).
  ~Loader();

  // The next batch, or nothing after the last one (on demand: when all that was asked for has been handed
  // over; more may be asked for). An exception of a worker comes out here as it was, at the
  // batch that it concerns, and again at every later call.
  std::optional<Batch> next();

  int64_t batches() const;         // of the whole pass; on demand: asked for so far
  int64_t batch_capacity() const;  // the most samples this rank gets at once

 private:
  struct Pass;
  class Pool;
  explicit Loader(std::unique_ptr<Pool> pool);
  std::unique_ptr<Pool> pool_;
};

}  // namespace trireme
