#include "base/hdf5.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace trireme::h5 {
namespace {

namespace fs = std::filesystem;

// HDF5 prints its error stack by itself unless told not to, and a thread-safe library must be told in each
// thread.
void silence() {
  thread_local const herr_t once = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  static_cast<void>(once);
}

// The innermost entry of this thread's error stack: what really happened.
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

template <class ErrorType>
[[noreturn]] void fail(const std::string& what) {
  std::string reason = innermost_reason();
  throw ErrorType("HDF5: {} failed: {}", what, reason);
}

// As h5::check, but with the text made only on failure, and IoError for writes.
template <class ErrorType = DataError, class Result, class Describe>
Result expect(Result result, const Describe& describe) {
  if (result < 0) {
    std::string reason = innermost_reason();  // before describe(), whose own calls replace the error stack
    throw ErrorType("HDF5: {} failed: {}", describe(), reason);
  }
  return result;
}

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

Handle making_parents() {
  Handle links(H5Pcreate(H5P_LINK_CREATE), "H5Pcreate(link)");
  check(H5Pset_create_intermediate_group(links, 1), "H5Pset_create_intermediate_group");
  return links;
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

Shape extents_of_space(const Handle& space, const std::string& what) {
  int rank = H5Sget_simple_extent_ndims(space);
  check(rank, what);
  std::vector<hsize_t> extents(static_cast<size_t>(rank));
  if (rank > 0) check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), what);
  return Shape(std::vector<int64_t>(extents.begin(), extents.end()));
}

// The memory and file spaces of rows [first, first + count).
struct RowSelection {
  Handle memory;
  Handle file;
};

RowSelection select_rows(const Handle& dataset, int64_t first, int64_t count) {
  Handle file(H5Dget_space(dataset), "H5Dget_space");
  Shape shape = extents_of_space(file, "reading a data set's shape");
  if (shape.rank() == 0 || first < 0 || count < 0 || first + count > shape[0]) {
    throw DataError("HDF5: {}: rows {} to {} lie outside of shape {}", location_of(dataset), first,
                    first + count, shape.to_string());
  }
  std::vector<hsize_t> start(shape.rank(), 0);
  auto extents = to_hsize(shape);
  start[0] = static_cast<hsize_t>(first);
  extents[0] = static_cast<hsize_t>(count);
  check(H5Sselect_hyperslab(file, H5S_SELECT_SET, start.data(), nullptr, extents.data(), nullptr),
        "H5Sselect_hyperslab");
  Handle memory(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
                "H5Screate_simple");
  return {std::move(memory), std::move(file)};
}

void put_attribute(const Handle& location, const std::string& name, hid_t type, const Handle& space,
                   const void* values) {
  silence();
  auto what = [&] { return fmt::format("writing attribute '{}' of {}", name, location_of(location)); };
  if (has_attribute(location, name)) expect<IoError>(H5Adelete(location, name.c_str()), what);
  hid_t id = H5Acreate2(location, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
  expect<IoError>(id, what);
  Handle attribute(id, "H5Acreate2");
  expect<IoError>(H5Awrite(attribute, type, values), what);
}

// An attribute opened for reading, with its number of values; DataError unless it is of class `wanted`.
struct OpenAttribute {
  Handle attribute;
  Handle type;
  size_t count;
  std::string what;
};

OpenAttribute open_attribute(const Handle& location, const std::string& name,
                             std::initializer_list<H5T_class_t> wanted, const char* wanted_name) {
  silence();
  std::string what = fmt::format("attribute '{}' of {}", name, location_of(location));
  if (!has_attribute(location, name)) throw DataError("{} is missing", what);
  Handle attribute(H5Aopen(location, name.c_str(), H5P_DEFAULT), "opening " + what);
  Handle type(H5Aget_type(attribute), "reading the type of " + what);
  if (std::find(wanted.begin(), wanted.end(), H5Tget_class(type)) == wanted.end()) {
    throw DataError("{} must be {}", what, wanted_name);
  }
  Handle space(H5Aget_space(attribute), "reading the shape of " + what);
  hssize_t count = H5Sget_simple_extent_npoints(space);
  check(count < 0 ? -1 : 0, "reading the shape of " + what);
  return {std::move(attribute), std::move(type), static_cast<size_t>(count), std::move(what)};
}

// Text of fixed length; `bytes` includes the zero that ends it.
Handle string_type(size_t bytes) {
  Handle type(H5Tcopy(H5T_C_S1), "H5Tcopy");
  check(H5Tset_size(type, bytes), "H5Tset_size");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "H5Tset_cset");
  check(H5Tset_strpad(type, H5T_STR_NULLTERM), "H5Tset_strpad");
  return type;
}

