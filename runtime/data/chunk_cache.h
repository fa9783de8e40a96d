// The chunks of one data set that were used last, read on demand.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "base/hdf5.h"

namespace trireme {

// Rows of bytes, a chunk of rows at a time. Reading a chunk checks its checksum (fletcher32), so each is
// checked once as long as it stays. All members may be called from any number of threads; reads of the file
// itself take turns (the library would make them anyway), lookups of what is there do not wait for them.
class ChunkCache {
 public:
  using Chunk = std::shared_ptr<const std::vector<uint8_t>>;

  // dataset: rows of row_bytes bytes of `type` each, inside of `file`, which is kept open. capacity_bytes
  // bounds what is kept; the newest chunk is always kept.
  ChunkCache(h5::Handle file, h5::Handle dataset, DType type, int64_t rows, int64_t row_bytes,
             int64_t chunk_rows, int64_t capacity_bytes);

  int64_t chunk_rows() const { return chunk_rows_; }
  // Rows [chunk * chunk_rows, min(rows, (chunk + 1) * chunk_rows)). DataError naming file and rows when they
  // cannot be read or their checksum is wrong.
  Chunk get(int64_t chunk);
  int64_t bytes_kept();
  int64_t chunks_read();

 private:
  struct Entry {
    Chunk chunk;
    std::list<int64_t>::iterator use;
  };
  Chunk find(int64_t chunk);
  void keep(int64_t number, Chunk chunk);

  h5::Handle file_;
  h5::Handle dataset_;
  DType type_;
  int64_t rows_, row_bytes_, chunk_rows_, capacity_bytes_;
  std::mutex reading_;  // held while the file is read; taken before table_
  std::mutex table_;
  std::vector<Entry> entries_;  // by number; those not kept are empty
  std::list<int64_t> uses_;     // numbers of the kept chunks, the last used first
  int64_t bytes_kept_ = 0;
  int64_t chunks_read_ = 0;
};

}  // namespace trireme
