#include "data/idx.h"

#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/hash.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr size_t block_bytes = size_t{1} << 18;

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

}  // namespace

// The file's values: its bytes as they are, or what its gzip members unpack to. zlib's own gzFile is not
// used: it takes a damaged header for plain data and is silent about what follows the last member.
class IdxReader::Source {
 public:
  explicit Source(const fs::path& path) : path_(path), block_(block_bytes) {
    std::error_code error;
    if (!fs::exists(path, error)) throw MissingInputError("{}: no such file", path.string());
    if (fs::is_directory(path, error)) throw DataError("{}: is a directory, not an IDX file", path.string());
    file_.reset(std::fopen(path.c_str(), "rb"));
    if (!file_) throw IoError("{}: cannot be read: {}", path.string(), std::strerror(errno));
    refill();
    if (at_end()) throw DataError("{}: is empty", path.string());
    gzip_ = starts_gzip();
    if (gzip_) {
      constexpr int gzip_only = 15 + 16;
      if (inflateInit2(&stream_, gzip_only) != Z_OK) throw std::bad_alloc();
      open_ = true;
    }
  }
  ~Source() {
    if (open_) inflateEnd(&stream_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  const fs::path& path() const { return path_; }

  // Up to `values.size()` bytes; fewer only at the end of the data.
  size_t read(std::span<uint8_t> values) { return gzip_ ? read_gzip(values) : read_plain(values); }

  std::string sha256() { return hash_.hex(); }

 private:
  bool at_end() const { return begin_ == end_; }
  bool starts_gzip() const {
    return end_ - begin_ >= 2 && block_[begin_] == 0x1f && block_[begin_ + 1] == 0x8b;
  }

  void refill() {
    begin_ = 0;
    end_ = std::fread(block_.data(), 1, block_.size(), file_.get());
    if (std::ferror(file_.get()) != 0)
      throw IoError("{}: reading failed: {}", path_.string(), std::strerror(errno));
    hash_.update(std::as_bytes(std::span(block_.data(), end_)));
  }

  size_t read_plain(std::span<uint8_t> values) {
    size_t done = 0;
    while (done < values.size()) {
      if (at_end()) refill();
      if (at_end()) break;
      size_t count = std::min(values.size() - done, end_ - begin_);
      std::memcpy(values.data() + done, block_.data() + begin_, count);
      begin_ += count;
      done += count;
    }
    return done;
  }

  size_t read_gzip(std::span<uint8_t> values) {
    size_t done = 0;
    while (done < values.size() && !finished_) {
      if (at_end()) refill();
      if (at_end()) {
        throw DataError("{}: the gzip stream is cut short: fetch the file again", path_.string());
      }
      // zlib counts in 32 bits.
      size_t room = std::min(values.size() - done, size_t{1} << 30);
      stream_.next_in = block_.data() + begin_;
      stream_.avail_in = static_cast<uInt>(end_ - begin_);
      stream_.next_out = values.data() + done;
      stream_.avail_out = static_cast<uInt>(room);
      int status = inflate(&stream_, Z_NO_FLUSH);
      begin_ = end_ - stream_.avail_in;
      done += room - stream_.avail_out;
      if (status == Z_STREAM_END) {
        next_member();
      } else if (status == Z_MEM_ERROR) {
        throw std::bad_alloc();
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        throw DataError("{}: the gzip stream is damaged ({}): fetch the file again", path_.string(),
                        stream_.msg != nullptr ? stream_.msg : "unknown reason");
      }
    }
    return done;
  }

  // A gzip file may hold several members in a row; anything else after one is a fault.
  void next_member() {
    if (end_ - begin_ < 2) {
      // Keep the one byte that may be left while looking for its neighbour.
      std::vector<uint8_t> rest(block_.begin() + static_cast<ptrdiff_t>(begin_),
                                block_.begin() + static_cast<ptrdiff_t>(end_));
      refill();
      block_.insert(block_.begin(), rest.begin(), rest.end());
      end_ += rest.size();
    }
    if (at_end()) {
      finished_ = true;
    } else if (starts_gzip()) {
      inflateReset(&stream_);
    } else {
      throw DataError("{}: something that is not gzip follows the gzip stream", path_.string());
    }
  }

  fs::path path_;
  std::vector<uint8_t> block_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  size_t begin_ = 0, end_ = 0;  // what is left of the block
  Sha256 hash_;
  z_stream stream_{};
  bool gzip_ = false;
  bool open_ = false;
  bool finished_ = false;
};

IdxReader::IdxReader(const fs::path& path) : source_(std::make_unique<Source>(path)) {
  auto take = [&](std::span<uint8_t> bytes) {
    if (source_->read(bytes) != bytes.size()) {
      throw DataError("{}: ends within the IDX header: the file is cut short", path.string());
    }
  };
  std::array<uint8_t, 4> magic{};
  take(magic);
  if (magic[0] != 0 || magic[1] != 0) {
    throw DataError("{}: not an IDX file: it begins with {:02x} {:02x} {:02x} {:02x}, and not with 00 00",
                    path.string(), magic[0], magic[1], magic[2], magic[3]);
  }
  constexpr uint8_t unsigned_byte = 0x08;
  if (magic[2] != unsigned_byte) {
    throw DataError("{}: IDX element type {:02x}: only unsigned bytes (08) are read", path.string(),
                    magic[2]);
  }
  if (magic[3] < 1 || magic[3] > 4) {
    throw DataError("{}: IDX header names {} dimensions: labels have 1, images 3 or 4", path.string(),
                    magic[3]);
  }
  std::vector<int64_t> extents;
  constexpr double most_values = 0x1p50;  // beyond this a header lies
  double values = 1;
  for (int axis = 0; axis < magic[3]; ++axis) {
    std::array<uint8_t, 4> word{};
    take(word);
    extents.push_back(int64_t{word[0]} << 24 | int64_t{word[1]} << 16 | int64_t{word[2]} << 8 | word[3]);
    values *= static_cast<double>(extents.back());
  }
  shape_ = Shape(std::move(extents));
  if (values > most_values) {
    throw DataError("{}: IDX header names the impossible shape {}", path.string(), shape_.to_string());
  }
}

IdxReader::~IdxReader() = default;
IdxReader::IdxReader(IdxReader&&) noexcept = default;

const fs::path& IdxReader::path() const { return source_->path(); }

void IdxReader::read(std::span<uint8_t> values) {
  size_t count = source_->read(values);
  values_read_ += static_cast<int64_t>(count);
  if (count != values.size()) {
    throw DataError("{}: cut short: the header promises {} values {}, the file holds {}", path().string(),
                    shape_.elements(), shape_.to_string(), values_read_);
  }
}

void IdxReader::finish() {
  uint8_t surplus = 0;
  if (source_->read({&surplus, 1}) != 0) {
    throw DataError("{}: something follows the last of the {} values {} that the header promises",
                    path().string(), shape_.elements(), shape_.to_string());
  }
}

std::string IdxReader::stored_sha256() { return source_->sha256(); }

}  // namespace trireme
