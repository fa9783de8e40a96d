#include "inspect/npz.h"

#include <zip.h>

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "inspect/npy.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view ending = ".npy";
// More than this many times its own size deflate cannot unpack a byte (zlib's technical details).
constexpr uint64_t deflate_limit = 1032;
constexpr size_t comment_limit = UINT16_MAX;

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct Close {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, Discard>;
using Member = std::unique_ptr<zip_file_t, Close>;

Archive open_archive(const fs::path& path, int flags) {
  int code = 0;
  Archive archive(zip_open(path.c_str(), flags, &code));
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string reason = zip_error_strerror(&error);
  bool of_system = zip_error_system_type(&error) == ZIP_ET_SYS;
  zip_error_fini(&error);
  if (of_system) throw IoError("{}: {}", path.string(), reason);
  throw DataError("{}: is no npz file: {}", path.string(), reason);
}

// Reads exactly `bytes`. A file's end or a wrong checksum is the file's fault.
void read_exactly(zip_file_t* member, void* to, size_t bytes, const std::string& what) {
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    zip_int64_t got = zip_fread(member, at, bytes);
    if (got < 0) throw DataError("{}: is damaged: {}", what, zip_file_strerror(member));
    if (got == 0) throw DataError("{}: is cut short", what);
    at += got;
    bytes -= static_cast<size_t>(got);
  }
}

// The checksum is looked at when the end is read.
void expect_end(zip_file_t* member, const std::string& what) {
  char more = 0;
  zip_int64_t got = zip_fread(member, &more, 1);
  if (got < 0) throw DataError("{}: is damaged: {}", what, zip_file_strerror(member));
  if (got > 0) throw DataError("{}: goes on after its end", what);
}

// From the first index running fastest to the last.
void make_row_major(FileTensor& tensor) {
  const size_t width = size_of(tensor.type), rank = tensor.shape.rank();
  std::vector<std::byte> ordered(tensor.bytes.size());
  std::vector<size_t> strides(rank), index(rank, 0);
  size_t stride = width;
  for (size_t axis = 0; axis < rank; ++axis) {
    strides[axis] = stride;
    stride *= static_cast<size_t>(tensor.shape[axis]);
  }
  size_t from = 0;
  for (size_t to = 0; to < ordered.size(); to += width) {
    std::memcpy(&ordered[to], &tensor.bytes[from], width);
    for (size_t axis = rank; axis-- > 0;) {
      from += strides[axis];
      if (++index[axis] < static_cast<size_t>(tensor.shape[axis])) break;
      from -= strides[axis] * index[axis];
      index[axis] = 0;
    }
  }
  tensor.bytes = std::move(ordered);
}

// What the archive says of a member's size, as far as it can be believed: no allocation follows a lie.
uint64_t believable_size(const zip_stat_t& stat, uint64_t archive_bytes, const std::string& what) {
  constexpr zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  if ((stat.valid & needed) != needed) throw DataError("{}: the archive does not tell its size", what);
  if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE) {
    throw DataError("{}: is compressed by method {}; stored and deflated members are read", what,
                    stat.comp_method);
  }
  bool stored = stat.comp_method == ZIP_CM_STORE;
  if (stat.comp_size > archive_bytes || (stored && stat.size != stat.comp_size) ||
      stat.size / deflate_limit > stat.comp_size) {
    throw DataError("{}: {} bytes are said to unpack to {}, which they cannot", what, stat.comp_size,
                    stat.size);
  }
  return stat.size;
}

FileTensor read_array(zip_t* archive, zip_uint64_t index, const std::string& name, uint64_t size,
                      const std::string& what) {
  Member member(zip_fopen_index(archive, index, 0));
  if (!member) throw DataError("{}: cannot be read: {}", what, zip_strerror(archive));
  constexpr size_t longest_prefix = npy_prefix_bytes + 2;
  if (size < longest_prefix) throw DataError("{}: is no npy array", what);
  std::string start(longest_prefix, '\0');
  read_exactly(member.get(), start.data(), start.size(), what);
  NpyPrefix prefix = parse_npy_prefix(start, what);
  size_t header_bytes = prefix.prefix_bytes + prefix.text_bytes;
  if (size < header_bytes || header_bytes < longest_prefix) throw DataError("{}: is cut short", what);
  std::string text = start.substr(prefix.prefix_bytes);
  size_t had = text.size();
  text.resize(prefix.text_bytes);
  read_exactly(member.get(), text.data() + had, text.size() - had, what);

  NpyHeader header = parse_npy_text(text, what);
  FileTensor tensor{name, header.shape, header.type, {}};
  size_t bytes = checked_bytes(header.shape, size_of(header.type), what);
  if (size - header_bytes != bytes) {
    throw DataError("{}: {} of shape {} takes {} bytes, it has {}", what, name_of(header.type),
                    header.shape.to_string(), bytes, size - header_bytes);
  }
  tensor.bytes.resize(bytes);
  read_exactly(member.get(), tensor.bytes.data(), bytes, what);
  expect_end(member.get(), what);
  if (header.fortran_order && header.shape.rank() > 1) make_row_major(tensor);
  return tensor;
}

