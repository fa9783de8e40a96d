// Groups and data sets.
#include <fmt/format.h>

#include <algorithm>

#include "base/hdf5.h"
#include "base/hdf5_internal.h"

namespace trireme::h5 {

using namespace internal;

namespace {

// Creation properties without time stamps, so that the same content gives the same bytes.
Handle untimed(hid_t kind) {
  Handle creation(H5Pcreate(kind), "H5Pcreate");
  check(H5Pset_obj_track_times(creation, false), "H5Pset_obj_track_times");
  return creation;
}

// Makes the groups that `path` runs through. (H5Pset_create_intermediate_group would, but with time stamps.)
void make_parents(const Handle& location, const std::string& path) {
  for (size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    std::string prefix = path.substr(0, end);
    if (!exists(location, prefix)) create_group(location, prefix);
  }
}

// The memory and file spaces of rows [first, first + count).
struct RowSelection {
  Handle memory;
  Handle file;
};

RowSelection select_rows(const Handle& dataset, int64_t first, int64_t count) {
  Handle file(H5Dget_space(dataset), "H5Dget_space");
  Shape shape = extents_of(file, "reading a data set's shape");
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

// Room in the file from the beginning, which nobody fills with zeros.
void reserve(const Handle& creation) {
  check(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY), "H5Pset_alloc_time");
  check(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER), "H5Pset_fill_time");
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
  make_parents(location, path);
  Handle creation = untimed(H5P_GROUP_CREATE);
  hid_t id = H5Gcreate2(location, path.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT);
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
  Handle creation = untimed(H5P_DATASET_CREATE);
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
  if (layout.reserved) reserve(creation);
  make_parents(location, path);
  hid_t id = H5Dcreate2(location, path.c_str(), native_type(type), space, H5P_DEFAULT, creation, H5P_DEFAULT);
  expect<IoError>(id, [&] { return fmt::format("creating data set {} in {}", path, location_of(location)); });
  return Handle(id, "H5Dcreate2");
}

Handle create_text(const Handle& location, const std::string& path, size_t bytes) {
  silence();
  Handle type(H5Tcopy(H5T_C_S1), "H5Tcopy");
  check(H5Tset_size(type, bytes), "H5Tset_size");
  check(H5Tset_strpad(type, H5T_STR_NULLPAD), "H5Tset_strpad");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "H5Tset_cset");
  Handle space(H5Screate(H5S_SCALAR), "H5Screate");
  Handle creation = untimed(H5P_DATASET_CREATE);
  reserve(creation);
  make_parents(location, path);
  hid_t id = H5Dcreate2(location, path.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  expect<IoError>(id, [&] { return fmt::format("creating text {} in {}", path, location_of(location)); });
  return Handle(id, "H5Dcreate2");
}

std::string read_text(const Handle& dataset) {
  silence();
  Handle type(H5Dget_type(dataset), "H5Dget_type");
  Handle space(H5Dget_space(dataset), "H5Dget_space");
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 ||
      H5Sget_simple_extent_npoints(space) != 1) {
    throw DataError("{}: is not one string of fixed length", location_of(dataset));
  }
  std::string text(H5Tget_size(type), '\0');
  expect(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()),
         [&] { return fmt::format("reading {}", location_of(dataset)); });
  text.resize(std::min(text.size(), text.find('\0')));
  return text;
}

Extent extent_of(const Handle& dataset) {
  silence();
  haddr_t address = H5Dget_offset(dataset);
  if (address == HADDR_UNDEF) return {};
  return {address, H5Dget_storage_size(dataset)};
}

bool is_stored_as(const Handle& dataset, DType type) {
  silence();
  Handle stored(H5Dget_type(dataset), "H5Dget_type");
  return H5Tequal(stored, native_type(type)) > 0;
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
  return extents_of(space, "reading a data set's shape");
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
  for (DType type :
       {DType::float32, DType::float64, DType::int32, DType::int64, DType::uint8, DType::uint16}) {
    if (H5Tequal(native, native_type(type)) > 0) return type;
  }
  throw DataError("{}: has an element type other than float32, float64, int32, int64, uint8 or uint16",
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

}  // namespace trireme::h5