bool is_of_type(const Handle& location, const std::string& path, H5O_type_t type) {
  if (path == "/") return type == H5O_TYPE_GROUP;
  if (!exists(location, path)) return false;
  H5O_info_t info;
  herr_t status = H5Oget_info_by_name2(location, path.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT);
  expect(status, [&] { return fmt::format("looking at {} in {}", path, location_of(location)); });
  return info.type == type;
}

}  // namespace

hid_t check(hid_t id_or_status, const std::string& what) {
  if (id_or_status < 0) fail<DataError>(what);
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

bool exists(const Handle& location, const std::string& path) {
  silence();
  // H5Lexists answers for the last part of a path only, and fails when an earlier one is missing.
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    std::string prefix = path.substr(0, end);
    if (!prefix.empty() && prefix != "/") {
      htri_t there = H5Lexists(location, prefix.c_str(), H5P_DEFAULT);
      expect(there, [&] { return fmt::format("looking for {} in {}", prefix, location_of(location)); });
      if (there == 0) return false;
    }
    if (end == std::string::npos) return true;
  }
}

std::vector<std::string> members(const Handle& location, const std::string& path) {
  Handle group = open_group(location, path);
  std::vector<std::string> names;
  auto collect = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  expect(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names),
         [&] { return fmt::format("listing {}", location_of(group)); });
  std::sort(names.begin(), names.end());
  return names;
}

bool is_group(const Handle& location, const std::string& path) {
  return is_of_type(location, path, H5O_TYPE_GROUP);
}
bool is_dataset(const Handle& location, const std::string& path) {
  return is_of_type(location, path, H5O_TYPE_DATASET);
}

Handle create_group(const Handle& location, const std::string& path) {
  silence();
  hid_t id = H5Gcreate2(location, path.c_str(), making_parents(), H5P_DEFAULT, H5P_DEFAULT);
  expect<IoError>(id, [&] { return fmt::format("creating group {} in {}", path, location_of(location)); });
  return Handle(id, "H5Gcreate2");
}

Handle open_group(const Handle& location, const std::string& path) {
  silence();
  hid_t id = H5Gopen2(location, path.c_str(), H5P_DEFAULT);
  expect(id, [&] { return fmt::format("opening group {} in {}", path, location_of(location)); });
  return Handle(id, "H5Gopen2");
}

Handle create_dataset(const Handle& location, const std::string& path, DType type, const Shape& shape,
                      const Layout& layout) {
  silence();
  Handle space = make_space(shape);
  Handle creation(H5Pcreate(H5P_DATASET_CREATE), "H5Pcreate(data set)");
  check(H5Pset_obj_track_times(creation, false), "H5Pset_obj_track_times");
  if (layout.chunk.rank() > 0 && shape.elements() > 0) {
    if (layout.chunk.rank() != shape.rank()) {
      throw Error(ExitCode::internal, fmt::format("HDF5: data set {}: chunk {} does not fit shape {}", path,
                                                  layout.chunk.to_string(), shape.to_string()));
    }
    auto chunk = to_hsize(layout.chunk);
    for (size_t axis = 0; axis < chunk.size(); ++axis) {
      chunk[axis] = std::min(chunk[axis], static_cast<hsize_t>(shape[axis]));
    }
    check(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "H5Pset_chunk for " + path);
    if (layout.fletcher32) check(H5Pset_fletcher32(creation), "H5Pset_fletcher32");
  }
  hid_t id =
      H5Dcreate2(location, path.c_str(), native_type(type), space, making_parents(), creation, H5P_DEFAULT);
  expect<IoError>(id, [&] { return fmt::format("creating data set {} in {}", path, location_of(location)); });
  return Handle(id, "H5Dcreate2");
}

