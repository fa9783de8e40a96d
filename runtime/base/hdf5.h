// A thin RAII layer over the HDF5 C library (serial, thread-safe build): one handle class, one check, and the
// few reads and writes that data sets and checkpoints need. What cannot be read is a DataError, what cannot
// be written an IoError; both name the file and the object and end in the innermost of HDF5's own reasons.
//
// Files are written in HDF5's 1.10 format, whose metadata carries checksums throughout, without time stamps:
// the same content gives the same bytes. Locks are not taken (not all cluster file systems have them): a file
// is written under a name of its own and renamed when whole, so nobody reads what another still writes.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"

namespace trireme::h5 {

// Turns a negative id or status into DataError("HDF5: WHAT failed: reason"); passes others through.
hid_t check(hid_t id_or_status, const std::string& what);

// Move-only id of a file, group, data set, space, type, attribute or property list.
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, const std::string& what) : id_(check(id, what)) {}
  Handle(Handle&& other) noexcept : id_(other.id_) { other.id_ = H5I_INVALID_HID; }
  Handle& operator=(Handle&& other) noexcept;
  ~Handle();
  hid_t id() const { return id_; }
  operator hid_t() const { return id_; }
  // Gives the id away: the caller closes it.
  hid_t release() noexcept {
    hid_t id = id_;
    id_ = H5I_INVALID_HID;
    return id;
  }

 private:
  void reset() noexcept;
  hid_t id_ = H5I_INVALID_HID;
};

// HDF5's native type of `type`; not to be closed.
hid_t native_type(DType type);

// How a data set is laid out: empty chunk = contiguous. fletcher32 needs chunks. A chunk longer than the data
// set along an axis is cut to it; a data set without elements is always contiguous. `reserved`: a contiguous
// one has its place in the file at once and nothing is written there, for whoever fills it by address_of().
struct Layout {
  Shape chunk;
  bool fletcher32 = false;
  bool reserved = false;
};

// How a data set is opened. cache_bytes is HDF5's own chunk cache; 0 for a reader that keeps chunks itself.
struct Access {
  size_t cache_bytes = size_t{1} << 20;
};

// Replaces a file of that name. What lies in it begins at multiples of `alignment`. IoError.
Handle create_file(const std::filesystem::path& path, size_t alignment = 1);
// Read-only. MissingInputError when there is none, IoError when it may not be read, else DataError.
Handle open_file(const std::filesystem::path& path);
// Flushes and closes; IoError when that fails (a full disk may show only here). A file that is merely dropped
// closes too, but silently: whoever writes, closes.
void close_file(Handle&& file);
Handle create_file_in_memory();                         // core driver; see file_image
std::vector<std::byte> file_image(const Handle& file);  // flushes, then the bytes a file on disk would have
// Opens such bytes read-only, without a copy: they must stay while the file or anything in it is open. `name`
// is for messages. DataError.
Handle open_file_image(std::span<const std::byte> image, const std::string& name);

// "FILE:/path/of/object" for messages.
std::string location_of(const Handle& object);

// Whether every part of `path` is there.
bool exists(const Handle& location, const std::string& path);
// Names of the members of the group at `path` ("/" for the root), in byte order.
std::vector<std::string> members(const Handle& location, const std::string& path);
bool is_group(const Handle& location, const std::string& path);
bool is_dataset(const Handle& location, const std::string& path);
Handle create_group(const Handle& location, const std::string& path);  // makes parents too
Handle open_group(const Handle& location, const std::string& path);
// Creates parents as needed. A shape of rank 0 is a scalar.
Handle create_dataset(const Handle& location, const std::string& path, DType type, const Shape& shape,
                      const Layout& layout = {});
// A scalar string of `bytes` bytes (at least 1, padded with zeros), reserved.
Handle create_text(const Handle& location, const std::string& path, size_t bytes);
// The string up to its padding. DataError when it is no string of fixed length.
std::string read_text(const Handle& dataset);
Handle open_dataset(const Handle& location, const std::string& path, const Access& access = {});
Shape shape_of(const Handle& dataset);
Shape chunk_of(const Handle& dataset);  // empty when contiguous
bool has_fletcher32(const Handle& dataset);
// Where in the file a contiguous data set's bytes lie, and how many; {0, 0} for one that has no place:
// chunked, empty, or never written.
struct Extent {
  uint64_t address = 0;
  uint64_t bytes = 0;
};
Extent extent_of(const Handle& dataset);
// Whether the bytes there are what memory of `type` holds, with no conversion.
bool is_stored_as(const Handle& dataset, DType type);
DType dtype_of(const Handle& dataset);  // DataError for types that are not ours
// The memory holds elements() values, row-major; HDF5 converts between number types.
void write_all(const Handle& dataset, DType memory_type, const void* values);
void read_all(const Handle& dataset, DType memory_type, void* values);
// Rows [first, first + count) along axis 0. A failed read names them.
void write_rows(const Handle& dataset, DType memory_type, int64_t first, int64_t count, const void* values);
void read_rows(const Handle& dataset, DType memory_type, int64_t first, int64_t count, void* values);

// Attributes of a file's root, a group or a data set. Writing replaces. Strings are UTF-8 of fixed length (so
// that they lie in the checksummed header); strings of variable length are read too.
void write_attribute(const Handle& location, const std::string& name, const std::string& value);
void write_attribute(const Handle& location, const std::string& name, const char* value);
void write_attribute(const Handle& location, const std::string& name, int64_t value);
void write_attribute(const Handle& location, const std::string& name, double value);
void write_attribute(const Handle& location, const std::string& name, std::span<const double> values);
void write_attribute(const Handle& location, const std::string& name, std::span<const std::string> values);
bool has_attribute(const Handle& location, const std::string& name);
// DataError when there is none or it is of another kind.
std::string read_string_attribute(const Handle& location, const std::string& name);
int64_t read_int_attribute(const Handle& location, const std::string& name);
std::vector<double> read_double_attribute(const Handle& location, const std::string& name);
std::vector<std::string> read_strings_attribute(const Handle& location, const std::string& name);

}  // namespace trireme::h5
