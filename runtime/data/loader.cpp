#include "data/loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "data/sampler.h"

namespace trireme {
namespace {

// Which part of which step a training batch is.
struct Order {
  int64_t step = 0;
  int64_t rank = 0;
  int64_t ranks = 1;
};

}  // namespace

// What each batch holds: a value that all workers read. Orders of epochs are drawn once and shared.
struct Loader::Pass {
  const Dataset* dataset;
  bool training;
  bool shuffle;
  uint64_t seed;
  int64_t batch;  // training: over all ranks; else of this rank
  int64_t rank, ranks;
  int64_t virtual_ranks = 0;
  int64_t first_step;
  int64_t batches;   // of the pass; on demand: none to begin with
  int64_t capacity;  // samples of this rank in a batch, at most
  bool on_demand = false;

  std::mutex orders_mutex = {};
  std::vector<std::pair<int64_t, std::shared_ptr<const EpochOrder>>> orders = {};

  std::shared_ptr<const EpochOrder> order_of(int64_t epoch) {
    std::lock_guard lock(orders_mutex);
    for (const auto& [number, order] : orders) {
      if (number == epoch) return order;
    }
    auto order = std::make_shared<const EpochOrder>(dataset->size(), seed, epoch, shuffle);
    // Batches in flight span two epochs (more only where epochs are shorter than the ring).
    constexpr size_t kept = 3;
    if (orders.size() == kept) orders.erase(orders.begin());
    orders.emplace_back(epoch, order);
    return order;
  }

  // A training batch, less its memory.
  Batch plan(const Order& order) const {
    Batch out;
    out.step = order.step;
    int64_t samples = dataset->size();
    EpochPosition position = position_of(out.step, steps_per_epoch(samples, batch));
    Range global = batch_of(position.step, samples, batch);
    Range own = share_of(static_cast<int64_t>(global.size()), order.rank, order.ranks, virtual_ranks);
    out.epoch = position.epoch;
    out.count = static_cast<int64_t>(own.size());
    out.global_count = static_cast<int64_t>(global.size());
    out.first = static_cast<int64_t>(own.begin);
    return out;
  }

  // Batch `number` of the pass, less its memory.
  Batch plan(int64_t number) const {
    if (training) return plan(Order{first_step + number, rank, ranks});
    Batch out;
    out.step = first_step + number;
    int64_t samples = dataset->size();
    auto part = [&](int64_t of_rank) {
      Range slice = slice_of(samples, of_rank, ranks);
      size_t begin = std::min(slice.end, slice.begin + static_cast<size_t>(number * batch));
      return Range{begin, std::min(slice.end, begin + static_cast<size_t>(batch))};
    };
    Range own = part(rank);
    out.count = static_cast<int64_t>(own.size());
    out.first = static_cast<int64_t>(own.begin);
    for (int64_t r = 0; r < ranks; ++r) out.global_count += static_cast<int64_t>(part(r).size());
    return out;
  }