Handle open_dataset(const Handle& location, const std::string& path, const Access& access) {
  silence();
  Handle list(H5Pcreate(H5P_DATASET_ACCESS), "H5Pcreate(data set access)");
  constexpr size_t slots = 521;  // the library's default
  check(H5Pset_chunk_cache(list, slots, access.cache_bytes, H5D_CHUNK_CACHE_W0_DEFAULT),
        "H5Pset_chunk_cache");
  if (!exists(location, path)) throw DataError("{}: has no data set {}", location_of(location), path);
  hid_t id = H5Dopen2(location, path.c_str(), list);
  expect(id, [&] { return fmt::format("opening data set {} in {}", path, location_of(location)); });
  return Handle(id, "H5Dopen2");
}

Shape shape_of(const Handle& dataset) {
  silence();
  Handle space(H5Dget_space(dataset), "H5Dget_space");
  return extents_of_space(space, "reading a data set's shape");
}

Shape chunk_of(const Handle& dataset) {
  silence();
  Handle creation(H5Dget_create_plist(dataset), "H5Dget_create_plist");
  if (H5Pget_layout(creation) != H5D_CHUNKED) return {};
  std::vector<hsize_t> chunk(shape_of(dataset).rank());
  check(H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "H5Pget_chunk");
  return Shape(std::vector<int64_t>(chunk.begin(), chunk.end()));
}

bool has_fletcher32(const Handle& dataset) {
  silence();
  Handle creation(H5Dget_create_plist(dataset), "H5Dget_create_plist");
  int filters = H5Pget_nfilters(creation);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, config = 0;
    size_t values = 0;
    auto number = static_cast<unsigned>(i);
    if (H5Pget_filter2(creation, number, &flags, &values, nullptr, 0, nullptr, &config) ==
        H5Z_FILTER_FLETCHER32) {
      return true;
    }
  }
  return false;
}

DType dtype_of(const Handle& dataset) {
  silence();
  Handle stored(H5Dget_type(dataset), "H5Dget_type");
  // Byte order aside: the type this machine would use for it.
  hid_t id = H5Tget_native_type(stored, H5T_DIR_DEFAULT);
  expect(id, [&] { return fmt::format("reading the type of {}", location_of(dataset)); });
  Handle native(id, "H5Tget_native_type");
  for (DType type : {DType::float32, DType::float64, DType::int32, DType::int64, DType::uint8}) {
    if (H5Tequal(native, native_type(type)) > 0) return type;
  }
  throw DataError("{}: has an element type other than float32, float64, int32, int64 or uint8",
                  location_of(dataset));
}

