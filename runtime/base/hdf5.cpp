#include "base/hdf5.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/hdf5_internal.h"

namespace trireme::h5 {

namespace internal {

// HDF5 prints its error stack by itself unless told not to, and a thread-safe library must be told in each
// thread.
void silence() {
  // At exit the library closes what is still open, and crashes on what it failed to close before (a full
  // disk): the job's exit code would be lost. Our handles close everything, so it need not. Must come before
  // its first call.
  thread_local const herr_t no_work_at_exit = H5dont_atexit();
  thread_local const herr_t no_printing = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  static_cast<void>(no_work_at_exit);
  static_cast<void>(no_printing);
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

Handle file_access() {
  silence();
  Handle access(H5Pcreate(H5P_FILE_ACCESS), "H5Pcreate(file access)");
  check(H5Pset_file_locking(access, false, true), "H5Pset_file_locking");
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "H5Pset_libver_bounds");
  return access;
}

Handle untimed_file() {
  Handle creation(H5Pcreate(H5P_FILE_CREATE), "H5Pcreate(file)");
  check(H5Pset_obj_track_times(creation, false), "H5Pset_obj_track_times");
  return creation;
}

}  // namespace internal

using namespace internal;

namespace fs = std::filesystem;

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
    case DType::uint16:
      return H5T_NATIVE_UINT16;
    case DType::bfloat16:
    case DType::float16:
      break;  // never in a file of ours
  }
  throw Error(ExitCode::internal, "HDF5: element type without an HDF5 type");
}

Handle create_file(const fs::path& path, size_t alignment) {
  Handle access = file_access();
  check(H5Pset_alignment(access, 1, alignment), "H5Pset_alignment");
  Handle creation = untimed_file();  // closed after the reason of a failure was read
  hid_t id = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access);
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