  // `samples` is the worker's, kept from batch to batch.
  void fill(const Batch& planned, std::vector<int64_t>& samples, void* features, void* targets) {
    samples.resize(static_cast<size_t>(planned.count));
    std::iota(samples.begin(), samples.end(), planned.first);
    if (training) {
      std::shared_ptr<const EpochOrder> order = order_of(planned.epoch);
      int64_t in_epoch = position_of(planned.step, steps_per_epoch(dataset->size(), batch)).step;
      for (int64_t& sample : samples) sample = (*order)[in_epoch * batch + sample];
    }
    dataset->write({.seed = seed, .epoch = planned.epoch, .augment = training}, samples, features, targets);
  }
};

// The ring and its workers.
class Loader::Pool {
 public:
  Pool(std::unique_ptr<Pass> pass, int64_t threads, int64_t ahead)
      : pass_(std::move(pass)), asked_(pass_->batches) {
    // One slot more than is fetched ahead: the batch that is in use.
    int64_t most = pass_->on_demand ? ahead + 1 : std::max<int64_t>(1, pass_->batches);
    slots_.resize(static_cast<size_t>(std::min(ahead + 1, most)));
    SampleShape sample = pass_->dataset->sample_shape();
    auto capacity = static_cast<size_t>(pass_->capacity);
    for (Slot& slot : slots_) {
      slot.features = Buffer(capacity * static_cast<size_t>(features_bytes(sample)));
      slot.targets = Buffer(capacity * static_cast<size_t>(targets_bytes(sample)));
    }
    try {
      for (int64_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }

  ~Pool() { stop(); }

  std::optional<Batch> next() {
    std::unique_lock lock(mutex_);
    if (error_) std::rethrow_exception(error_);
    freed_ = handed_out_;
    slot_free_.notify_all();
    if (handed_out_ == asked_) return std::nullopt;
    Slot& slot = slot_of(handed_out_);
    auto start = std::chrono::steady_clock::now();
    slot_ready_.wait(lock, [&] { return slot.holds == handed_out_; });
    if (slot.error) {
      error_ = slot.error;
      std::rethrow_exception(error_);
    }
    ++handed_out_;
    Batch batch = slot.batch;
    batch.stall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return batch;
  }

  void request(const Order& order) {
    bool known = order.step >= 0 && order.rank >= 0 && order.rank < order.ranks;
    if (!pass_->on_demand || !known || pass_->plan(order).count > pass_->capacity) {
      throw DataError("{}: piece {} of {} of step {} cannot be asked for: {}",
                      pass_->dataset->path().string(), order.rank, order.ranks, order.step,
                      !pass_->on_demand ? "this loader has an order of its own"
                      : !known          ? "there is no such piece"
                                        : "it is larger than was announced");
    }
    {
      std::lock_guard lock(mutex_);
      orders_.push_back(order);
      ++asked_;
    }
    asked_for_.notify_one();
  }

  int64_t batches() const {
    std::lock_guard lock(mutex_);
    return asked_;
  }
  const Pass& pass() const { return *pass_; }

 private:
  struct Slot {
    Buffer features;
    Buffer targets;
    Batch batch;
    int64_t holds = -1;  // number of the batch that is ready here
    std::exception_ptr error;
  };

  Slot& slot_of(int64_t number) { return slots_[static_cast<size_t>(number) % slots_.size()]; }

  void work() {
    std::vector<int64_t> samples;
    std::unique_lock lock(mutex_);
    while (true) {
      asked_for_.wait(lock, [&] { return stopping_ || taken_ < asked_ || !pass_->on_demand; });
      if (stopping_ || taken_ == asked_) return;
      int64_t number = taken_++;
      Order order;
      if (pass_->on_demand) {
        order = orders_.front();
        orders_.pop_front();
      }
      slot_free_.wait(lock,
                      [&] { return stopping_ || number < freed_ + static_cast<int64_t>(slots_.size()); });
      if (stopping_) return;
      Slot& slot = slot_of(number);  // nobody else's until it is ready
      lock.unlock();
      try {
        slot.batch = pass_->on_demand ? pass_->plan(order) : pass_->plan(number);
        slot.batch.features = slot.features.data();
        slot.batch.targets = slot.targets.data();
        pass_->fill(slot.batch, samples, slot.features.data(), slot.targets.data());
      } catch (...) {
        slot.error = std::current_exception();
      }
      lock.lock();
      slot.holds = number;
      slot_ready_.notify_all();
      if (slot.error) return;
    }
  }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    slot_free_.notify_all();
    asked_for_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::unique_ptr<Pass> pass_;
  std::vector<Slot> slots_;
  mutable std::mutex mutex_;
  std::condition_variable asked_for_;
  std::condition_variable slot_free_;
  std::condition_variable slot_ready_;
  std::deque<Order> orders_;  // on demand: not yet taken on
  int64_t asked_;             // batches of the pass, or asked for so far
  int64_t taken_ = 0;         // batches that workers have taken on
  int64_t handed_out_ = 0;    // by next()
  int64_t freed_ = 0;         // batches below this number are not looked at any more
  bool stopping_ = false;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

Loader Loader::training(const Dataset& dataset, const DataConfig& config, const LoaderOptions& options) {
  int64_t largest = std::min(config.batch, dataset.size());
  auto pass = std::unique_ptr<Pass>(new Pass{
      .dataset = &dataset,
      .training = true,
      .shuffle = config.shuffle,
      .seed = options.seed,
      .batch = config.batch,
      .rank = options.rank,
      .ranks = options.ranks,
      .virtual_ranks = options.virtual_ranks,
      .first_step = options.first_step,
      .batches = std::max<int64_t>(0, options.end_step - options.first_step),
      .capacity =
          static_cast<int64_t>(share_of(largest, options.rank, options.ranks, options.virtual_ranks).size()),
  });
  return Loader(std::make_unique<Pool>(std::move(pass), config.loader_threads, config.prefetch_batches));
}

Loader Loader::on_demand(const Dataset& dataset, const DataConfig& config, const LoaderOptions& options) {
  int64_t largest = std::min(config.batch, dataset.size());
  auto pass = std::unique_ptr<Pass>(new Pass{
      .dataset = &dataset,
      .training = true,
      .shuffle = config.shuffle,
      .seed = options.seed,
      .batch = config.batch,
      .rank = 0,
      .ranks = options.ranks,
      .first_step = 0,
      .batches = 0,
      .capacity = static_cast<int64_t>(slice_of(largest, 0, options.ranks).size()),
      .on_demand = true,
  });
  return Loader(std::make_unique<Pool>(std::move(pass), config.loader_threads, config.prefetch_batches));
}

Loader Loader::sequential(const Dataset& dataset, const DataConfig& config, const LoaderOptions& options) {
  auto longest = static_cast<int64_t>(slice_of(dataset.size(), 0, options.ranks).size());
  auto pass = std::unique_ptr<Pass>(new Pass{
      .dataset = &dataset,
      .training = false,
      .shuffle = false,
      .seed = options.seed,
      .batch = config.validation_batch,
      .rank = options.rank,
      .ranks = options.ranks,
      .first_step = 0,
      .batches = steps_per_epoch(longest, config.validation_batch),
      .capacity = std::min(config.validation_batch, longest),
  });
  return Loader(std::make_unique<Pool>(std::move(pass), config.loader_threads, config.prefetch_batches));
}

Loader::Loader(std::unique_ptr<Pool> pool) : pool_(std::move(pool)) {}
Loader::Loader(Loader&&) noexcept = default;
Loader::~Loader() = default;

std::optional<Batch> Loader::next() { return pool_->next(); }
void Loader::request(int64_t step, int64_t piece, int64_t pieces) { pool_->request({step, piece, pieces}); }
int64_t Loader::batches() const { return pool_->batches(); }
int64_t Loader::batch_capacity() const { return pool_->pass().capacity; }

}  // namespace trireme
