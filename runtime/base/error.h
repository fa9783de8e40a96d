// The typed errors of the house. Libraries throw them; only run_main (jobs) turns one into an exit code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace trireme {

// Exit codes are sysexits(3); scripts and schedulers rely on them.
enum class ExitCode : int {
  done = 0,
  usage = 64,
  bad_data = 65,
  no_input = 66,
  internal = 70,
  io = 74,
  stopped = 75,
  bad_config = 78,
};

// Base of all errors: a message that names the thing at fault and what to do next, and the exit code it
// means.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

template <ExitCode exit_code>
class CodedError : public Error {
 public:
  explicit CodedError(const std::string& message) : Error(exit_code, message) {}
  template <class... Args>
  explicit CodedError(fmt::format_string<Args...> format, Args&&... args)
      : Error(exit_code, fmt::format(format, std::forward<Args>(args)...)) {}
};

struct UsageError : CodedError<ExitCode::usage> {
  using CodedError::CodedError;
};  // bad command line
struct ConfigError : CodedError<ExitCode::bad_config> {
  using CodedError::CodedError;
};  // bad TOML or key
struct DataError : CodedError<ExitCode::bad_data> {
  using CodedError::CodedError;
};  // bad data set
struct CheckpointError : CodedError<ExitCode::bad_data> {
  using CodedError::CodedError;
};  // bad checkpoint
struct MissingInputError : CodedError<ExitCode::no_input> {
  using CodedError::CodedError;
};
struct GraphError : CodedError<ExitCode::internal> {
  using CodedError::CodedError;
};  // names the node's origin
struct DeviceError : CodedError<ExitCode::internal> {
  using CodedError::CodedError;
};  // oneDNN, CUDA
struct CommError : CodedError<ExitCode::internal> {
  using CodedError::CodedError;
};  // names rank and operation
struct IoError : CodedError<ExitCode::io> {
  using CodedError::CodedError;
};  // disk full, no permission

}  // namespace trireme