void write_all(const Handle& dataset, DType memory_type, const void* values) {
  silence();
  expect<IoError>(H5Dwrite(dataset, native_type(memory_type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values),
                  [&] { return fmt::format("writing {}", location_of(dataset)); });
}

void read_all(const Handle& dataset, DType memory_type, void* values) {
  silence();
  expect(H5Dread(dataset, native_type(memory_type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values),
         [&] { return fmt::format("reading {}", location_of(dataset)); });
}

void write_rows(const Handle& dataset, DType memory_type, int64_t first, int64_t count, const void* values) {
  silence();
  RowSelection rows = select_rows(dataset, first, count);
  expect<IoError>(
      H5Dwrite(dataset, native_type(memory_type), rows.memory, rows.file, H5P_DEFAULT, values), [&] {
        return fmt::format("writing rows {} to {} of {}", first, first + count - 1, location_of(dataset));
      });
}

void read_rows(const Handle& dataset, DType memory_type, int64_t first, int64_t count, void* values) {
  silence();
  RowSelection rows = select_rows(dataset, first, count);
  expect(H5Dread(dataset, native_type(memory_type), rows.memory, rows.file, H5P_DEFAULT, values), [&] {
    return fmt::format("reading rows {} to {} of {}", first, first + count - 1, location_of(dataset));
  });
}

void write_attribute(const Handle& location, const std::string& name, const std::string& value) {
  silence();
  put_attribute(location, name, string_type(value.size() + 1), make_space({}), value.c_str());
}

void write_attribute(const Handle& location, const std::string& name, const char* value) {
  write_attribute(location, name, std::string(value));
}

void write_attribute(const Handle& location, const std::string& name, int64_t value) {
  silence();
  put_attribute(location, name, H5T_NATIVE_INT64, make_space({}), &value);
}

void write_attribute(const Handle& location, const std::string& name, double value) {
  silence();
  put_attribute(location, name, H5T_NATIVE_DOUBLE, make_space({}), &value);
}

void write_attribute(const Handle& location, const std::string& name, std::span<const double> values) {
  silence();
  put_attribute(location, name, H5T_NATIVE_DOUBLE, make_space({static_cast<int64_t>(values.size())}),
                values.data());
}

void write_attribute(const Handle& location, const std::string& name, std::span<const std::string> values) {
  silence();
  size_t width = 1;
  for (const std::string& value : values) width = std::max(width, value.size() + 1);
  std::string bytes(width * values.size(), '\0');
  for (size_t i = 0; i < values.size(); ++i) bytes.replace(i * width, values[i].size(), values[i]);
  put_attribute(location, name, string_type(width), make_space({static_cast<int64_t>(values.size())}),
                bytes.data());
}

bool has_attribute(const Handle& location, const std::string& name) {
  silence();
  htri_t there = H5Aexists(location, name.c_str());
  expect(there, [&] { return fmt::format("looking for attribute '{}' of {}", name, location_of(location)); });
  return there > 0;
}

std::vector<std::string> read_strings_attribute(const Handle& location, const std::string& name) {
  OpenAttribute open = open_attribute(location, name, {H5T_STRING}, "text");
  std::vector<std::string> values;
  if (open.count == 0) return values;
  if (H5Tis_variable_str(open.type) > 0) {
    std::vector<char*> pointers(open.count, nullptr);
    check(H5Aread(open.attribute, open.type, pointers.data()), "reading " + open.what);
    for (const char* pointer : pointers) values.emplace_back(pointer == nullptr ? "" : pointer);
    Handle space(H5Aget_space(open.attribute), "H5Aget_space");
    H5Dvlen_reclaim(open.type, space, H5P_DEFAULT, pointers.data());
    return values;
  }
  size_t width = H5Tget_size(open.type);
  std::string bytes(width * open.count, '\0');
  check(H5Aread(open.attribute, open.type, bytes.data()), "reading " + open.what);
  for (size_t i = 0; i < open.count; ++i) {
    std::string value = bytes.substr(i * width, width);
    value.resize(std::min(value.find('\0'), value.size()));
    values.push_back(std::move(value));
  }
  return values;
}

std::string read_string_attribute(const Handle& location, const std::string& name) {
  auto values = read_strings_attribute(location, name);
  if (values.size() != 1) {
    throw DataError("attribute '{}' of {} must hold one text, not {}", name, location_of(location),
                    values.size());
  }
  return std::move(values.front());
}

int64_t read_int_attribute(const Handle& location, const std::string& name) {
  OpenAttribute open = open_attribute(location, name, {H5T_INTEGER}, "a whole number");
  if (open.count != 1) throw DataError("{} must hold one number, not {}", open.what, open.count);
  int64_t value = 0;
  check(H5Aread(open.attribute, H5T_NATIVE_INT64, &value), "reading " + open.what);
  return value;
}

std::vector<double> read_double_attribute(const Handle& location, const std::string& name) {
  OpenAttribute open = open_attribute(location, name, {H5T_FLOAT, H5T_INTEGER}, "numbers");
  std::vector<double> values(open.count);
  if (!values.empty())
    check(H5Aread(open.attribute, H5T_NATIVE_DOUBLE, values.data()), "reading " + open.what);
  return values;
}

}  // namespace trireme::h5
