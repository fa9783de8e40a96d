#include "data/text_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "data/chunk_cache.h"
#include "data/file_parts.h"

namespace trireme {
namespace {

// Tokens to a chunk where the file has none of its own.
constexpr int64_t tokens_of_chunk = 1 << 16;

// Widens `count` tokens; the largest of them as an unsigned number, so that negative ones are the largest.
template <class T>
uint32_t widen(const uint8_t* in, int64_t count, int32_t* out) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    T token;
    std::memcpy(&token, in + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    out[i] = static_cast<int32_t>(token);
    largest = std::max(largest, static_cast<uint32_t>(out[i]));
  }
  return largest;
}

uint32_t widen(DType type, const uint8_t* in, int64_t count, int32_t* out) {
  if (type == DType::uint8) return widen<uint8_t>(in, count, out);
  if (type == DType::uint16) return widen<uint16_t>(in, count, out);
  return widen<int32_t>(in, count, out);
}

}  // namespace

TextFile::TextFile(const std::filesystem::path& path, int64_t cache_bytes) : path_(path) {
  h5::Handle file = h5::open_file(path);
  h5::Handle tokens = open_part(file, path, "/tokens", "a text");
  Shape shape = h5::shape_of(tokens);
  if (shape.rank() != 1) {
    throw DataError("{}: /tokens has shape {}, must be (N)", path.string(), shape.to_string());
  }
  tokens_ = shape[0];
  type_ = h5::dtype_of(tokens);
  if (type_ != DType::uint8 && type_ != DType::uint16 && type_ != DType::int32) {
    throw DataError("{}: /tokens holds {}, must be uint8, uint16 or int32", path.string(), name_of(type_));
  }
  if (!h5::has_attribute(tokens, "encoding")) {
    throw DataError("{}: /tokens lacks the attribute 'encoding'; {}", path.string(), make_it_again);
  }
  encoding_ = h5::read_string_attribute(tokens, "encoding");
  vocabulary_ = read_names(tokens, path, "/tokens", "vocabulary");
  if (h5::has_attribute(file, "source_sha256")) {
    source_sha256_ = h5::read_strings_attribute(file, "source_sha256");
  }
  Shape chunk = h5::chunk_of(tokens);
  cache_ = std::make_unique<ChunkCache>(std::move(file), std::move(tokens), type_, tokens_,
                                        static_cast<int64_t>(size_of(type_)),
                                        chunk.rank() == 1 ? chunk[0] : tokens_of_chunk, cache_bytes);
}

TextFile::~TextFile() = default;

void TextFile::read(int64_t first, int64_t count, int32_t* out) const {
  const int64_t rows = cache_->chunk_rows();
  const auto bytes = static_cast<int64_t>(size_of(type_));
  for (int64_t done = 0; done < count;) {
    int64_t at = first + done;
    int64_t within = at % rows;
    int64_t part = std::min(count - done, rows - within);
    auto chunk = cache_->get(at / rows);
    uint32_t largest = widen(type_, chunk->data() + within * bytes, part, out + done);
    if (largest >= vocabulary_.size()) {
      const int32_t* bad = std::find_if(out + done, out + done + part, [this](int32_t token) {
        return static_cast<uint32_t>(token) >= vocabulary_.size();
      });
      throw DataError("{}: token {} at place {} of /tokens is none of the vocabulary's {}; {}",
                      path_.string(), *bad, first + (bad - out), vocabulary_.size(), make_it_again);
    }
    done += part;
  }
}

}  // namespace trireme
