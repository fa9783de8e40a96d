#include "data/loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "data/sampler.h"
#include "data/transform.h"

namespace trireme {
namespace {

// Asks for the beginning of an image; the processor follows the rest by itself.
void fetch(const uint8_t* pixels, int64_t bytes) {
  constexpr int64_t line = 64, most = 2048;
  for (int64_t at = 0; at < std::min(bytes, most); at += line) __builtin_prefetch(pixels + at);
}

}  // namespace

// What each batch holds: a value that all workers read. Orders of epochs are drawn once and shared.
struct Loader::Pass {
  const ImageDataset* dataset;
  ImageTransform transform;
  bool training;
  bool shuffle;
  uint64_t seed;
  int64_t batch;  // training: over all ranks; else of this rank
  int64_t rank, ranks;
  int64_t first_step;
  int64_t batches;   // of the pass
  int64_t capacity;  // samples of this rank in a batch, at most

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

  // Batch `number` of the pass, less its memory.
  Batch plan(int64_t number) const {
    Batch out;
    out.step = first_step + number;
    int64_t samples = dataset->size();
    if (training) {
      EpochPosition position = position_of(out.step, steps_per_epoch(samples, batch));
      Range global = batch_of(position.step, samples, batch);
      Range own = slice_of(static_cast<int64_t>(global.size()), rank, ranks);
      out.epoch = position.epoch;
      out.count = static_cast<int64_t>(own.size());
      out.global_count = static_cast<int64_t>(global.size());
      out.first = static_cast<int64_t>(own.begin);
      return out;
    }
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

  void fill(const Batch& planned, float* images, int32_t* labels) {
    std::shared_ptr<const EpochOrder> order;
    int64_t begin = planned.first;
    if (training) {
      order = order_of(planned.epoch);
      int64_t in_epoch = position_of(planned.step, steps_per_epoch(dataset->size(), batch)).step;
      begin += in_epoch * batch;
    }
    int64_t values = dataset->image_bytes();
    auto sample_at = [&](int64_t i) { return order ? (*order)[begin + i] : begin + i; };
    ImageDataset::Image next{};
    if (planned.count > 0) next = dataset->image(sample_at(0));
    for (int64_t i = 0; i < planned.count; ++i) {
      int64_t sample = sample_at(i);
      ImageDataset::Image image = std::move(next);
      if (i + 1 < planned.count) {
        // Shuffled images lie anywhere in memory: fetch the next while this one is worked on.
        next = dataset->image(sample_at(i + 1));
        fetch(next.pixels, values);
      }
      transform.apply(image.pixels, transform.draw(planned.epoch, sample), images + i * values);
      labels[i] = dataset->labels()[static_cast<size_t>(sample)];
    }
  }
};

// The ring and its workers.
class Loader::Pool {
 public:
  Pool(std::unique_ptr<Pass> pass, int64_t threads, int64_t ahead) : pass_(std::move(pass)) {
    // One slot more than is fetched ahead: the batch that is in use.
    slots_.resize(static_cast<size_t>(std::min(ahead + 1, std::max<int64_t>(1, pass_->batches))));
    auto capacity = static_cast<size_t>(pass_->capacity);
    for (Slot& slot : slots_) {
      slot.images = Buffer(capacity * static_cast<size_t>(pass_->dataset->image_bytes()) * sizeof(float));
      slot.labels = Buffer(capacity * sizeof(int32_t));
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
    if (handed_out_ == pass_->batches) return std::nullopt;
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

  const Pass& pass() const { return *pass_; }

 private:
  struct Slot {
    Buffer images;
    Buffer labels;
    Batch batch;
    int64_t holds = -1;  // number of the batch that is ready here
    std::exception_ptr error;
  };

  Slot& slot_of(int64_t number) { return slots_[static_cast<size_t>(number) % slots_.size()]; }

  void work() {
    std::unique_lock lock(mutex_);
    while (!stopping_ && taken_ < pass_->batches) {
      int64_t number = taken_++;
      slot_free_.wait(lock,
                      [&] { return stopping_ || number < freed_ + static_cast<int64_t>(slots_.size()); });
      if (stopping_) return;
      Slot& slot = slot_of(number);  // nobody else's until it is ready
      lock.unlock();
      try {
        slot.batch = pass_->plan(number);
        slot.batch.images = slot.images.as<float>();
        slot.batch.labels = slot.labels.as<int32_t>();
        pass_->fill(slot.batch, slot.images.as<float>(), slot.labels.as<int32_t>());
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
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::unique_ptr<Pass> pass_;
  std::vector<Slot> slots_;
  std::mutex mutex_;
  std::condition_variable slot_free_;
  std::condition_variable slot_ready_;
  int64_t taken_ = 0;       // batches that workers have taken on
  int64_t handed_out_ = 0;  // by next()
  int64_t freed_ = 0;       // batches below this number are not looked at any more
  bool stopping_ = false;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

namespace {

void require_samples(const ImageDataset& dataset) {
  if (dataset.size() == 0) throw DataError("{}: holds no samples", dataset.path().string());
}

ImageTransform transform_of(const ImageDataset& dataset, const DataConfig& config,
                            const LoaderOptions& options, bool augment) {
  const ImageDataset& like = options.normalize_like ? *options.normalize_like : dataset;
  return ImageTransform(config.transform, dataset.image_shape(), like.mean(), like.standard_deviation(),
                        options.seed, augment);
}

}  // namespace

Loader Loader::training(const ImageDataset& dataset, const DataConfig& config, const LoaderOptions& options) {
  require_samples(dataset);
  int64_t largest = std::min(config.batch, dataset.size());
  auto pass = std::unique_ptr<Pass>(new Pass{
      .dataset = &dataset,
      .transform = transform_of(dataset, config, options, /*augment=*/true),
      .training = true,
      .shuffle = config.shuffle,
      .seed = options.seed,
      .batch = config.batch,
      .rank = options.rank,
      .ranks = options.ranks,
      .first_step = options.first_step,
      .batches = std::max<int64_t>(0, options.end_step - options.first_step),
      .capacity = static_cast<int64_t>(slice_of(largest, options.rank, options.ranks).size()),
  });
  return Loader(std::make_unique<Pool>(std::move(pass), config.loader_threads, config.prefetch_batches));
}

Loader Loader::sequential(const ImageDataset& dataset, const DataConfig& config,
                          const LoaderOptions& options) {
  require_samples(dataset);
  auto longest = static_cast<int64_t>(slice_of(dataset.size(), 0, options.ranks).size());
  auto pass = std::unique_ptr<Pass>(new Pass{
      .dataset = &dataset,
      .transform = transform_of(dataset, config, options, /*augment=*/false),
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
int64_t Loader::batches() const { return pool_->pass().batches; }
int64_t Loader::batch_capacity() const { return pool_->pass().capacity; }

}  // namespace trireme
