#include "comm/mpi_communicator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <vector>

#include "base/error.h"
#include "comm/reduce.h"
#include "comm/world.h"

namespace trireme {
namespace {

// body(first, count) for consecutive pieces of [0, total).
template <class F>
void in_pieces(size_t total, size_t piece, F&& body) {
  for (size_t first = 0; first < total; first += piece) {
    body(first, static_cast<int>(std::min(piece, total - first)));
  }
}

class MpiCommunicator final : public Communicator {
 public:
  // Takes the MPI communicator over.
  MpiCommunicator(MPI_Comm comm, size_t piece,
                  std::shared_ptr<Activity> activity = std::make_shared<Activity>())
      : Communicator(std::move(activity)),
        comm_(comm),
        piece_(piece),
        exceptions_at_birth_(std::uncaught_exceptions()) {
    check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check_mpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  }
  ~MpiCommunicator() override {
    // Freeing is collective: not while an exception is on its way, and not when MPI is gone.
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (!finalized && std::uncaught_exceptions() == exceptions_at_birth_) MPI_Comm_free(&comm_);
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string name() const override { return "mpi"; }

 private:
  // Every rank gets everybody's values and sums them along the tree.
  void do_all_reduce(const void* send, void* receive, size_t count, DType type, ReduceOp op) override {
    size_t element = size_of(type);
    std::vector<std::byte> all(count * element * static_cast<size_t>(size_));
    std::vector<size_t> bounds;
    std::vector<const void*> parts;
    for (size_t r = 0; r <= static_cast<size_t>(size_); ++r) {
      bounds.push_back(r * count);
      if (r > 0) parts.push_back(all.data() + bounds[r - 1] * element);
    }
    do_all_gather(send, all.data(), bounds, type);
    if (count != 0) reduce_parts(parts, receive, count, type, op);
  }

  void do_all_gather(const void* send, void* receive, std::span<const size_t> bounds, DType type) override {
    size_t bytes =
        (bounds[static_cast<size_t>(rank_) + 1] - bounds[static_cast<size_t>(rank_)]) * size_of(type);
    auto* own = static_cast<std::byte*>(receive) + bounds[static_cast<size_t>(rank_)] * size_of(type);
    if (bytes != 0 && own != send) std::memcpy(own, send, bytes);
    for (size_t root = 0; root < static_cast<size_t>(size_); ++root) {
      broadcast_pieces(static_cast<std::byte*>(receive) + bounds[root] * size_of(type),
                       (bounds[root + 1] - bounds[root]) * size_of(type), static_cast<int>(root),
                       "all_gather");
    }
  }

  void do_reduce_scatter(const void* send, void* receive, std::span<const size_t> bounds, DType type,
                         ReduceOp op) override {
    std::vector<std::byte> all(bounds.back() * size_of(type));
    do_all_reduce(send, all.data(), bounds.back(), type, op);
    size_t first = bounds[static_cast<size_t>(rank_)];
    size_t count = bounds[static_cast<size_t>(rank_) + 1] - first;
    if (count != 0) std::memcpy(receive, all.data() + first * size_of(type), count * size_of(type));
  }

  void do_broadcast(void* data, size_t bytes, int root) override {
    broadcast_pieces(data, bytes, root, "broadcast");
  }

  void do_barrier() override { check_mpi(MPI_Barrier(comm_), "barrier"); }

  std::unique_ptr<Communicator> do_split(int color, int key) override {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, color, key, &part), "split");
    return std::make_unique<MpiCommunicator>(part, piece_);
  }

  void broadcast_pieces(void* data, size_t bytes, int root, const char* operation) {
    in_pieces(bytes, piece_, [&](size_t first, int n) {
      check_mpi(MPI_Bcast(static_cast<std::byte*>(data) + first, n, MPI_BYTE, root, comm_), operation);
    });
  }

  MPI_Comm comm_;
  size_t piece_;
  int exceptions_at_birth_;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace

void check_mpi(int code, const char* operation) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
  int rank = -1;
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (!initialized || MPI_Comm_rank(MPI_COMM_WORLD, &rank) != MPI_SUCCESS) rank = rank_from_environment();
  throw CommError(
      "rank {} on {}: {} failed: {}", rank, host_name(), operation,
      length > 0 ? std::string(text.data(), static_cast<size_t>(length)) : fmt::format("MPI error {}", code));
}

std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm group, std::shared_ptr<Activity> activity,
                                                    size_t piece) {
  MPI_Comm own = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(group, &own), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>(own, std::clamp<size_t>(piece, 1, mpi_piece), std::move(activity));
}

}  // namespace trireme
