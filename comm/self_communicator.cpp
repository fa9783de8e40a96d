#include <cstring>

#include "base/error.h"
#include "comm/communicator.h"
#include "comm/world.h"

namespace trireme {
namespace {

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string name() const override { return "self"; }
  void all_reduce(void*, size_t, DType, ReduceOp) override {}
  void all_gather(const void* send, size_t count, DType type, void* receive) override {
    copy(receive, send, count * size_of(type));
  }
  void reduce_scatter(const void* send, void* receive, size_t count, DType type, ReduceOp) override {
    copy(receive, send, count * size_of(type));
  }
  void broadcast(void*, size_t, int root) override {
    if (root != 0)
      throw CommError("rank 0 on {}: broadcast: there is no rank {} in a group of 1", host_name(), root);
  }
  void barrier() override {}
  std::unique_ptr<Communicator> split(int, int) override { return make_self_communicator(); }

 private:
  static void copy(void* to, const void* from, size_t bytes) {
    if (bytes != 0 && to != from) std::memmove(to, from, bytes);
  }
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() { return std::make_unique<SelfCommunicator>(); }

}  // namespace trireme
