// Attributes.
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/hdf5.h"
#include "base/hdf5_internal.h"

namespace trireme::h5 {

using namespace internal;

namespace {

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

}  // namespace

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
