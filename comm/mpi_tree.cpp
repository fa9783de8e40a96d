#include "comm/mpi_tree.h"

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <cstring>

#include "base/range.h"
#include "comm/reduce.h"

namespace trireme {
namespace {

constexpr int tag = 1;

std::byte* at(void* data, size_t element, DType type) {
  return static_cast<std::byte*>(data) + element * size_of(type);
}

std::byte* scratch(MpiGroup& g, size_t bytes) {
  if (g.scratch.size() < bytes) g.scratch.resize(bytes);
  return g.scratch.data();
}

void begin_receive(MpiGroup& g, void* to, size_t bytes, int from) {
  for (size_t done = 0; done < bytes; done += g.tuning.piece) {
    auto n = static_cast<int>(std::min(g.tuning.piece, bytes - done));
    check_mpi(MPI_Irecv(static_cast<std::byte*>(to) + done, n, MPI_BYTE, from, tag, g.comm,
                        &g.requests.emplace_back(MPI_REQUEST_NULL)),
              "receive");
  }
}

void begin_send(MpiGroup& g, const void* from, size_t bytes, int to) {
  for (size_t done = 0; done < bytes; done += g.tuning.piece) {
    auto n = static_cast<int>(std::min(g.tuning.piece, bytes - done));
    check_mpi(MPI_Isend(static_cast<const std::byte*>(from) + done, n, MPI_BYTE, to, tag, g.comm,
                        &g.requests.emplace_back(MPI_REQUEST_NULL)),
              "send");
  }
}

void wait_for_all(MpiGroup& g) {
  check_mpi(MPI_Waitall(static_cast<int>(g.requests.size()), g.requests.data(), MPI_STATUSES_IGNORE), "wait");
  g.requests.clear();
}

void exchange(MpiGroup& g, const void* send, size_t send_bytes, void* receive, size_t receive_bytes,
              int partner) {
  begin_receive(g, receive, receive_bytes, partner);
  begin_send(g, send, send_bytes, partner);
  wait_for_all(g);
}

// own = own op theirs, the lower rank's values on the left as in the tree: a sum of two does not care, but a
// maximum of NaNs or of zeros of both signs does, and all ranks must end with the same.
void combine_in_order(const MpiGroup& g, void* own, const void* theirs, int partner, size_t count, DType type,
                      ReduceOp op) {
  if (partner < g.rank) {
    combine(theirs, own, own, count, type, op);
  } else {
    combine(own, theirs, own, count, type, op);
  }
}

// data[keep] += what the partner sends, while data[give] goes to the partner. In chunks: two are on their way
// while one is added.
void exchange_and_add(MpiGroup& g, void* data, Range keep, Range give, int partner, DType type, ReduceOp op) {
  size_t chunk = std::min(g.tuning.chunk_bytes, g.tuning.piece) / size_of(type);
  chunk = std::clamp<size_t>(chunk, 1,
                             std::max<size_t>({keep.size(), give.size(), 1}));  // the same on both sides
  constexpr size_t flying = 2;
  std::byte* inbox = scratch(g, flying * chunk * size_of(type));
  std::array<MPI_Request, flying> incoming{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  std::array<MPI_Request, flying> outgoing{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  auto slot = [&](size_t i) { return inbox + i % flying * chunk * size_of(type); };
  auto chunks_of = [chunk](Range range) { return (range.size() + chunk - 1) / chunk; };
  auto receive = [&](size_t i) {
    if (i >= chunks_of(keep)) return;
    size_t n = std::min(chunk, keep.size() - i * chunk);
    check_mpi(MPI_Irecv(slot(i), static_cast<int>(n * size_of(type)), MPI_BYTE, partner, tag, g.comm,
                        &incoming[i % flying]),
              "all_reduce");
  };
  auto send = [&](size_t i) {
    if (i >= chunks_of(give)) return;
    size_t n = std::min(chunk, give.size() - i * chunk);
    check_mpi(MPI_Wait(&outgoing[i % flying], MPI_STATUS_IGNORE), "all_reduce");
    check_mpi(MPI_Isend(at(data, give.begin + i * chunk, type), static_cast<int>(n * size_of(type)), MPI_BYTE,
                        partner, tag, g.comm, &outgoing[i % flying]),
              "all_reduce");
  };
  for (size_t i = 0; i < flying; ++i) receive(i);
  send(0);
  for (size_t i = 0; i < std::max(chunks_of(keep), chunks_of(give)); ++i) {
    send(i + 1);
    if (i >= chunks_of(keep)) continue;
    check_mpi(MPI_Wait(&incoming[i % flying], MPI_STATUS_IGNORE), "all_reduce");
    size_t n = std::min(chunk, keep.size() - i * chunk);
    std::byte* own = at(data, keep.begin + i * chunk, type);
    combine_in_order(g, own, slot(i), partner, n, type, op);
    receive(i + flying);
  }
  check_mpi(MPI_Waitall(static_cast<int>(flying), outgoing.data(), MPI_STATUSES_IGNORE), "all_reduce");
}

// Round k: with the rank whose number differs in bit k, both add what the other has. After it a rank holds
// its node of the tree k + 1 levels up.
void recursive_doubling(MpiGroup& g, void* data, size_t count, DType type, ReduceOp op) {
  size_t bytes = count * size_of(type);
  std::byte* inbox = scratch(g, bytes);
  for (int distance = 1; distance < g.size; distance *= 2) {
    exchange(g, data, bytes, inbox, bytes, g.rank ^ distance);
    combine_in_order(g, data, inbox, g.rank ^ distance, count, type, op);
  }
}

// Round k: a rank whose lowest set bit is k sends what it has to the rank without that bit, and is done.
void binomial(MpiGroup& g, void* data, size_t count, DType type, ReduceOp op) {
  size_t bytes = count * size_of(type);
  std::byte* inbox = scratch(g, bytes);
  for (int distance = 1; distance < g.size; distance *= 2) {
    if ((g.rank & distance) != 0) {
      begin_send(g, data, bytes, g.rank - distance);
      wait_for_all(g);
      break;
    }
    if (g.rank + distance >= g.size) continue;
    begin_receive(g, inbox, bytes, g.rank + distance);
    wait_for_all(g);
    combine(data, inbox, data, count, type, op);
  }
  check_mpi(MPI_Bcast(data, static_cast<int>(bytes), MPI_BYTE, 0, g.comm), "all_reduce");
}

// Halving, distances 1, 2, 4, ...: partners cut the range that both still hold, and each adds up its half of
// it. Then a rank has a p-th of the whole sum. Doubling goes the same way back: partners swap what they have,
// which doubles it.
void halving_doubling(MpiGroup& g, void* data, size_t count, DType type, ReduceOp op) {
  std::array<Range, 32> held{};
  held[0] = {0, count};
  int level = 0;
  for (int distance = 1; distance < g.size; distance *= 2, ++level) {
    Range whole = held[static_cast<size_t>(level)];
    size_t middle = whole.begin + whole.size() / 2;
    Range lower{whole.begin, middle}, upper{middle, whole.end};
    bool low = (g.rank & distance) == 0;
    exchange_and_add(g, data, low ? lower : upper, low ? upper : lower, g.rank ^ distance, type, op);
    held[static_cast<size_t>(level) + 1] = low ? lower : upper;
  }
  for (int distance = g.size / 2; distance > 0; distance /= 2, --level) {
    Range own = held[static_cast<size_t>(level)], whole = held[static_cast<size_t>(level) - 1];
    Range other = own.begin == whole.begin ? Range{own.end, whole.end} : Range{whole.begin, own.begin};
    exchange(g, at(data, own.begin, type), own.size() * size_of(type), at(data, other.begin, type),
             other.size() * size_of(type), g.rank ^ distance);
  }
}

}  // namespace

void all_reduce_along_tree(MpiGroup& g, void* data, size_t count, DType type, ReduceOp op) {
  if (count == 0 || g.size == 1) return;
  bool small = count * size_of(type) <= g.tuning.small_bytes;
  if (std::has_single_bit(static_cast<unsigned>(g.size))) {
    return small ? recursive_doubling(g, data, count, type, op) : halving_doubling(g, data, count, type, op);
  }
  if (small) return binomial(g, data, count, type, op);
  g.bounds.clear();
  for (int r = 0; r <= g.size; ++r) {
    g.bounds.push_back(count * static_cast<size_t>(r) / static_cast<size_t>(g.size));
  }
  size_t own = g.bounds[static_cast<size_t>(g.rank)];
  reduce_scatter_along_tree(g, data, at(data, own, type), g.bounds, type, op);
  all_gather_blocks(g, data, g.bounds, size_of(type));
}

// Chunk by chunk of every block: everybody sends chunk i of block r to rank r. Two chunks are on their way
// while the one before is summed in one pass, out of an inbox that stays in the caches.
void reduce_scatter_along_tree(MpiGroup& g, const void* send, void* receive, std::span<const size_t> bounds,
                               DType type, ReduceOp op) {
  if (op == ReduceOp::average) op = ReduceOp::sum;
  const size_t element = size_of(type), peers = static_cast<size_t>(g.size) - 1;
  const size_t chunk = std::max<size_t>(1, std::min(g.tuning.chunk_bytes, g.tuning.piece) / element);
  size_t most = 0;
  for (size_t r = 0; r <= peers; ++r) most = std::max(most, bounds[r + 1] - bounds[r]);
  const size_t chunks = (most + chunk - 1) / chunk;
  auto part = [&](size_t r, size_t i) {
    size_t begin = std::min(bounds[r] + i * chunk, bounds[r + 1]);
    return Range{begin, std::min(begin + chunk, bounds[r + 1])};
  };
  const auto me = static_cast<size_t>(g.rank);
  auto after = [&](size_t k) { return (me + 1 + k) % (peers + 1); };  // not all send to rank 0 first
  const auto* from = static_cast<const std::byte*>(send);
  auto* to = static_cast<std::byte*>(receive);
  const size_t slot_bytes = std::min(chunk, bounds[me + 1] - bounds[me]) * element;
  std::byte* inbox = scratch(g, 2 * peers * slot_bytes);
  auto slot = [&](size_t i, size_t k) { return inbox + (i % 2 * peers + k) * slot_bytes; };
  g.requests.assign(4 * peers, MPI_REQUEST_NULL);
  auto requests = [&](size_t i) { return g.requests.data() + i % 2 * 2 * peers; };
  g.parts.resize(peers + 1);

  for (size_t i = 0; i <= chunks; ++i) {
    for (size_t k = 0; i < chunks && k < peers; ++k) {
      Range mine = part(me, i), theirs = part(after(k), i);
      auto peer = static_cast<int>(after(k));
      if (mine.size() != 0) {
        check_mpi(MPI_Irecv(slot(i, k), static_cast<int>(mine.size() * element), MPI_BYTE, peer, tag, g.comm,
                            requests(i) + k),
                  "reduce_scatter");
      }
      if (theirs.size() != 0) {
        check_mpi(MPI_Isend(from + theirs.begin * element, static_cast<int>(theirs.size() * element),
                            MPI_BYTE, peer, tag, g.comm, requests(i) + peers + k),
                  "reduce_scatter");
      }
    }
    if (i == 0) continue;
    check_mpi(MPI_Waitall(static_cast<int>(2 * peers), requests(i - 1), MPI_STATUSES_IGNORE),
              "reduce_scatter");
    Range mine = part(me, i - 1);
    if (mine.size() == 0) continue;
    g.parts[me] = from + mine.begin * element;
    for (size_t k = 0; k < peers; ++k) g.parts[after(k)] = slot(i - 1, k);
    reduce_parts(g.parts, to + (mine.begin - bounds[me]) * element, mine.size(), type, op);
  }
  g.requests.clear();
}

void all_gather_blocks(MpiGroup& g, void* data, std::span<const size_t> bounds, size_t element_bytes) {
  auto* to = static_cast<std::byte*>(data);
  auto bytes = [&](int r) {
    return (bounds[static_cast<size_t>(r) + 1] - bounds[static_cast<size_t>(r)]) * element_bytes;
  };
  auto place = [&](int r) { return to + bounds[static_cast<size_t>(r)] * element_bytes; };
  for (int i = 1; i < g.size; ++i) {
    int from = (g.rank + g.size - i) % g.size;
    begin_receive(g, place(from), bytes(from), from);
  }
  for (int i = 1; i < g.size; ++i) begin_send(g, place(g.rank), bytes(g.rank), (g.rank + i) % g.size);
  wait_for_all(g);
}

}  // namespace trireme