FileMetadata metadata_of(zip_t* archive) {
  int length = 0;
  const char* comment = zip_get_archive_comment(archive, &length, ZIP_FL_ENC_RAW);
  if (comment == nullptr || length <= 0) return {};
  nlohmann::json object = nlohmann::json::parse(comment, comment + length, nullptr, false);
  FileMetadata metadata;
  if (!object.is_object()) return metadata;  // somebody else's comment
  for (const auto& [name, value] : object.items()) {
    if (value.is_string()) metadata[name] = value.get<std::string>();
  }
  return metadata;
}

}  // namespace

TensorFile read_npz(const fs::path& path) {
  uint64_t archive_bytes = size_of_file(path);
  Archive archive = open_archive(path, ZIP_RDONLY | ZIP_CHECKCONS);
  TensorFile file;
  std::set<std::string> seen;
  zip_int64_t members = zip_get_num_entries(archive.get(), 0);
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(std::max<zip_int64_t>(members, 0)); ++i) {
    zip_stat_t stat;
    if (zip_stat_index(archive.get(), i, 0, &stat) != 0 || (stat.valid & ZIP_STAT_NAME) == 0) {
      throw DataError("{}: its member {} cannot be read: {}", path.string(), i, zip_strerror(archive.get()));
    }
    std::string name = stat.name;
    std::string what = fmt::format("{}: {}", path.string(), name);
    if (name.size() <= ending.size() || !name.ends_with(ending)) {
      throw DataError("{}: is no npy array; an npz file holds arrays NAME.npy only", what);
    }
    name.resize(name.size() - ending.size());
    if (!seen.insert(name).second) throw DataError("{}: is there twice", what);
    file.tensors.push_back(
        read_array(archive.get(), i, name, believable_size(stat, archive_bytes, what), what));
  }
  if (file.tensors.empty()) throw DataError("{}: holds no array", path.string());
  file.metadata = metadata_of(archive.get());
  return file;
}

void write_npz(const fs::path& path, std::span<const TensorBytes> tensors, const FileMetadata& metadata) {
  PendingFile pending(path);
  Archive archive = open_archive(pending.aside(), ZIP_CREATE | ZIP_TRUNCATE);
  auto fail = [&] { throw IoError("{}: cannot be written: {}", path.string(), zip_strerror(archive.get())); };
  std::set<std::string> names;
  std::vector<std::string> headers;  // the archive reads them when it is closed
  headers.reserve(tensors.size());
  for (const TensorBytes& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw DataError("{}: cannot hold two tensors named {}", path.string(), tensor.name);
    }
    headers.push_back(
        npy_header(tensor.type, tensor.shape, fmt::format("{}: {}", path.string(), tensor.name)));
    zip_buffer_fragment_t fragments[2];
    fragments[0].data = reinterpret_cast<zip_uint8_t*>(headers.back().data());
    fragments[0].length = headers.back().size();
    // libzip does not write there, though it takes no const.
    fragments[1].data = reinterpret_cast<zip_uint8_t*>(const_cast<std::byte*>(tensor.bytes.data()));
    fragments[1].length = tensor.bytes.size();
    zip_source_t* source =
        zip_source_buffer_fragment(archive.get(), fragments, tensor.bytes.empty() ? 1 : 2, 0);
    if (source == nullptr) fail();
    std::string member = tensor.name + std::string(ending);
    zip_int64_t index = zip_file_add(archive.get(), member.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      fail();
    }
    auto place = static_cast<zip_uint64_t>(index);
    // One date for all, so that equal tensors make equal files.
    constexpr zip_uint16_t first_day = (1 << 5) | 1;  // 1980-01-01, where DOS's time begins
    if (zip_set_file_compression(archive.get(), place, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(archive.get(), place, 0, first_day, 0) != 0) {
      fail();
    }
  }
  if (!metadata.empty()) {
    std::string comment =
        nlohmann::json(metadata).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (comment.size() > comment_limit) {
      throw DataError("{}: the metadata take {} bytes, a zip file's comment holds {}", path.string(),
                      comment.size(), comment_limit);
    }
    if (zip_set_archive_comment(archive.get(), comment.data(), static_cast<zip_uint16_t>(comment.size())) !=
        0) {
      fail();
    }
  }
  if (zip_close(archive.get()) != 0) fail();
  archive.release();  // zip_close has freed it
  pending.commit();
}

}  // namespace trireme
