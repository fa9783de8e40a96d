#include "train/together.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "base/error.h"

namespace trireme {
namespace {

struct Failure {
  std::exception_ptr error;  // null: none
  int64_t code = 0;
  std::string message;
};

Failure attempt(const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const Error& error) {
    return {std::current_exception(), static_cast<int64_t>(error.code()), error.what()};
  } catch (const std::exception& error) {
    return {std::current_exception(), static_cast<int64_t>(ExitCode::internal), error.what()};
  }
}

// Collective: everybody throws; `root` has failed.
[[noreturn]] void spread(Communicator& communicator, const Failure& own, int root) {
  int64_t card[2] = {own.code, static_cast<int64_t>(own.message.size())};
  communicator.broadcast(card, sizeof card, root);
  std::string message = own.message;
  message.resize(static_cast<size_t>(card[1]));
  communicator.broadcast(message.data(), message.size(), root);
  if (own.error) std::rethrow_exception(own.error);
  throw Error(static_cast<ExitCode>(card[0]), message);
}

}  // namespace

void on_rank_zero(Communicator& communicator, const std::function<void()>& work) {
  Failure own;
  if (communicator.rank() == 0) own = attempt(work);
  int64_t failed = own.error ? 1 : 0;
  communicator.broadcast(&failed, sizeof failed, 0);
  if (failed != 0) spread(communicator, own, 0);
}

void on_every_rank(Communicator& communicator, const std::function<void()>& work) {
  Failure own = attempt(work);
  // The most of these is the lowest rank.
  int64_t lowest = own.error ? communicator.size() - communicator.rank() : 0;
  communicator.all_reduce(&lowest, 1, DType::int64, ReduceOp::max);
  if (lowest != 0) spread(communicator, own, communicator.size() - static_cast<int>(lowest));
}

}  // namespace trireme
