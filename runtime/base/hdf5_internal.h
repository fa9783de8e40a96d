// What the files of the HDF5 layer share; not for others.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/hdf5.h"

namespace trireme::h5::internal {

// HDF5 prints its error stack by itself unless told not to, and a thread-safe library must be told in each
// thread: every function of the layer begins with this.
void silence();

// The innermost entry of this thread's error stack: what really happened. Clears the stack.
std::string innermost_reason();

// As h5::check, but with the text made only on failure, and IoError for writes.
template <class ErrorType = DataError, class Result, class Describe>
Result expect(Result result, const Describe& describe) {
  if (result < 0) {
    std::string reason = innermost_reason();  // before describe(), whose own calls replace the error stack
    throw ErrorType("HDF5: {} failed: {}", describe(), reason);
  }
  return result;
}

// How all files are created and opened: 1.10 format, no locks.
Handle file_access();
// How all files are made: without time stamps.
Handle untimed_file();

std::vector<hsize_t> to_hsize(const Shape& shape);
// Rank 0 is a scalar.
Handle make_space(const Shape& shape);
Shape extents_of(const Handle& space, const std::string& what);

}  // namespace trireme::h5::internal
