// A text in an HDF5 file, as the contract has it:
//   /tokens  uint8, uint16 or int32 (N), fletcher32; attributes encoding ("bytes", "characters", "subword")
//   and
//            vocabulary (a text a token)
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace trireme {

class ChunkCache;

// Opening reads attributes only; tokens are read on demand. All const members may be called from any number
// of threads.
class TextFile {
 public:
  // cache_bytes bounds what is kept of the tokens (one chunk a reading thread stays beyond it).
  // Throws MissingInputError, IoError, or DataError naming the file and what breaks the contract.
  TextFile(const std::filesystem::path& path, int64_t cache_bytes);
  ~TextFile();

  const std::filesystem::path& path() const { return path_; }
  int64_t tokens() const { return tokens_; }
  const std::string& encoding() const { return encoding_; }
  const std::vector<std::string>& vocabulary() const { return vocabulary_; }
  // SHA-256 of the raw files it was made from, where the file tells; names the text without reading it.
  const std::vector<std::string>& source_sha256() const { return source_sha256_; }
  // Writes tokens [first, first + count). Throws DataError naming file and place when a chunk fails its
  // checksum or a token is not in the vocabulary.
  void read(int64_t first, int64_t count, int32_t* out) const;

 private:
  std::filesystem::path path_;
  int64_t tokens_ = 0;
  DType type_ = DType::uint8;
  std::string encoding_;
  std::vector<std::string> vocabulary_;
  std::vector<std::string> source_sha256_;
  std::unique_ptr<ChunkCache> cache_;
};

}  // namespace trireme
