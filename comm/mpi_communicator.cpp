#include "comm/mpi_communicator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <vector>

#include "base/error.h"
#include "comm/world.h"

namespace trireme {
namespace {

MPI_Datatype mpi_type(DType type) {
  switch (type) {
    case DType::float32:
      return MPI_FLOAT;
    case DType::float64:
      return MPI_DOUBLE;
    case DType::int32:
      return MPI_INT32_T;
    case DType::int64:
      return MPI_INT64_T;
    case DType::uint8:
      return MPI_UINT8_T;
    case DType::uint16:
      return MPI_UINT16_T;
    case DType::bfloat16:
    case DType::float16:
      break;  // MPI has no such sums
  }
  return MPI_DATATYPE_NULL;
}

MPI_Op mpi_op(ReduceOp op) { return op == ReduceOp::sum ? MPI_SUM : MPI_MAX; }

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
  MpiCommunicator(MPI_Comm comm, size_t piece)
      : comm_(comm), piece_(piece), exceptions_at_birth_(std::uncaught_exceptions()) {
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

  void all_reduce(void* data, size_t count, DType type, ReduceOp op) override {
    in_pieces(count, piece_, [&](size_t first, int n) {
      check_mpi(MPI_Allreduce(MPI_IN_PLACE, static_cast<std::byte*>(data) + first * size_of(type), n,
                              mpi_type(type), mpi_op(op), comm_),
                "all_reduce");
    });
  }

  void all_gather(const void* send, size_t count, DType type, void* receive) override {
    if (count == 0) return;
    auto* to = static_cast<std::byte*>(receive);
    size_t bytes = count * size_of(type);
    bool in_place = send == to + static_cast<size_t>(rank_) * bytes;
    if (count <= piece_) {
      int n = static_cast<int>(count);
      check_mpi(
          MPI_Allgather(in_place ? MPI_IN_PLACE : send, n, mpi_type(type), to, n, mpi_type(type), comm_),
          "all_gather");
      return;
    }
    // More than an int counts: each rank's block is a broadcast, in pieces.
    if (!in_place) std::memcpy(to + static_cast<size_t>(rank_) * bytes, send, bytes);
    for (int root = 0; root < size_; ++root) {
      broadcast_pieces(to + static_cast<size_t>(root) * bytes, bytes, root, "all_gather");
    }
  }

  void reduce_scatter(const void* send, void* receive, size_t count, DType type, ReduceOp op) override {
    if (count == 0) return;
    const auto* from = static_cast<const std::byte*>(send);
    size_t bytes = count * size_of(type);
    // MPI forbids what the seam allows: receiving into one's own block of `send`.
    if (receive == from + static_cast<size_t>(rank_) * bytes) {
      std::vector<std::byte> aside(bytes);
      reduce_scatter(send, aside.data(), count, type, op);
      std::memcpy(receive, aside.data(), bytes);
      return;
    }
    if (count <= piece_) {
      check_mpi(
          MPI_Reduce_scatter_block(from, receive, static_cast<int>(count), mpi_type(type), mpi_op(op), comm_),
          "reduce_scatter");
      return;
    }
    // More than an int counts: each rank's block is a reduction to that rank, in pieces.
    for (int root = 0; root < size_; ++root) {
      in_pieces(count, piece_, [&](size_t first, int n) {
        size_t offset = first * size_of(type);
        check_mpi(
            MPI_Reduce(from + static_cast<size_t>(root) * bytes + offset,
                       static_cast<std::byte*>(receive) + offset, n, mpi_type(type), mpi_op(op), root, comm_),
            "reduce_scatter");
      });
    }
  }

  void broadcast(void* data, size_t bytes, int root) override {
    if (root < 0 || root >= size_) {
      throw CommError("rank {} on {}: broadcast: there is no rank {} in a group of {}", rank_, host_name(),
                      root, size_);
    }
    broadcast_pieces(data, bytes, root, "broadcast");
  }

  void barrier() override { check_mpi(MPI_Barrier(comm_), "barrier"); }

  std::unique_ptr<Communicator> split(int color, int key) override {
    if (color < 0) {
      throw CommError("rank {} on {}: split: colour {} is negative; use 0 or more", rank_, host_name(),
                      color);
    }
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, color, key, &part), "split");
    return std::make_unique<MpiCommunicator>(part, piece_);
  }

 private:
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

std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm group, size_t piece) {
  MPI_Comm own = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(group, &own), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>(own, std::clamp<size_t>(piece, 1, mpi_piece));
}

}  // namespace trireme
