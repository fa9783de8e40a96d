// The parts of an HDF5 data set that its kinds have in common, held to the contract.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/hdf5.h"

namespace trireme {

inline constexpr const char* make_it_again = "make the file again with trireme-prepare";

// Opens data set `name`. DataError naming the file when there is none, so that it is not `kind`.
h5::Handle open_part(const h5::Handle& file, const std::filesystem::path& path, const char* name,
                     const char* kind);

// The attribute `name` of `part`: texts, at least one. DataError.
std::vector<std::string> read_names(const h5::Handle& dataset, const std::filesystem::path& path,
                                    const char* part, const char* name);

// For messages: so many things, each of which needs one of `whose`.
struct Counted {
  int64_t count;
  const char* things;  // "images"
  const char* whose;   // "labels"
};

// All of a data set (N) of whole numbers, each in [0, classes). DataError naming the file and the sample.
std::vector<int32_t> read_classes(const h5::Handle& dataset, const std::filesystem::path& path,
                                  const char* part, const Counted& counted, int64_t classes);

}  // namespace trireme
