#include "data/chunk_cache.h"

#include <algorithm>
#include <utility>

namespace trireme {

ChunkCache::ChunkCache(h5::Handle file, h5::Handle dataset, DType type, int64_t rows, int64_t row_bytes,
                       int64_t chunk_rows, int64_t capacity_bytes)
    : file_(std::move(file)),
      dataset_(std::move(dataset)),
      type_(type),
      rows_(rows),
      row_bytes_(row_bytes),
      chunk_rows_(chunk_rows),
      capacity_bytes_(capacity_bytes),
      entries_(static_cast<size_t>((rows + chunk_rows - 1) / chunk_rows)) {}

ChunkCache::Chunk ChunkCache::get(int64_t number) {
  if (Chunk kept = find(number)) return kept;
  std::lock_guard turn(reading_);
  if (Chunk kept = find(number)) return kept;  // another thread read it while this one waited
  int64_t first = number * chunk_rows_;
  int64_t count = std::min(chunk_rows_, rows_ - first);
  auto chunk = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(count * row_bytes_));
  h5::read_rows(dataset_, type_, first, count, chunk->data());
  keep(number, chunk);
  return chunk;
}

ChunkCache::Chunk ChunkCache::find(int64_t number) {
  std::lock_guard lock(table_);
  Entry& entry = entries_.at(static_cast<size_t>(number));
  if (entry.chunk) uses_.splice(uses_.begin(), uses_, entry.use);
  return entry.chunk;
}

void ChunkCache::keep(int64_t number, Chunk chunk) {
  std::lock_guard lock(table_);
  ++chunks_read_;
  bytes_kept_ += static_cast<int64_t>(chunk->size());
  uses_.push_front(number);
  entries_[static_cast<size_t>(number)] = {std::move(chunk), uses_.begin()};
  while (bytes_kept_ > capacity_bytes_ && uses_.size() > 1) {
    Entry& oldest = entries_[static_cast<size_t>(uses_.back())];
    bytes_kept_ -= static_cast<int64_t>(oldest.chunk->size());
    oldest.chunk.reset();
    uses_.pop_back();
  }
}

int64_t ChunkCache::bytes_kept() {
  std::lock_guard lock(table_);
  return bytes_kept_;
}

int64_t ChunkCache::chunks_read() {
  std::lock_guard lock(table_);
  return chunks_read_;
}

}  // namespace trireme
