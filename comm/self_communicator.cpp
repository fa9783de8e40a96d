#include <cstring>

#include "comm/communicator.h"

namespace trireme {
namespace {

class SelfCommunicator final : public Communicator {
 public:
  using Communicator::Communicator;
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string name() const override { return "self"; }

 private:
  void do_all_reduce(const void* send, void* receive, size_t count, DType type, ReduceOp) override {
    copy(receive, send, count * size_of(type));
  }
  void do_reduce_scatter(const void* send, void* receive, std::span<const size_t> bounds, DType type,
                         ReduceOp) override {
    const auto* from = static_cast<const std::byte*>(send) + bounds[0] * size_of(type);
    copy(receive, from, (bounds[1] - bounds[0]) * size_of(type));
  }
  void do_all_gather(const void* send, void* receive, std::span<const size_t> bounds, DType type) override {
    auto* to = static_cast<std::byte*>(receive) + bounds[0] * size_of(type);
    copy(to, send, (bounds[1] - bounds[0]) * size_of(type));
  }
  void do_broadcast(void*, size_t, int) override {}
  void do_barrier() override {}
  std::unique_ptr<Communicator> do_split(int, int) override { return make_self_communicator(); }

  static void copy(void* to, const void* from, size_t bytes) {
    if (bytes != 0 && to != from) std::memmove(to, from, bytes);
  }
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() { return std::make_unique<SelfCommunicator>(); }

}  // namespace trireme
