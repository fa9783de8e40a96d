#include "comm/mpi_communicator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <vector>

#include "base/error.h"
#include "comm/mpi_tree.h"
#include "comm/reduce.h"
#include "comm/world.h"

namespace trireme {
namespace {

// The type by which MPI itself may reduce: where no order can make a difference, and there is one. Else null.
MPI_Datatype exact_type(DType type) {
  switch (type) {
    case DType::int32:
      return MPI_INT32_T;
    case DType::int64:
      return MPI_INT64_T;
    case DType::uint8:
      return MPI_UINT8_T;
    case DType::uint16:
      return MPI_UINT16_T;
    case DType::float32:  // a maximum of NaNs, or of zeros of both signs, depends on the order
    case DType::float64:
    case DType::bfloat16:
    case DType::float16:
      break;
  }
  return MPI_DATATYPE_NULL;
}

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
  MpiCommunicator(MPI_Comm comm, const MpiTuning& tuning,
                  std::shared_ptr<Activity> activity = std::make_shared<Activity>())
      : Communicator(std::move(activity)), comm_(comm), exceptions_at_birth_(std::uncaught_exceptions()) {
    check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check_mpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
    group_ = {.comm = comm_, .rank = rank_, .size = size_, .tuning = tuning};
    group_.requests.reserve(4 * static_cast<size_t>(size_));
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
  void do_all_reduce(const void* send, void* receive, size_t count, DType type, ReduceOp op) override {
    if (send != receive && count != 0) std::memcpy(receive, send, count * size_of(type));
    if (MPI_Datatype exact = exact_type(type); exact != MPI_DATATYPE_NULL) {
      in_pieces(count, group_.tuning.piece, [&](size_t first, int n) {
        check_mpi(MPI_Allreduce(MPI_IN_PLACE, static_cast<std::byte*>(receive) + first * size_of(type), n,
                                exact, op == ReduceOp::max ? MPI_MAX : MPI_SUM, comm_),
                  "all_reduce");
      });
    } else {
      all_reduce_along_tree(group_, receive, count, type, op);
    }
    if (op == ReduceOp::average) divide(receive, count, type, size_);
  }

  void do_all_gather(const void* send, void* receive, std::span<const size_t> bounds, DType type) override {
    auto own = static_cast<size_t>(rank_);
    auto* place = static_cast<std::byte*>(receive) + bounds[own] * size_of(type);
    size_t bytes = (bounds[own + 1] - bounds[own]) * size_of(type);
    if (bytes != 0 && place != send) std::memcpy(place, send, bytes);
    all_gather_blocks(group_, receive, bounds, size_of(type));
  }

  void do_reduce_scatter(const void* send, void* receive, std::span<const size_t> bounds, DType type,
                         ReduceOp op) override {
    reduce_scatter_along_tree(group_, send, receive, bounds, type, op);
    auto own = static_cast<size_t>(rank_);
    if (op == ReduceOp::average) divide(receive, bounds[own + 1] - bounds[own], type, size_);
  }

  void do_broadcast(void* data, size_t bytes, int root) override {
    broadcast_pieces(data, bytes, root, "broadcast");
  }

  void do_barrier() override { check_mpi(MPI_Barrier(comm_), "barrier"); }

  std::unique_ptr<Communicator> do_split(int color, int key) override {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, color, key, &part), "split");
    return std::make_unique<MpiCommunicator>(part, group_.tuning);
  }

  void broadcast_pieces(void* data, size_t bytes, int root, const char* operation) {
    in_pieces(bytes, group_.tuning.piece, [&](size_t first, int n) {
      check_mpi(MPI_Bcast(static_cast<std::byte*>(data) + first, n, MPI_BYTE, root, comm_), operation);
    });
  }

  MPI_Comm comm_;
  MpiGroup group_;
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
                                                    const MpiTuning& tuning) {
  MPI_Comm own = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(group, &own), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>(own, tuning, std::move(activity));
}

}  // namespace trireme
