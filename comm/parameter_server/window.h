// A set of tickets that fills up from below: which of them have been applied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "comm/parameter_server/ticket.h"

namespace trireme {

// All tickets of clocks below complete(), and some of the clocks from there on, a bit each. Clocks below
// `first_clock` were done before the run began: they are in. A plain value, not for several threads at once.
class TicketWindow {
 public:
  // How far above complete() a ticket may lie: what a message may claim does not decide how much memory is
  // taken.
  static constexpr int64_t limit_clocks = int64_t{1} << 20;

  // Throws CommError unless pieces is at least 1 and first_clock at least 0.
  TicketWindow(int32_t pieces, int64_t first_clock);

  // Both throw CommError for a ticket that cannot be: a piece that is none of 0 .. pieces - 1, a negative
  // clock, or one limit_clocks or more above complete().
  bool contains(Ticket ticket) const;
  // Puts it in; false: it was in already.
  bool add(Ticket ticket);

  int32_t pieces() const { return pieces_; }
  // All tickets of clocks below this are in; not all of this clock.
  int64_t complete() const { return complete_; }
  // The highest clock of which any ticket is in, plus 1; complete() where there is none above.
  int64_t end() const;
  // How many tickets of this clock are in.
  int32_t count(int64_t clock) const;

  // Forgets all tickets of clocks >= clock.
  void truncate(int64_t clock);
  // Keeps what is in both: what all of several shards have applied. Throws CommError where pieces differ.
  void intersect(const TicketWindow& other);

  // For messages, in this machine's byte order: pieces, complete(), words of bits. from_bytes throws
  // CommError for what to_bytes cannot have written.
  std::vector<std::byte> to_bytes() const;
  static TicketWindow from_bytes(std::span<const std::byte> bytes);

  bool operator==(const TicketWindow&) const = default;

 private:
  void check(Ticket ticket) const;
  size_t word_of(Ticket ticket) const;
  void settle();  // whole clocks at the bottom become complete()'s

  int32_t pieces_;
  size_t words_per_clock_;
  int64_t complete_;
  std::deque<uint64_t>
      bits_;  // words_per_clock_ words for each clock from complete_ on; the last clock has a bit set
};

}  // namespace trireme
