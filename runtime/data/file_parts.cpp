#include "data/file_parts.h"

#include "base/error.h"

namespace trireme {

h5::Handle open_part(const h5::Handle& file, const std::filesystem::path& path, const char* name,
                     const char* kind) {
  if (!h5::exists(file, name) || !h5::is_dataset(file, name)) {
    throw DataError("{}: has no data set {}: not {}; {}", path.string(), name, kind, make_it_again);
  }
  // No cache of HDF5's own: ChunkCache keeps what is used.
  return h5::open_dataset(file, name, {.cache_bytes = 0});
}

std::vector<std::string> read_names(const h5::Handle& dataset, const std::filesystem::path& path,
                                    const char* part, const char* name) {
  if (!h5::has_attribute(dataset, name)) {
    throw DataError("{}: {} lacks the attribute '{}'; {}", path.string(), part, name, make_it_again);
  }
  std::vector<std::string> names = h5::read_strings_attribute(dataset, name);
  if (names.empty()) throw DataError("{}: attribute '{}' of {} is empty", path.string(), name, part);
  return names;
}

std::vector<int32_t> read_classes(const h5::Handle& dataset, const std::filesystem::path& path,
                                  const char* part, const Counted& counted, int64_t classes) {
  Shape shape = h5::shape_of(dataset);
  if (shape.rank() != 1) {
    throw DataError("{}: {} has shape {}, must be (N)", path.string(), part, shape.to_string());
  }
  if (shape[0] != counted.count) {
    throw DataError("{}: {} {} but {} {}", path.string(), counted.count, counted.things, shape[0],
                    counted.whose);
  }
  DType type = h5::dtype_of(dataset);
  if (is_floating(type)) {
    throw DataError("{}: {} holds {}, must be whole numbers (uint8, int32 or int64)", path.string(), part,
                    name_of(type));
  }
  std::vector<int64_t> stored(static_cast<size_t>(counted.count));
  h5::read_all(dataset, DType::int64, stored.data());
  std::vector<int32_t> labels(stored.size());
  for (size_t i = 0; i < stored.size(); ++i) {
    if (stored[i] < 0 || stored[i] >= classes) {
      throw DataError("{}: label {} of sample {} is none of the {} classes", path.string(), stored[i], i,
                      classes);
    }
    labels[i] = static_cast<int32_t>(stored[i]);
  }
  return labels;
}

}  // namespace trireme
