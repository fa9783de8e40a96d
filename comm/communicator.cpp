#include "comm/communicator.h"

#include <vector>

#include "base/error.h"
#include "comm/world.h"

namespace trireme {
namespace {

// An exception leaves the operation open: the rank has not come through.
class Operation {
 public:
  Operation(Activity& activity, const char* name) : activity_(activity) { activity_.begin_operation(name); }
  void end() { activity_.end_operation(); }

 private:
  Activity& activity_;
};

std::vector<size_t> equal_bounds(size_t count, int ranks) {
  std::vector<size_t> bounds(static_cast<size_t>(ranks) + 1);
  for (size_t r = 0; r < bounds.size(); ++r) bounds[r] = r * count;
  return bounds;
}

void check_bounds(const Communicator& group, std::span<const size_t> bounds, const char* operation) {
  bool good = bounds.size() == static_cast<size_t>(group.size()) + 1;
  for (size_t i = 1; good && i < bounds.size(); ++i) good = bounds[i - 1] <= bounds[i];
  if (good) return;
  throw CommError("rank {} on {}: {}: {} bounds given, {} that rise are needed", group.rank(), host_name(),
                  operation, bounds.size(), group.size() + 1);
}

}  // namespace

Buffer Communicator::allocate(size_t bytes) {
  Operation operation(*activity_, "allocate");
  Buffer memory = do_allocate(bytes);
  operation.end();
  return memory;
}

void Communicator::all_reduce(const void* send, void* receive, size_t count, DType type, ReduceOp op) {
  Operation operation(*activity_, "all_reduce");
  do_all_reduce(send, receive, count, type, op);
  operation.end();
}

void Communicator::reduce_scatter(const void* send, void* receive, std::span<const size_t> bounds, DType type,
                                  ReduceOp op) {
  check_bounds(*this, bounds, "reduce_scatter");
  Operation operation(*activity_, "reduce_scatter");
  do_reduce_scatter(send, receive, bounds, type, op);
  operation.end();
}

void Communicator::all_gather(const void* send, void* receive, std::span<const size_t> bounds, DType type) {
  check_bounds(*this, bounds, "all_gather");
  Operation operation(*activity_, "all_gather");
  do_all_gather(send, receive, bounds, type);
  operation.end();
}

void Communicator::reduce_scatter(const void* send, void* receive, size_t count, DType type, ReduceOp op) {
  reduce_scatter(send, receive, equal_bounds(count, size()), type, op);
}

void Communicator::all_gather(const void* send, size_t count, DType type, void* receive) {
  all_gather(send, receive, equal_bounds(count, size()), type);
}

void Communicator::broadcast(void* data, size_t bytes, int root) {
  if (root < 0 || root >= size()) {
    throw CommError("rank {} on {}: broadcast: there is no rank {} in a group of {}", rank(), host_name(),
                    root, size());
  }
  Operation operation(*activity_, "broadcast");
  do_broadcast(data, bytes, root);
  operation.end();
}

void Communicator::barrier() {
  Operation operation(*activity_, "barrier");
  do_barrier();
  operation.end();
}

std::unique_ptr<Communicator> Communicator::split(int color, int key) {
  if (color < 0) {
    throw CommError("rank {} on {}: split: colour {} is negative; use 0 or more", rank(), host_name(), color);
  }
  Operation operation(*activity_, "split");
  std::unique_ptr<Communicator> part = do_split(color, key);
  operation.end();
  return part;
}

}  // namespace trireme
