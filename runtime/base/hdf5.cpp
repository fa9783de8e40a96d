#include "base/hdf5.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/hdf5_internal.h"

namespace trireme::h5 {

namespace internal {

// HDF5 prints its error stack by itself unless told not to, and a thread-safe library must be told in each
// thread.
void silence() {
  thread_local const herr_t once = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  static_cast<void>(once);
}

std::string innermost_reason() {
  std::string reason;
  auto take_first = [](unsigned, const H5E_error2_t* entry, void* out) -> herr_t {
    auto& text = *static_cast<std::string*>(out);
    if (text.empty() && entry->desc != nullptr) text = entry->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &reason);
  H5Eclear2(H5E_DEFAULT);
  return reason.empty() ? "no reason given" : reason;
}

std::vector<hsize_t> to_hsize(const Shape& shape) { return {shape.begin(), shape.end()}; }

Handle make_space(const Shape& shape) {
  if (shape.rank() == 0) return Handle(H5Screate(H5S_SCALAR), "H5Screate");
  for (int64_t extent : shape) {
    if (extent < 0) throw Error(ExitCode::internal, "HDF5: negative extent in shape " + shape.to_string());
  }
  auto extents = to_hsize(shape);
  return Handle(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
                "H5Screate_simple");
}

Shape extents_of(const Handle& space, const std::string& what) {
  int rank = H5Sget_simple_extent_ndims(space);
  check(rank, what);
  std::vector<hsize_t> extents(static_cast<size_t>(rank));
  if (rank > 0) check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), what);
  return Shape(std::vector<int64_t>(extents.begin(), extents.end()));
}

}  // namespace internal

using namespace internal;

namespace {

namespace fs = std::filesystem;

// Files in memory share HDF5's table of open files with those on disk; equal names would be the same file.
std::string unique_name(const std::string& name) {
  static std::atomic<uint64_t> count{0};
  return fmt::format("{} (in memory #{})", name, ++count);
}

Handle file_access() {
  silence();
  Handle access(H5Pcreate(H5P_FILE_ACCESS), "H5Pcreate(file access)");
  check(H5Pset_file_locking(access, false, true), "H5Pset_file_locking");
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "H5Pset_libver_bounds");
  return access;
}

Handle memory_access() {
  Handle access = file_access();
  constexpr size_t growth_bytes = size_t{4} << 20;
  check(H5Pset_fapl_core(access, growth_bytes, /*backing_store=*/false), "H5Pset_fapl_core");
  return access;
}

}  // namespace

hid_t check(hid_t id_or_status, const std::string& what) {
  if (id_or_status < 0) throw DataError("HDF5: {} failed: {}", what, innermost_reason());
  return id_or_status;
}

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this != &other) {
    reset();
    id_ = other.id_;
    other.id_ = H5I_INVALID_HID;
  }
  return *this;
}

Handle::~Handle() { reset(); }

void Handle::reset() noexcept {
  if (id_ < 0) return;
  silence();
  // H5Idec_ref closes an id of any kind once nobody else holds it.
  H5Idec_ref(id_);
  id_ = H5I_INVALID_HID;
}

hid_t native_type(DType type) {
  switch (type) {
    case DType::float32:
      return H5T_NATIVE_FLOAT;
    case DType::float64:
      return H5T_NATIVE_DOUBLE;
    case DType::int32:
      return H5T_NATIVE_INT32;
    case DType::int64:
      return H5T_NATIVE_INT64;
    case DType::uint8:
      return H5T_NATIVE_UINT8;
  }
  throw Error(ExitCode::internal, "HDF5: element type without an HDF5 type");
}

Handle create_file(const fs::path& path) {
  Handle access = file_access();
  hid_t id = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  expect<IoError>(id, [&] { return fmt::format("creating {}", path.string()); });
  return Handle(id, "H5Fcreate");
}

Handle open_file(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) throw MissingInputError("{}: no such file", path.string());
  if (fs::is_directory(path, error)) throw DataError("{}: is a directory, not an HDF5 file", path.string());
  if (::access(path.c_str(), R_OK) != 0) {
    throw IoError("{}: cannot be read: {}", path.string(), std::strerror(errno));
  }
  Handle access = file_access();
  hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access);
  expect(id,
         [&] { return fmt::format("opening {} (damaged, cut short or not an HDF5 file?)", path.string()); });
  return Handle(id, "H5Fopen");
}

void close_file(Handle&& file) {
  silence();
  std::string name = location_of(file);
  Handle taken = std::move(file);
  expect<IoError>(H5Fflush(taken, H5F_SCOPE_LOCAL), [&] { return fmt::format("writing {}", name); });
  expect<IoError>(H5Fclose(taken.release()), [&] { return fmt::format("closing {}", name); });
}

Handle create_file_in_memory() {
  Handle access = memory_access();
  hid_t id = H5Fcreate(unique_name("HDF5 file").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  expect<IoError>(id, [] { return std::string("creating a file in memory"); });
  return Handle(id, "H5Fcreate");
}

std::vector<std::byte> file_image(const Handle& file) {
  silence();
  auto what = [&] { return fmt::format("taking the image of {}", location_of(file)); };
  expect<IoError>(H5Fflush(file, H5F_SCOPE_LOCAL), what);
  ssize_t bytes = expect<IoError>(H5Fget_file_image(file, nullptr, 0), what);
  std::vector<std::byte> image(static_cast<size_t>(bytes));
  expect<IoError>(H5Fget_file_image(file, image.data(), image.size()), what);
  return image;
}

Handle open_file_image(std::span<const std::byte> image, const std::string& name) {
  Handle access = memory_access();
  if (image.empty()) throw DataError("{}: empty, not an HDF5 file", name);
  // The library copies the bytes and does not write to them; its signature merely lacks the const.
  check(H5Pset_file_image(access, const_cast<std::byte*>(image.data()), image.size()), "H5Pset_file_image");
  hid_t id = H5Fopen(unique_name(name).c_str(), H5F_ACC_RDONLY, access);
  expect(id, [&] { return fmt::format("opening {} (damaged, cut short or not an HDF5 file?)", name); });
  return Handle(id, "H5Fopen");
}

std::string location_of(const Handle& object) {
  silence();
  auto text = [&](auto get) {
    ssize_t length = get(object.id(), nullptr, size_t{0});
    std::string out(static_cast<size_t>(std::max<ssize_t>(length, 0)), '\0');
    if (length > 0) get(object.id(), out.data(), out.size() + 1);
    return out;
  };
  std::string file = text(H5Fget_name);
  if (H5Iget_type(object) == H5I_FILE) return file;
  return file + ":" + text(H5Iget_name);
}

}  // namespace trireme::h5
