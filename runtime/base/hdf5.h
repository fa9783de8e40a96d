// A thin RAII layer over the HDF5 C library (serial, thread-safe build): one handle class, one check, and the
// few reads and writes that data sets and checkpoints need. Errors are IoError / DataError with HDF5's own words.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"

namespace trireme::h5 {

// Turns a negative id or status into DataError(“HDF5: WHAT failed: reason”); passes others through.
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

 private:
  void reset() noexcept;
  hid_t id_ = H5I_INVALID_HID;
};

// HDF5's native type of `type`; not to be closed.
hid_t native_type(DType type);

// How a data set is laid out: empty chunk = contiguous. fletcher32 needs chunks.
struct Layout {
  Shape chunk;
  bool fletcher32 = false;
};

Handle create_file(const std::filesystem::path& path);
Handle open_file(const std::filesystem::path& path);  // read-only; MissingInputError or DataError
Handle create_file_in_memory();                         // core driver; see file_image
std::vector<std::byte> file_image(const Handle& file);  // flushes, then the bytes a file on disk would have
Handle open_file_image(std::span<const std::byte> image, const std::string& name);

bool exists(const Handle& location, const std::string& path);
Handle create_group(const Handle& location, const std::string& path);  // makes parents too
// Creates parents as needed.
Handle create_dataset(const Handle& location, const std::string& path, DType type, const Shape& shape,
                      const Layout& layout = {});
Handle open_dataset(const Handle& location, const std::string& path);
Shape shape_of(const Handle& dataset);
Shape chunk_of(const Handle& dataset);  // empty when contiguous
DType dtype_of(const Handle& dataset);  // DataError for types that are not ours
void write_all(const Handle& dataset, DType memory_type, const void* values);
void read_all(const Handle& dataset, DType memory_type, void* values);
// Rows [first, first + count) along axis 0.
void write_rows(const Handle& dataset, DType memory_type, int64_t first, int64_t count, const void* values);
void read_rows(const Handle& dataset, DType memory_type, int64_t first, int64_t count, void* values);

// Attributes of a file's root, a group or a data set. Writing replaces.
void write_attribute(const Handle& location, const std::string& name, const std::string& value);
void write_attribute(const Handle& location, const std::string& name, int64_t value);
void write_attribute(const Handle& location, const std::string& name, double value);
void write_attribute(const Handle& location, const std::string& name, std::span<const double> values);
void write_attribute(const Handle& location, const std::string& name, std::span<const std::string> values);
bool has_attribute(const Handle& location, const std::string& name);
std::string read_string_attribute(const Handle& location, const std::string& name);
int64_t read_int_attribute(const Handle& location, const std::string& name);
std::vector<double> read_double_attribute(const Handle& location, const std::string& name);
std::vector<std::string> read_strings_attribute(const Handle& location, const std::string& name);

}  // namespace trireme::h5
